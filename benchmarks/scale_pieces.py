"""What `benchmarks/scale.py` measures: CPU time, bytes and operations of small samples."""

import argparse
import datetime
import io
import os
import pathlib
import statistics
import tempfile
import time

import builder
import input_pipeline
import keras
import numpy as np
import training
from machine import processor
from PIL import Image
from torch_reference.operations import Operations

from keras_avssan.data import SceneBatches
from keras_avssan.data.media.video_io import read_video_audio, read_video_frames
from keras_avssan.layers import SceneRenderer
from keras_avssan.simulation import RoomRanges
from keras_avssan.simulation.bank.bank_settings import BankSettings

_SCENES = 8  # of a batch


def measure(options):
    """All pieces, by name, with what they were measured on."""
    pieces = {
        "date": datetime.date.today().isoformat(),
        "machine": processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "backend": keras.config.backend(),
        "seconds": options.seconds,
        "sources": options.sources,
        "seed": options.seed,
    }
    pieces |= measure_rooms(options)
    pieces |= measure_scenes(options)
    pieces |= measure_training(options)
    pieces |= measure_videos(options)
    return pieces


def measure_rooms(options):
    """CPU seconds and bytes of a room, as `rooms build` simulates it."""
    settings = BankSettings(
        seed=options.seed, sources_per_room=options.sources, ranges=RoomRanges(t60=options.t60)
    )
    settings.simulate(1_000_000)  # not of the sample; prepares what all share
    times, bytes_ = [], []
    for index in range(options.rooms):
        started = time.process_time()
        _, arrays = settings.simulate(index)
        times.append(time.process_time() - started)
        bytes_.append(arrays["rirs"].nbytes)
    error = statistics.stdev(times) / len(times) ** 0.5 if len(times) > 1 else 0.0
    return {
        "room_seconds": statistics.mean(times),
        "room_seconds_error": error,
        "room_bytes": max(bytes_),
    }


def measure_scenes(options):
    """CPU seconds and bytes of a scene, rendered on the host, and dry."""
    settings = argparse.Namespace(seed=options.seed, seconds=options.seconds, rooms=20)
    pieces = {}
    with tempfile.TemporaryDirectory() as folder:
        plan = input_pipeline.make_plan(folder, settings)
        prompts = input_pipeline.prompts(plan)
        for render, name in (("host", "rendered"), ("device", "dry")):
            batches = SceneBatches(plan, 10**6, _SCENES, render=render, **prompts)
            inputs, labels = batches[0]
            arrays = {**inputs, **labels}
            arrays.pop("prompt_embedding")
            size = sum(array.nbytes for array in keras.tree.flatten(arrays))
            pieces[f"{name}_bytes"] = size / _SCENES
            started, count = time.process_time(), max(1, options.scenes // _SCENES)
            for index in range(1, 1 + count):
                batches[index]
            pieces[f"{name}_seconds"] = (time.process_time() - started) / (_SCENES * count)
    return {**pieces, **_device_work(inputs)}


def _device_work(inputs):
    """Operations and bytes of the kernels that render a dry scene; PyTorch alone counts them."""
    if keras.config.backend() != "torch":
        return {"render_operations": None, "render_bytes": None}
    layer = SceneRenderer()
    tensors = [keras.ops.convert_to_tensor(inputs[name]) for name in ("dry_audio", "rirs", "snr")]
    layer(*tensors)
    with Operations() as operations:
        layer(*tensors)
    count = len(inputs["snr"])
    return {
        "render_operations": operations.flops / count,
        "render_bytes": operations.bytes / count,
    }


def measure_training(options):
    """CPU seconds of a step by scene, operations and bytes of its kernels, number of weights."""
    words = ["--seconds", str(options.seconds), "--batch-size", str(options.batch_size)]
    words += ["--dim", str(options.dim), "--threads", "1", "--part", "step"]
    settings = training.parse([*words, "--filters", *map(str, options.filters)])
    reference = training.Reference(settings)
    reference.step()
    with Operations() as operations:
        reference.step()
    kind = {"torch": "KerasTorch", "jax": "KerasJAX", "tensorflow": "KerasTensorFlow"}
    row = getattr(training, kind[keras.config.backend()])(settings)
    row.step()
    times = []
    for _ in range(options.repeats):
        started = time.process_time()
        row.step()
        times.append(time.process_time() - started)
    return {
        "step_seconds": statistics.median(times) / options.batch_size,
        "step_operations": operations.flops / options.batch_size,
        "step_bytes": operations.bytes / options.batch_size,
        "weights": sum(
            int(keras.ops.size(weight)) for weight in row.model.backbone.trainable_weights
        ),
    }


def measure_videos(options):
    """CPU seconds of decoding a generated video, and bytes of the picture; none without PyAV."""
    times = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            _, videos = builder.make_videos(pathlib.Path(folder), options.videos)
            moments = [builder.DURATION * (k + 0.5) / 8 for k in range(8)]
            for path in sorted(videos.iterdir()):
                started = time.process_time()
                read_video_audio(path, duration=builder.DURATION)
                frames = read_video_frames(path, moments)
                times.append(time.process_time() - started)
    except ImportError:
        return {"video_seconds": None, "picture_bytes": None}
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(frames[0].pixels)).save(buffer, "JPEG", quality=90)
    return {"video_seconds": statistics.mean(times), "picture_bytes": buffer.tell()}
