"""Peak memory of training steps: by batch size, with and without gradient checkpointing.

Each row has a separate process: it makes a model of the default size, takes a step on scenes of
noise to warm up, and reports the highest memory of the next step above that before it: of the
process on a CPU (on Linux only), of the allocator on a GPU. Accumulation trains the batch in
parts. The table of `docs/several-devices.md` comes from

    python benchmarks/memory.py --backend torch
"""

import argparse
import contextlib
import datetime
import gc
import json
import os
import pathlib
import subprocess
import sys
import time

from machine import processor

SAMPLING_RATE = 16_000  # hertz
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
    # The C library returns freed memory at once, except for small blocks.
    environment = {**os.environ, "KERAS_BACKEND": backend, "MALLOC_MMAP_THRESHOLD_": "65536"}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(output.stdout.splitlines()[-1])


def measure(seconds, batch, parts, recompute):
    """Trains; returns the peak above what there was before, and the time of the last step."""
    import keras

    from keras_avssan import AVSSAN
    from keras_avssan.training.gradient_checkpointing import recompute_activations

    model = AVSSAN(prompt_dim=512)
    accumulate = {"gradient_accumulation_steps": parts} if parts > 1 else {}
    model.compile(optimizer=keras.optimizers.AdamW(1e-3, clipnorm=5.0, **accumulate))
    inputs, labels = _batch(int(seconds * SAMPLING_RATE), batch)
    with recompute_activations(model) if recompute else contextlib.nullcontext():
        for _ in range(parts):
            model.train_on_batch(inputs, labels)
        before = _forget_peak()
        started = time.process_time()
        for _ in range(parts):
            model.train_on_batch(inputs, labels)
    seconds = time.process_time() - started
    return {"megabytes": (_peak() - before) / MEGABYTE, "seconds": seconds}


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


def _forget_peak():
    """Resets the peak, if the allocator or Linux can; returns the bytes in use."""
    gc.collect()
    gpu = _gpu_memory()
    if gpu is not None:
        gpu["reset"]()
        return gpu["now"]()
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return _of_process("VmRSS")


def _peak():
    """Highest memory in bytes since `_forget_peak`."""
    gpu = _gpu_memory()
    return _of_process("VmHWM") if gpu is None else gpu["peak"]()


def _gpu_memory():
    """Functions of the GPU's allocator, or `None` without one."""
    import keras

    if keras.config.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            return {
                "reset": torch.cuda.reset_peak_memory_stats,
                "now": torch.cuda.memory_allocated,
                "peak": torch.cuda.max_memory_allocated,
            }
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            memory = tf.config.experimental
            return {
                "reset": lambda: memory.reset_memory_stats("GPU:0"),
                "now": lambda: memory.get_memory_info("GPU:0")["current"],
                "peak": lambda: memory.get_memory_info("GPU:0")["peak"],
            }
    if keras.config.backend() == "jax":
        import jax

        device = jax.devices()[0]
        if "peak_bytes_in_use" in (device.memory_stats() or {}):
            # JAX cannot reset the peak: it is that of the warm-up step, which is the same.
            return {
                "reset": lambda: None,
                "now": lambda: device.memory_stats()["bytes_in_use"],
                "peak": lambda: device.memory_stats()["peak_bytes_in_use"],
            }
    return None


def _of_process(name):
    """A figure of this process's memory in bytes."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])


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
