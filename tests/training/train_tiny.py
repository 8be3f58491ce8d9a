"""Trains a tiny model with checkpoints, in a process that may be killed.

    python train_tiny.py FOLDER [KILL_AFTER]

Writes the folder's checkpoints and, at the end, `weights.npz` beside it.
"""

import dataclasses
import functools
import os
import signal
import sys
import types

import keras
import numpy as np

from keras_avssan import AVSSAN
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder
from keras_avssan.training import fit_scenes

STEPS, EPOCHS, BATCH_SIZE = 8, 2, 2


def make_plan(seed=0):
    rng = np.random.default_rng(0)
    azimuths = rng.uniform(10, 170, size=(3, 4)).astype("float32")
    rirs = rng.normal(size=(3, 4, 2, 100)) * np.exp(-np.arange(100) / 20)
    bank = types.SimpleNamespace(
        rirs=rirs.astype("float32"),
        azimuths=azimuths,
        t60=np.full(3, 0.3, "float32"),
        sampling_rate=16000,
    )
    catalog = SyntheticClasses(["dog", "rain"], instances_per_class=6, duration=0.5)
    return ScenePlan(catalog, bank, split="train", duration=0.2, seed=seed, rooms=(0, 2))


def make_model(dim=8):
    """A tiny model with dropout, so that its random generators count."""
    keras.utils.set_random_seed(3)
    model = AVSSAN(
        image_encoder=ConvImageEncoder(8, (4,), (16, 16)),
        audio_encoder=LogMelEncoder(8, (4,)),
        dim=dim,
        mlp_dim=16,
        num_heads=2,
        bridge_layers=1,
        dropout=0.3,
    )
    # Op by op is quick for a few steps, but not where each operation is compiled on its own.
    eagerly = keras.backend.backend() != "jax"
    model.compile = functools.partial(model.compile, run_eagerly=eagerly)
    return model


def train(folder, model=None, seed=0, **options):
    plan = make_plan(seed)
    options = {"steps": STEPS, "epochs": EPOCHS, "batch_size": BATCH_SIZE, **options}
    return fit_scenes(
        model or make_model(),
        plan,
        validation_plan=dataclasses.replace(plan, split="val", rooms=(2, 3)),
        validation_scenes=2,
        loader="grain",
        checkpoints=folder,
        **{"verbose": 0, **options},
    )


class Kill(keras.callbacks.Callback):
    """Kills the process after so many steps of its own."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder, kill_after=0):
    model = make_model()
    callbacks = [Kill(int(kill_after))] if int(kill_after) else []
    history = train(folder, model, checkpoint_every=2, callbacks=callbacks)
    arrays = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    np.savez(f"{folder}.npz", *arrays, **{f"history/{k}": v for k, v in history.history.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
