"""The measurements of `benchmarks/gpu.py`, in a process of one backend.

Each function gets a job, a dict with the size of everything and the seconds that it should take,
and returns the figures of its row.
"""

import argparse
import functools
import gc
import importlib.metadata
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import time

from gpu_parts.roofline import measure_roofline
from gpu_parts.steps import measure_training, timed

PACKAGES = ("keras", "keras-hub", "torch", "jax", "jaxlib", "numpy", "grain")
COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


def serve():
    """Answers jobs from standard input until it ends."""
    # Output of libraries must not be mixed with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    stages = {
        "environment": measure_environment,
        "rooms": measure_rooms,
        "training": measure_training,
        "roofline": measure_roofline,
        "latency": measure_latency,
    }
    for line in sys.stdin:
        job, started = json.loads(line), time.perf_counter()
        try:
            answer = stages[job["stage"]](job)
        except Exception as error:  # The table has the reason in place of the row.
            answer = {"error": _one_line(error)}
        _release_memory()
        answer["row_seconds"] = time.perf_counter() - started
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _one_line(error):
    """What went wrong, without the colours of a terminal; Keras names the layer first."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    return f"{type(error).__name__}: {' '.join(text.split())}"[:300]


def _release_memory():
    """Frees what a row has left, so that the next one starts like the first."""
    if "keras" in sys.modules:
        import keras

        keras.utils.clear_session(free_memory=True)
        keras.config.set_dtype_policy("float32")
    gc.collect()
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


# ---- The device


def measure_environment(job):
    """What there is, and what the backend computes on."""
    import keras

    backend = keras.config.backend()
    found = _torch_device() if backend == "torch" else _jax_device()
    versions = {"Python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {**found, "driver": _driver(), "versions": versions, "cores": os.cpu_count()}


def _torch_device():
    import keras
    import torch

    is_gpu = torch.cuda.is_available()
    return {
        "is_gpu": is_gpu,
        "computes_on": str(keras.ops.ones(1).device),
        "build": f"torch {torch.__version__}, CUDA {torch.version.cuda}",
        "device": torch.cuda.get_device_name() if is_gpu else "CPU",
        "memory": torch.cuda.get_device_properties(0).total_memory if is_gpu else None,
    }


def _jax_device():
    import jax

    device = jax.devices()[0]
    return {
        "is_gpu": device.platform == "gpu",
        "computes_on": device.platform,
        "build": f"jax {jax.__version__}, platforms {os.environ.get('JAX_PLATFORMS') or 'any'}",
        "device": device.device_kind,
        "memory": (device.memory_stats() or {}).get("bytes_limit"),
    }


def _driver():
    """Name, driver and memory as `nvidia-smi` gives them, or why it does not."""
    words = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(["nvidia-smi", *words], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return _one_line(error)
    return (done.stdout or done.stderr).strip()


# ---- Rooms


def measure_rooms(job):
    """Rooms of the bank until the time is over, after a warm-up."""
    import rooms
    from room_simulators import simulate

    size = job["size"]
    options = argparse.Namespace(seed=0, sources=size["sources"], smoke=size["smoke"])
    options.tail = job["tail"]
    count = size["rooms_at_a_time"]
    if job["together"]:
        run, batch = functools.partial(simulate, "keras_avssan", tail=job["tail"]), count
    else:
        run, batch = _one_room(size), 1

    def draw(first, number):
        return rooms._draw_rooms(range(first, first + number), options)

    compiled = _note_compilations()
    begin = started = time.perf_counter()
    run(draw(rooms.WARM_UP_INDEX, batch))
    warm_up = time.perf_counter() - started
    compiled.clear()
    done, seconds = [], 0.0
    for first in range(0, size["rooms"], batch):
        drawn = draw(first, min(batch, size["rooms"] - first))
        started = time.perf_counter()
        run(drawn)  # The responses are copied to the host, which waits for the device.
        seconds += time.perf_counter() - started
        done += drawn
        if time.perf_counter() - begin > job["time"]:
            break
    work = rooms.least_work(done, options)
    return {
        "rooms": len(done),
        "of": size["rooms"],
        "seconds": seconds,
        "rooms_per_second": len(done) / seconds,
        "images_per_second": work["images"] / seconds,
        "bytes_per_second": work["bytes"] / seconds,
        "operations_per_second": work["operations"] / seconds,
        "warm_up_seconds": warm_up,
        "compile_seconds": sum(compiled),
    }


def _one_room(size):
    """A function that simulates a room as `rooms build` does, with its own draw of the same."""
    from rooms import SMOKE_T60

    from keras_avssan.simulation import RoomRanges
    from keras_avssan.simulation.bank.bank_settings import BankSettings

    ranges = RoomRanges(t60=SMOKE_T60) if size["smoke"] else RoomRanges()
    settings = BankSettings(sources_per_room=size["sources"], ranges=ranges)
    indices = itertools.count()
    return lambda drawn: settings.simulate(next(indices))


def _note_compilations():
    """A list to which JAX adds the seconds of every compilation."""
    events = []
    if "jax" in sys.modules:
        import jax

        jax.monitoring.register_event_duration_secs_listener(
            lambda event, duration, **_: event == COMPILE_EVENT and events.append(duration)
        )
    return events


# ---- Latency


def measure_latency(job):
    """Seconds from recordings and a picture to directions, with the packaged model."""
    import numpy as np

    from keras_avssan.data import example_file

    model = _localizer(job["size"]["smoke"])
    rng = np.random.default_rng(0)
    samples = round(job["seconds"] * model.sampling_rate)
    audio = (0.1 * rng.standard_normal((job["batch"], samples, 2))).astype("float32")
    prompts = [str(example_file("dog.jpg"))] * job["batch"]
    times = timed(
        lambda: model.localize(audio, prompts), min(job["time"], job["size"]["row_seconds"])
    )
    median = statistics.median(times)
    return {
        "median_seconds": median,
        "fastest": min(times),
        "runs": len(times),
        "recordings_per_second": job["batch"] / median,
        "real_time_factor": median / (job["batch"] * job["seconds"]),
    }


@functools.cache
def _localizer(small):
    from keras_avssan import AVSSAN
    from keras_avssan.encoders import LogMelEncoder

    if not small:
        return AVSSAN.from_preset("avssan_sounds50")
    encoder = LogMelEncoder(8, (4,), num_mels=16)
    return AVSSAN(audio_encoder=encoder, dim=8, mlp_dim=16, num_heads=2, bridge_layers=1)
