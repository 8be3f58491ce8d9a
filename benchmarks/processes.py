"""Tasks of a benchmark in processes of their own, each with one backend and a number of threads."""

import datetime
import json
import os
import platform
import subprocess
import sys

from machine import processor


def start(script, backend, task, threads, *words):
    """Runs a task of a script in a separate process; returns the object that it prints.

    The script gets `--task`, `--threads` and the words. A process that fails gives its last line as
    `error`.
    """
    command = [sys.executable, script, "--task", task, "--threads", str(threads)]
    process = subprocess.run(
        [*command, *map(str, words)],
        env={**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        return {"error": (process.stderr.strip().splitlines() or ["killed"])[-1]}
    return json.loads(process.stdout.splitlines()[-1])


def limit_cores(threads):
    """Restricts this process to so many cores, the last ones, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def limit_threads(threads):
    """Sets the threads of this process's backend."""
    import keras

    if keras.config.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
    elif keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def describe_run(options):
    """When, where and with how many threads a benchmark ran, and its further options."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[2],
        "python": platform.python_version(),
        **{name: value for name, value in vars(options).items() if name not in ("task", "folder")},
    }
