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
import signal
import statistics
import subprocess
import sys
import time

PACKAGES = ("keras", "keras-hub", "torch", "jax", "jaxlib", "numpy", "grain")
COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
WARM_UPS = 2
FEWEST = 3  # timed runs of a row


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


# ---- Training


def measure_training(job):
    """A step with a batch at hand, or within `fit_scenes`; scenes per second, peak of memory."""
    started = time.perf_counter()
    row = _make_row(job)
    if job["render"]:
        times = _fit_times(row, job)
    else:
        times = _timed(row.step, min(job["time"], job["size"]["row_seconds"]))
    step = statistics.median(times)
    return {
        "step_seconds": step,
        "fastest": min(times),
        "steps": len(times),
        "scenes_per_second": job["batch"] / step,
        "peak_bytes": row.memory(),
        "start_seconds": time.perf_counter() - started - sum(times),
    }


def _row_options(job):
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


def _make_row(job):
    import training

    return getattr(training, job["kind"])(_row_options(job))


def _timed(function, seconds):
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


# ---- Roofline


def measure_roofline(job):
    """Operations and bytes of a step, and what the device needs for them at its own limits."""
    import keras

    return _torch_roofline(job) if keras.config.backend() == "torch" else _jax_roofline(job)


def _torch_roofline(job):
    """Of a step of plain PyTorch, kernel by kernel."""
    import training

    counted = training.count(_row_options(job))
    operations = counted.pop("operations")
    limits = counted["flops_per_second"], counted["bytes_per_second"]
    return {
        **counted,
        "what": "a step of plain PyTorch, kernel by kernel",
        "operations": operations.flops,
        "bytes": operations.bytes,
        "least_seconds": operations.least_seconds(*limits),
    }


def _jax_roofline(job):
    """Of the loss and its gradient, as XLA counts what it has compiled."""
    import jax

    row = _make_row({**job, "kind": "KerasJAX"})
    seconds = min(_timed(row.gradient, min(job["time"], job["size"]["row_seconds"])))
    weights = (row.model.trainable_variables, row.model.non_trainable_variables)
    state = [[variable.value for variable in variables] for variables in weights]
    compiled = row.functions["gradient"].lower(*state, *row.tensors()).compile()
    costs = compiled.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs
    dtype = jax.numpy.dtype(job["precision"])
    flops, size = _jax_limits(jax, dtype)
    return {
        "what": "loss and gradient under JAX, as XLA counts them",
        "operations": costs["flops"],
        "bytes": costs["bytes accessed"],
        "flops_per_second": flops,
        "bytes_per_second": size,
        "least_seconds": max(costs["flops"] / flops, costs["bytes accessed"] / size),
        "seconds": seconds,
    }


def _jax_limits(jax, dtype):
    """Operations of products and bytes of copies a second, as `machine_limits` of PyTorch."""
    on_gpu = jax.devices()[0].platform == "gpu"
    side, length = (8192, 2**28) if on_gpu else (2048, 2**25)
    left, right = (
        jax.random.normal(jax.random.key(seed), (side, side), dtype=dtype) for seed in range(2)
    )
    source = jax.numpy.zeros(length, "float32")
    product = jax.jit(lambda a, b: a @ b)
    copy = jax.jit(lambda array: array + 1)  # a copy alone would be left out
    runs = (lambda: product(left, right)), (lambda: copy(source))
    fastest = [min(_timed(lambda run=run: jax.block_until_ready(run()), 0.0)) for run in runs]
    return 2 * side**3 / fastest[0], 2 * 4 * length / fastest[1]


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
    times = _timed(
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
