"""Trains a tiny model for ten steps, on whatever devices there are, and writes what came out.

    python train.py OUT.npz '{"devices": ["cpu:0", "cpu:1"]}'

A program of its own, since a backend learns of its devices and processes when it starts.
"""

import dataclasses
import json
import os
import sys

import keras
import numpy as np

from keras_avssan import AVSSAN
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.doa import JointLoss
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.training import fit_scenes, save_atomically
from keras_avssan.training.distributed.data_parallel import data_parallel

BATCH_SIZE = 4
STEPS = 10
PROMPT_DIM = 8


class TinyBank:
    """Impulse responses of two paths: what scenes need of an `RIRBank`."""

    sampling_rate = 16000

    def __init__(self):
        rng = np.random.default_rng(0)
        self.azimuths = rng.uniform(10, 170, size=(3, 4)).astype("float32")
        self.rirs = (0.05 * rng.normal(size=(3, 4, 2, 100))).astype("float32")
        self.rirs[..., 20] = 1.0
        self.t60 = np.full(3, 0.3, "float32")

    def __len__(self):
        return len(self.rirs)


def make_model(clipnorm, batch_norm):
    """A tiny AV-SSAN; the same whenever it is made."""
    keras.utils.set_random_seed(1)
    encoder = LogMelEncoder(8, (4,))
    encoder.build((None, 16000))
    for layer in [encoder.input_norm, *encoder.norms]:
        layer.trainable = batch_norm
    model = AVSSAN(
        prompt_dim=PROMPT_DIM,
        audio_encoder=encoder,
        dim=8,
        bridge_layers=1,
        num_heads=2,
        mlp_dim=16,
        compile=False,
    )
    loss = JointLoss(reconstruction_weight=5.0, alignment_weight=1.0)
    optimizer = keras.optimizers.SGD(1e-2, momentum=0.9, clipnorm=clipnorm)
    model.default_optimizer = lambda: optimizer
    model.compile(loss=loss)
    return model


def make_plan():
    catalog = SyntheticClasses(instances_per_class=10, pictures_per_class=10)
    return ScenePlan(catalog, TinyBank(), split="train", duration=0.5, seed=3, rooms=(0, 2))


def train(out, devices=None, synchronize=True, clipnorm=0.05, batch_norm=True):
    plan = make_plan()
    rng = np.random.default_rng(0)
    prompts = {p.id: rng.normal(size=PROMPT_DIM).astype("float32") for p in plan.catalog.pictures}
    with data_parallel(devices) as workers:
        model = workers.prepare(make_model(clipnorm, batch_norm), synchronize=synchronize)
        history = fit_scenes(
            model,
            plan,
            steps=STEPS,
            epochs=2,
            batch_size=BATCH_SIZE,
            validation_plan=dataclasses.replace(plan, split="val", rooms=(2, 3)),
            validation_scenes=2 * BATCH_SIZE,
            prompt_embeddings=prompts,
            learning_rate=1e-2,
            make=workers.make_dataset,
            verbose=0,
        )
        if workers.is_chief:
            save_atomically(model, f"{out}.preset")
    results = {
        "num_replicas": workers.num_replicas,
        "num_processes": workers.num_processes,
        **{f"history/{name}": values for name, values in history.history.items()},
        **{
            f"weights/{i}/{weight.path}": keras.ops.convert_to_numpy(weight)
            for i, weight in enumerate(model.weights)
        },
    }
    np.savez(f"{out}.{workers.process}.npz", **results)


def set_up_tensorflow(logical_cpus):
    """Makes several devices of the processor, and does not optimise graphs that run ten times."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    parts = [tf.config.LogicalDeviceConfiguration() for _ in range(logical_cpus)]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)


def be_patient(cluster):
    """Lets TensorFlow's workers be silent for minutes, on a machine that others use too.

    Ten seconds without a sign of life end a training otherwise, and there is no public setting.
    """
    from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
    from tensorflow.python.eager import context

    job = coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=len(cluster["worker"]))
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        heartbeat_timeout_in_ms=600_000,
        coordinated_jobs=[job],
    )


if __name__ == "__main__":
    arguments = json.loads(sys.argv[2])
    logical_cpus = arguments.pop("logical_cpus", 1)
    if keras.config.backend() == "tensorflow":
        set_up_tensorflow(logical_cpus)
        if "TF_CONFIG" in os.environ:
            be_patient(json.loads(os.environ["TF_CONFIG"])["cluster"])
    train(sys.argv[1], **arguments)
    # Threads of the engines outlive their work.
    sys.stdout.flush()
    os._exit(0)
