"""Whether the published loss can train the published network: overfits a few scenes.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/printed_loss.py

One line for each form of equation (12): `sum` as published, `mse` as the paper's text calls it.
Network, direction loss and optimizer are those of the configuration `paper`, the encoders are
small and trainable. The error is that on the training scenes: it shows whether the loss can be
minimised at all, and nothing about unseen scenes.
"""

import argparse
import time

import keras
import numpy as np

from keras_avssan import AVSSAN
from keras_avssan.data import ScenePlan, SyntheticClasses, make_dataset
from keras_avssan.doa import JointLoss
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder
from keras_avssan.simulation import RIRBank


def main():
    options = _options()
    bank = RIRBank.build(options.scenes, sources_per_room=4)
    plan = ScenePlan(SyntheticClasses(), bank, split="train", seed=options.seed)
    scenes = make_dataset(plan, options.scenes, options.scenes, loader="grain")
    ((inputs, labels),) = list(scenes)
    print(f"{keras.backend.backend()}, {options.scenes} scenes, {options.steps} steps")
    for rate in options.learning_rates:
        for form in options.reconstruction:
            keras.utils.set_random_seed(options.seed)
            model = _make(form, rate)
            started = time.time()
            errors = [_step(model, inputs, labels) for _ in range(options.steps)]
            every = max(1, options.steps // 6)
            course = ", ".join(f"{error:.1f}" for error in errors[every - 1 :: every])
            azimuth = model.predict_on_batch(inputs)["doa"].argmax(axis=1) + 1
            error = np.abs(azimuth - labels["azimuth"]).mean()
            seconds = time.time() - started
            print(f"{form}, learning rate {rate:g}: MAE {error:.1f}° after {seconds:.0f} s")
            print(f"  before every {every}th step: {course}", flush=True)


def _make(form, rate):
    encoders = {
        "image_encoder": ConvImageEncoder(),
        "audio_encoder": LogMelEncoder(filters=(8, 16, 32)),
    }
    model = AVSSAN(configuration="paper", dim=32, mlp_dim=128, **encoders)
    optimizer = model.default_optimizer()
    optimizer.learning_rate = rate
    loss = JointLoss(**{**model.default_loss().get_config(), "reconstruction": form})
    model.compile(optimizer, loss)
    return model


def _step(model, inputs, labels):
    """One step; returns the mean absolute error before it, in degrees."""
    scores = model.train_on_batch(inputs, labels, return_dict=True)
    model.reset_metrics()
    return float(scores["mae"])


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[5e-3])
    parser.add_argument("--reconstruction", nargs="+", default=["sum", "mse"])
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
