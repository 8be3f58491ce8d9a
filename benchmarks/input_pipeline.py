"""Scenes per second of the input pipelines, and a profile.

Clips and pictures are made and written as files, 16-bit WAV of the length of a scene; the rooms
are decaying noise. The rows take turns in rounds, so that other load on the machine affects all
equally, and are compared with the first row of the same round, by CPU time:

    KERAS_BACKEND=tensorflow python benchmarks/input_pipeline.py

The first row is the plain loop: one scene after the other, each decodes its two files, convolves
with `scipy.signal.fftconvolve` and scales. `--profile` shows where the time of one thread goes,
`--decode` compares decoders.
"""

import argparse
import cProfile
import datetime
import itertools
import json
import os
import pathlib
import platform
import pstats
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import scipy.signal
import soundfile
from machine import processor
from PIL import Image

from keras_avssan.data import (
    ClassFolders,
    SceneBatches,
    ScenePlan,
    SyntheticClasses,
    make_audio_dataset,
    make_dataset,
    read_audio,
    read_scenes,
    write_scenes,
)
from keras_avssan.data.scenes.rendering import MIX_RMS
from keras_avssan.layers import SceneRenderer
from keras_avssan.simulation import RIRBank

SAMPLING_RATE = 16_000  # hertz
GOAL = 1_250  # scenes per second that keep one fast GPU busy
IMAGE_SIZE = 64
LONGEST_T60 = 0.8  # seconds
# Stages of the profile, by their functions.
STAGES = {
    "plan": "__getitem__ scene_plan",
    "decode": "read_clip class_folders",
    "crop, decoding included": "_dry_sources rendering",
    "gather responses": "_impulse_responses rendering",
    "convolve": "convolve convolution",
    "gains": "_gains rendering",
    "all": "__getitem__ scene_batches",
}


def main():
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        if options.decode:
            print(_decode_table(pathlib.Path(folder), options))
        elif options.profile:
            print(_profile(make_plan(folder, options), options))
        else:
            results = measure(make_plan(folder, options), pathlib.Path(folder), options)
            print(table(results))
            if options.json:
                pathlib.Path(options.json).write_text(json.dumps(results, indent=2) + "\n")


def make_plan(folder, options, cache_bytes=512 * 2**20):
    """Scenes of recordings and pictures in files below a folder, made where they are missing."""
    root = pathlib.Path(folder) / "classes"
    if not root.exists():
        _write_files(root, options)
    catalog = ClassFolders(root, seed=options.seed, cache_bytes=cache_bytes)
    return ScenePlan(
        catalog, make_bank(options), split=None, seed=options.seed, duration=options.seconds
    )


def _write_files(root, options):
    made = SyntheticClasses(instances_per_class=2, duration=options.seconds, seed=options.seed)
    for clip in made.clips:
        path = root / clip.class_name / f"{clip.id.replace('/', '-')}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.5 * made.read_clip(clip), SAMPLING_RATE, subtype="PCM_16")
    for picture in made.pictures:
        pixels = made.read_picture(picture, (IMAGE_SIZE, IMAGE_SIZE))
        path = root / picture.class_name / f"{picture.id.replace('/', '-')}.png"
        Image.fromarray(np.uint8(255 * pixels)).save(path)


def make_bank(options):
    """Rooms of decaying noise: what they hold has no influence on the time."""
    rng = np.random.default_rng(options.seed)
    rooms, sources, length = options.rooms, 4, round(LONGEST_T60 * SAMPLING_RATE)
    t60 = rng.uniform(0.2, LONGEST_T60, rooms).astype("float32")
    seconds = np.arange(length) / SAMPLING_RATE
    decay = np.where(seconds < t60[:, None], 10 ** (-3 * seconds / t60[:, None]), 0.0)
    rirs = 0.01 * rng.standard_normal((rooms, sources, 2, length), "float32")
    rirs *= decay[:, None, None].astype("float32")
    return RIRBank(
        rirs=rirs,
        azimuths=rng.uniform(0, 180, (rooms, sources)).astype("float32"),
        t60=t60,
        room_sizes=np.ones((rooms, 3), "float32"),
        microphones=np.zeros((rooms, 2, 3), "float32"),
        sources=np.zeros((rooms, sources, 3), "float32"),
        sampling_rate=SAMPLING_RATE,
        seed=options.seed,
    )


def prompts(plan):
    """Prompts as embeddings: pictures would be decoded in all rows except the plain loop."""
    embeddings = np.zeros((len(plan.catalog.pictures), 8), "float32")
    return {"prompt": "embedding", "prompt_embeddings": embeddings}


def plain_scene(plan, index):
    """One scene by the plain loop: mix and target, as `render_scenes` renders them."""
    scene = plan[index]
    wet = []
    for clip, offset, slot in (
        (scene.target, scene.target_offset, scene.target_slot),
        (scene.interferer, scene.interferer_offset, scene.interferer_slot),
    ):
        samples, _ = soundfile.read(plan.catalog.root / clip.id, dtype="float32")
        dry = samples[offset : offset + plan.num_samples]
        rirs = plan.bank.rirs[scene.room, slot]
        channels = [scipy.signal.fftconvolve(dry, rir)[: plan.num_samples] for rir in rirs]
        wet.append(np.stack(channels, axis=-1))
    target, interferer = wet
    ratio = np.mean(np.square(target)) / np.mean(np.square(interferer))
    interferer = interferer * np.sqrt(ratio / 10 ** (scene.snr / 10))
    level = MIX_RMS / np.sqrt(np.mean(np.square(target + interferer)))
    return level * (target + interferer), level * target


def make_rows(plan, folder, options):
    """Dict from the name of a row to a function that makes an endless iterator of scene counts."""
    size, many = options.batch_size, 10**6
    fresh = make_plan(folder, options, cache_bytes=0)

    def batches(render, plan=plan):
        return SceneBatches(plan, many, size, render=render, **prompts(plan))

    def in_turn(render, plan=plan):
        made = batches(render, plan)
        return (_count(made[index]) for index in itertools.count())

    def loaded(loader, render):
        dataset = make_dataset(
            plan,
            many,
            size,
            loader=loader,
            render=render,
            num_workers=options.threads,
            **prompts(plan),
        )
        return map(_count, dataset)

    def in_threads():
        with ThreadPoolExecutor(options.threads) as pool:
            for first in itertools.count(0, size):
                yield len(
                    list(pool.map(lambda i: plain_scene(plan, i), range(first, first + size)))
                )

    def from_files(render):
        path = folder / render
        made = SceneBatches(plan, options.scenes, render=render, **prompts(plan))
        write_scenes(made, path, scenes_per_shard=64, progress=False)
        return map(_count, read_scenes(path, size, repeat=True, num_workers=options.threads))

    threads = f"{options.threads} threads"
    rows = {
        "plain loop": lambda: (bool(plain_scene(plan, i)) for i in itertools.count()),
        f"plain loop, {threads}": in_threads,
        "host, NumPy, one thread": lambda: in_turn("host"),
        "host, NumPy, one thread, nothing cached": lambda: in_turn("host", fresh),
        f"host, NumPy, tf.data, {threads}": lambda: loaded("tf", "host"),
        f"host, NumPy, Grain, {threads}": lambda: loaded("grain", "host"),
        "device, the host's part, one thread": lambda: in_turn("device"),
        f"device, the host's part, tf.data, {threads}": lambda: loaded("tf", "device"),
        "device, the device's part on this processor": lambda: _on_device(batches("device")[0]),
        "TFRecord files of dry scenes": lambda: from_files("device"),
        "TFRecord files of rendered scenes": lambda: from_files("host"),
    }
    if keras.config.backend() == "tensorflow":
        rows[f"host, TensorFlow, {threads}"] = lambda: _in_graph(plan, options)
    return rows


def _count(batch):
    return len(batch[1]["azimuth"])


def _on_device(batch):
    """Renders one batch again and again; the sums are all that leaves the device."""
    inputs = {
        name: keras.Input(batch[0][name].shape[1:], name=name)
        for name in ("dry_audio", "rirs", "snr")
    }
    audio, target = SceneRenderer()(*inputs.values())
    model = keras.Model(inputs, keras.ops.sum(audio * target, axis=(1, 2)))
    arrays = {name: batch[0][name] for name in inputs}
    while True:
        model.predict_on_batch(arrays)
        yield _count(batch)


def _in_graph(plan, options):
    """The layer within tf.data, on the host."""
    import tensorflow as tf

    renderer = SceneRenderer()
    dataset = make_dataset(
        plan,
        10**6,
        options.batch_size,
        render="device",
        num_workers=options.threads,
        **prompts(plan),
    )

    def render(inputs, labels):
        audio, target = renderer(inputs["dry_audio"], inputs["rirs"], inputs["snr"])
        return {"audio": audio}, {**labels, "target": target}

    rendered = dataset.map(render, num_parallel_calls=options.threads, deterministic=True)
    return map(_count, rendered.prefetch(tf.data.AUTOTUNE))


def measure(plan, folder, options):
    """Lets the rows take turns; returns what `_rate` measures by row and round."""
    _limit_threads(options.threads)
    makers = make_rows(plan, folder, options)
    makers = {n: m for n, m in makers.items() if not options.row or n in options.row}
    rates = {name: [] for name in makers}
    for number in range(options.rounds):
        for name, make in makers.items():
            scenes = make()
            for _ in range(options.warm_up):
                next(scenes)
            rates[name].append(_rate(scenes, options.budget))
            del scenes  # a dataset keeps loading for as long as it is referenced
            print(f"round {number}, {name}: {rates[name][-1]}", file=sys.stderr, flush=True)
    return {
        "date": datetime.date.today().isoformat(),
        "machine": processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[2],
        "python": platform.python_version(),
        "backend": keras.config.backend(),
        **{name: getattr(options, name) for name in ("seconds", "threads", "batch_size", "seed")},
        "rates": rates,
    }


def _rate(scenes, budget):
    """Scenes per second, and per second of CPU time, over at least `budget` seconds."""
    count, started, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < budget:
        count += int(next(scenes))
    return count / (time.perf_counter() - started), count / (time.process_time() - used)


def _limit_threads(threads):
    if keras.config.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def table(results):
    """Rates in Markdown. CPU time is relevant where other work shares the machine."""
    lines = [
        f"| Pipeline | Scenes ({results['seconds']:g} s) per second | CPU time per scene | "
        f"Speed by that, plain loop = 1 | Cores for {GOAL:,} scenes/s |",
        "|---|---|---|---|---|",
    ]
    first = [own for _, own in next(iter(results["rates"].values()))]
    for name, rounds in results["rates"].items():
        elapsed, used = (statistics.median(rates) for rates in zip(*rounds, strict=True))
        ratios = sorted(own / other for (_, own), other in zip(rounds, first, strict=True))
        cells = [
            f"{elapsed:.0f}",
            f"{1000 / used:.1f} ms",
            f"{statistics.median(ratios):.1f} ({ratios[0]:.1f}–{ratios[-1]:.1f})",
            f"{GOAL / used:.1f}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append(
        "\n{date}, {machine}, {cores} cores, load {load:.1f}, {threads} threads, batches of "
        "{batch_size}, Keras on {backend}, Python {python}, seed {seed}.".format(**results)
    )
    return "\n".join(lines)


def _profile(plan, options):
    """Profile of one thread, as Markdown."""
    lines = ["| Stage | host | device, the host's part |", "|---|---|---|"]
    columns = [_stages(plan, render, options) for render in ("host", "device")]
    for stage in STAGES:
        cells = [f"{column[stage]:.2f} ms" if stage in column else "–" for column in columns]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _stages(plan, render, options):
    """Milliseconds per scene by stage."""
    made = SceneBatches(plan, 10**6, options.batch_size, render=render, **prompts(plan))
    made[0]
    count = max(2, options.scenes // options.batch_size)
    with cProfile.Profile() as profile:
        for index in range(count):
            made[index]
    times = {}
    for (file, _, function), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():
        times[f"{function} {pathlib.Path(file).stem}"] = 1000 * cumulative
    scenes = count * options.batch_size
    return {stage: times[key] / scenes for stage, key in STAGES.items() if key in times}


def _decode_table(folder, options):
    """CPU time per clip of each decoder, as Markdown."""
    import tensorflow as tf

    _limit_threads(1)
    rng = np.random.default_rng(options.seed)
    lines = ["| Files | `read_audio` | within tf.data |", "|---|---|---|"]
    for name, rate in (("wav", 16_000), ("flac", 16_000), ("ogg", 16_000), ("wav", 44_100)):
        noise = 0.1 * rng.standard_normal(round(options.seconds * rate))
        paths = [folder / f"{number}-{rate}.{name}" for number in range(16)]
        for path in paths:
            soundfile.write(path, noise, rate)
        dataset = make_audio_dataset(
            paths, batch_size=1, duration=options.seconds, repeat=True, num_workers=1
        ).prefetch(tf.data.AUTOTUNE)
        rates = [
            _rate((bool(len(read_audio(path))) for path in itertools.cycle(paths)), options.budget),
            _rate((len(audio) for audio in dataset), options.budget),
        ]
        cells = [f"{1000 / used:.2f} ms" for _, used in rates]
        lines.append(f"| {name}, {rate} Hz, {options.seconds:g} s | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _options(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of a scene")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rooms", type=int, default=100)
    parser.add_argument("--scenes", type=int, default=128, help="scenes written, or profiled")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--budget", type=float, default=4.0, help="seconds per row and round")
    parser.add_argument("--warm-up", type=int, default=2, help="batches before the clock starts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--row", action="append", help="only this row; repeatable")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--decode", action="store_true")
    parser.add_argument("--json", help="file for the figures")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
