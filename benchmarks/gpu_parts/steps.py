"""Training steps of `benchmarks/gpu.py`."""

import argparse
import functools
import itertools
import os
import signal
import statistics
import time

WARM_UPS = 2
FEWEST = 3  # timed runs of a row


def measure_training(job):
    """A step with a batch at hand, or within `fit_scenes`; scenes per second, peak of memory."""
    started = time.perf_counter()
    row = make_row(job)
    if job["render"]:
        times = _fit_times(row, job)
    else:
        times = timed(row.step, min(job["time"], job["size"]["row_seconds"]))
    step = statistics.median(times)
    return {
        "step_seconds": step,
        "fastest": min(times),
        "steps": len(times),
        "scenes_per_second": job["batch"] / step,
        "peak_bytes": row.memory(),
        "start_seconds": time.perf_counter() - started - sum(times),
    }


def row_options(job):
    """The options of `benchmarks/training.py` for a row."""
    size = job["size"]
    return argparse.Namespace(
        seconds=size["seconds"],
        batch_size=job["batch"],
        dim=size["dim"],
        filters=size["filters"],
        threads=os.cpu_count(),
        mixed=job["precision"] == "bfloat16",
        part=[],
    )


def make_row(job):
    """A row of `benchmarks/training.py`, ready to train."""
    import training

    if job["kind"].startswith("Compiled"):
        import torch

        torch._dynamo.reset()
    return getattr(training, job["kind"])(row_options(job))


def timed(function, seconds):
    """Seconds of each run, after those that warm up."""
    for _ in range(WARM_UPS):
        function()
    times = []
    while len(times) < FEWEST or sum(times) < seconds:
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return times


def _fit_times(row, job):
    """Seconds of the steps of `fit_scenes` with the input pipeline, after those that warm up."""
    import keras
    import numpy as np
    from input_pipeline import make_bank

    from keras_avssan.data import ScenePlan, SyntheticClasses, make_dataset
    from keras_avssan.training import fit_scenes

    size = job["size"]
    catalog = SyntheticClasses(instances_per_class=4, duration=size["seconds"])
    bank = make_bank(argparse.Namespace(rooms=size["plan_rooms"], seed=0))
    plan = ScenePlan(catalog, bank, split=None, duration=size["seconds"])
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((len(catalog.pictures), row.model.backbone.prompt_dim), "float32")
    pictures = (picture.id for picture in catalog.pictures)
    ends, enough = [], min(job["time"], 2 * size["row_seconds"])

    class StepTimes(keras.callbacks.Callback):
        """Notes when steps end, and interrupts the training when there are enough."""

        def on_train_batch_end(self, batch, logs=None):
            ends.append(time.perf_counter())
            timed = ends[WARM_UPS:]
            if len(timed) > FEWEST and timed[-1] - timed[0] > enough:
                signal.raise_signal(signal.SIGINT)

    try:
        fit_scenes(
            row.model,
            plan,
            steps=100_000,
            epochs=1,
            batch_size=job["batch"],
            render=job["render"],
            prompt_embeddings=dict(zip(pictures, vectors, strict=True)),
            make=functools.partial(make_dataset, num_workers=os.cpu_count()),
            callbacks=[StepTimes()],
            verbose=0,
        )
    except KeyboardInterrupt:
        pass
    timed = ends[WARM_UPS:]
    return [after - before for before, after in itertools.pairwise(timed)]
