r"""Follows moving sources over time: the network alone, smoothed, and SRP-PHAT.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/tracking.py --scenes 8

Two sources in a simulated room, at 0 dB. In every other scene one of them passes the other, which
rests; in the rest both move and pass each other. Each source pauses once, for a quarter of the
scene. Each of them is prompted with a picture, window by window. An error counts where the source
sounds; the presence is scored between windows in which it sounds and those in which it pauses.
Recordings and pictures are the installed examples, or those of the split `val` of a folder,
`--data`.
"""

import argparse
import pathlib

import keras
import numpy as np
from machine import processor
from scipy.stats import rankdata
from tqdm import tqdm

from keras_avssan._internal.atomic_files import read_json, write_json
from keras_avssan.classical import SRPPHAT
from keras_avssan.data import ClassFolders, example_file
from keras_avssan.data.media.audio_io import read_audio
from keras_avssan.evaluation import bootstrap_interval
from keras_avssan.models import Localizer
from keras_avssan.simulation import arc_trajectory, render_moving, simulate_rirs
from keras_avssan.tracking import MotionModel
from keras_avssan.tracking.smoothing import smooth_scores
from keras_avssan.tracking.window_scores import WindowScores
from keras_avssan.tracking.windows import WindowGrid

RATE = 16000
NEAR = 10.0  # degrees
# Degrees from one simulated position to the next.
STEP = 2.0
# Share of a source's mean power from which it counts as sounding in a window.
SOUNDING = 0.05
SMOOTHINGS = {"each window alone": None, "filter": "online", "Viterbi": "offline"}
CLASSICAL = "SRP-PHAT, each window"


def main():
    options = _options()
    keras.utils.set_random_seed(options.seed)
    model = Localizer.from_preset(options.model)
    sounds = folder_sounds(options.data) if options.data else example_sounds()
    tracks = []
    for index in tqdm(range(options.scenes), desc="scenes", unit="scene"):
        scene = make_scene(sounds, index, options)
        for target in range(2):
            tracks.append(follow(model, scene, target, options))
    results = {
        "settings": {**vars(options), "backend": keras.backend.backend()},
        "machine": processor(),
        "scores": scores(tracks),
    }
    print(table(results["scores"]))
    if options.out:
        write_json(options.out, results)


def example_sounds():
    """Functions that read a recording and a picture, by class: the installed examples."""
    examples = read_json(pathlib.Path(example_file("examples.json")))
    names = sorted({one["class"] for mixture in examples.values() for one in mixture["sources"]})
    return {
        name: [(read_audio(example_file(f"sources/{name}.ogg"), RATE), example_file(f"{name}.jpg"))]
        for name in names
    }


def folder_sounds(folder):
    """Recordings of a second or more and pictures, by class, of the split `val`."""
    catalog = ClassFolders(folder, allow_single_picture=True)
    if "val" in catalog.splits:
        catalog = catalog.select(split="val")
    sounds = {}
    for name in catalog.classes:
        clips = [one for one in catalog.clips if one.class_name == name]
        pictures = [one for one in catalog.pictures if one.class_name == name]
        pairs = zip(clips, np.resize(np.array(pictures, object), len(clips)), strict=True)
        if pictures:
            sounds[name] = [
                (catalog.load_audio(clip), catalog.load_image(picture, 224))
                for clip, picture in pairs
            ]
    return {name: pairs for name, pairs in sounds.items() if pairs}


def make_scene(sounds, index, options):
    """The mixture (samples, 2), and of each source its prompt, sound, azimuth over time, pause."""
    rng = np.random.default_rng([options.seed, index])
    samples = round(options.duration * RATE)
    size = rng.uniform((6.0, 5.5, 2.6), (8.0, 7.0, 3.2))
    centre = size / 2 + [*rng.uniform(-0.3, 0.3, 2), 0.0]
    pair = centre + 0.1 * np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    start, end = rng.uniform(25.0, 50.0), rng.uniform(130.0, 155.0)
    middle = rng.uniform(75.0, 105.0)
    other = (middle, middle + 1.0) if index % 2 else (end, start)
    names = rng.choice(sorted(sounds), 2, replace=False)
    sources = []
    for name, (first, last) in zip(names, ((start, end), other), strict=True):
        recording, picture = sounds[name][rng.integers(len(sounds[name]))]
        pause = rng.uniform(0.05, 0.7) * samples
        pause = slice(round(pause), round(pause + 0.25 * samples))
        dry = np.resize(np.roll(recording, rng.integers(len(recording))), samples).copy()
        dry[pause] = 0.0
        positions = max(2, round(abs(last - first) / STEP))
        path = arc_trajectory(
            pair, rng.uniform(1.0, 2.0), (first, last), options.duration, positions
        )
        rirs = simulate_rirs(
            size, path.positions, pair, t60=rng.uniform(0.2, 0.4), image_attenuation=30.0
        )
        wet = np.asarray(keras.ops.convert_to_numpy(render_moving(dry, rirs, path.times)))
        power = np.mean(np.square(np.delete(wet, np.r_[pause], axis=0)))
        wet = wet / np.sqrt(power + 1e-12)
        sources.append((picture, wet, (first, last), pause))
    mixture = 0.05 * sum(wet for _, wet, _, _ in sources)
    mixture += 0.05 * 10 ** (-30 / 20) * rng.normal(size=mixture.shape)
    return mixture.astype("float32"), sources


def follow(model, scene, target, options):
    """Errors in degrees of each method where a source sounds, and presences there and in pauses."""
    mixture, sources = scene
    picture, wet, (first, last), pause = sources[target]
    grid = WindowGrid(options.window, options.hop, RATE, RATE)
    starts = [grid.start(index) for index in range(grid.count(len(mixture)))]
    powers = np.array([np.mean(np.square(wet[start : start + grid.length])) for start in starts])
    sounding = powers > SOUNDING
    # The reverberation of what was before has decayed.
    pausing = np.array(
        [pause.start + 0.2 * RATE <= start <= pause.stop - grid.length for start in starts]
    )
    times = np.array([grid.centre(index) for index in range(len(starts))])
    truth = first + (last - first) * times / options.duration
    track = model.track(
        mixture, picture, options.window, options.hop, min_presence=None, sampling_rate=RATE
    )
    raw = WindowScores(track.raw_posteriors, track.raw_presence, tuple(track.gaps))
    motion, result = MotionModel(), {}
    for name, smoothing in SMOOTHINGS.items():
        _, presence, azimuth = smooth_scores(raw, grid, motion, smoothing)
        result[name] = {"errors": np.abs(azimuth - truth)[sounding]}
        if presence is not None:
            usable = np.isfinite(presence)
            result[name]["present"] = presence[sounding & usable]
            result[name]["absent"] = presence[pausing & usable]
    windows = np.stack([mixture[start : start + grid.length] for start in starts])
    spectra = SRPPHAT().predict_on_batch({"audio": windows})["doa"]
    result[CLASSICAL] = {"errors": np.abs(1 + spectra.argmax(axis=1) - truth)[sounding]}
    return result


def scores(tracks):
    """Scores of each method: means over the windows of a track, averaged over tracks."""
    found = {}
    for name in (*SMOOTHINGS, CLASSICAL):
        ours = [track[name] for track in tracks if len(track[name]["errors"])]
        means = np.array([np.mean(one["errors"]) for one in ours])
        near = np.array([np.mean(one["errors"] <= NEAR) for one in ours])
        found[name] = {
            "tracks": len(ours),
            "windows": sum(len(one["errors"]) for one in ours),
            "mae": float(means.mean()),
            "mae_interval": list(map(float, bootstrap_interval(means))),
            "near": float(near.mean()),
            "near_interval": list(map(float, bootstrap_interval(near))),
            "presence_auroc": _area(tracks, name),
        }
    return found


def _area(tracks, name):
    """Area under the ROC curve of the presence over all windows, `None` without both kinds."""
    parts = {
        key: np.concatenate([track[name].get(key, np.zeros(0)) for track in tracks])
        for key in ("present", "absent")
    }
    present, absent = len(parts["present"]), len(parts["absent"])
    if not present or not absent:
        return None
    ranks = rankdata(np.concatenate([parts["present"], parts["absent"]]))[:present]
    return float((ranks.sum() - present * (present + 1) / 2) / (present * absent))


def table(found):
    """The scores in Markdown, with 95 % intervals over tracks."""
    lines = [
        "| Method | Error per window | Windows within 10° | Presence, area under ROC |",
        "|---|---|---|---|",
    ]
    for name, one in found.items():
        low, high = one["mae_interval"]
        cells = [f"{one['mae']:.1f}° ({low:.1f}–{high:.1f})"]
        low, high = one["near_interval"]
        cells.append(f"{100 * one['near']:.1f} % ({100 * low:.1f}–{100 * high:.1f})")
        area = one["presence_auroc"]
        cells.append("–" if area is None else f"{area:.2f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    first = next(iter(found.values()))
    lines.append(f"\n{first['tracks']} tracks, {first['windows']} windows.")
    return "\n".join(lines)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="avssan_sounds50", help="folder or name of a model")
    parser.add_argument("--data", help="folder of classes; the installed examples if not given")
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--duration", type=float, default=10.0, help="of a scene, s")
    parser.add_argument("--window", type=float, default=1.0, help="s")
    parser.add_argument("--hop", type=float, default=0.25, help="s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
