"""Peak memory of training steps: by batch size, with and without gradient checkpointing.

Each row has a process of its own: it makes a model of the default size, takes two steps on scenes
of noise, and reports the highest memory above that before the first step: of the process on a
CPU, of the allocator on a GPU. Accumulation trains the batch in parts. The table of
`docs/several-devices.md` comes from

    python benchmarks/memory.py --backend torch --row 1:8 1:16 1:32 1:32:4 10:2 10:4
"""

import argparse
import contextlib
import datetime
import json
import os
import resource
import subprocess
import sys
import time

from machine import processor

SAMPLING_RATE = 16_000  # hertz
STEPS = 2
MEGABYTE = 2**20


def main():
    options = _options()
    if options.task:
        print(json.dumps(measure(*json.loads(options.task))))
        return
    print(f"{processor()}, {os.cpu_count()} cores, {datetime.date.today()}, {options.backend}\n")
    print("| Seconds | Batch | In parts of | Plain, MB | Recomputed, MB | Longer by |")
    print("|--:|--:|--:|--:|--:|--:|", flush=True)
    for row in options.row:
        print(table_row(row, options.backend), flush=True)


def table_row(row, backend):
    """Measures one row, `seconds:batch` or `seconds:batch:parts`."""
    seconds, batch, parts = (*map(float, row.split(":")), 1)[:3]
    part = int(batch // parts)
    plain, recomputed = (
        _start(backend, [seconds, part, int(parts), recompute]) for recompute in (False, True)
    )
    longer = recomputed["seconds"] / plain["seconds"] - 1
    return (
        f"| {seconds:g} | {batch:g} | {part} | {plain['megabytes']:.0f} "
        f"| {recomputed['megabytes']:.0f} | {100 * longer:.0f} % |"
    )


def _start(backend, task):
    command = [sys.executable, __file__, "--task", json.dumps(task)]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(output.stdout.splitlines()[-1])


def measure(seconds, batch, parts, recompute):
    """Trains; returns the peak above what there was before, and the time of the last step."""
    import keras

    from keras_avssan import AVSSAN
    from keras_avssan.training.recomputation import recompute_activations

    model = AVSSAN(prompt_dim=512)
    accumulate = {"gradient_accumulation_steps": parts} if parts > 1 else {}
    model.compile(optimizer=keras.optimizers.AdamW(1e-3, clipnorm=5.0, **accumulate))
    inputs, labels = _batch(int(seconds * SAMPLING_RATE), batch)
    before = _peak()
    with recompute_activations(model) if recompute else contextlib.nullcontext():
        for _ in range(STEPS):
            started = time.process_time()
            for _ in range(parts):
                model.train_on_batch(inputs, labels)
            last = time.process_time() - started
    return {"megabytes": (_peak() - before) / MEGABYTE, "seconds": last}


def _batch(samples, scenes):
    import numpy as np

    rng = np.random.default_rng(0)
    audio = (0.1 * rng.normal(size=(scenes, samples, 2))).astype("float32")
    embedding = rng.normal(size=(scenes, 512)).astype("float32")
    azimuth = rng.uniform(1, 180, scenes).astype("float32")
    return (
        {"audio": audio, "prompt_embedding": embedding},
        {"azimuth": azimuth, "target": 0.5 * audio},
    )


def _peak():
    """Highest memory so far in bytes: of the GPU where there is one, else of the process."""
    import keras

    if keras.config.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
    if keras.config.backend() == "jax":
        import jax

        statistics = jax.devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in statistics:
            return statistics["peak_bytes_in_use"]
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="torch", choices=["torch", "tensorflow", "jax"])
    parser.add_argument(
        "--row",
        nargs="+",
        default=["1:8", "1:16", "1:32", "1:32:4", "10:2", "10:4"],
        metavar="SECONDS:BATCH[:PARTS]",
    )
    parser.add_argument("--task", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
