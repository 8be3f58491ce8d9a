r"""Localises prompted sounds all around with arrays: fused pairs, the best pair, SRP-PHAT.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/arrays.py --data FOLDER --scenes 40

Two sources in a simulated room, at 0 dB, at least 20 degrees apart in azimuth, at heights of up to
0.3 m above and below the array; each is prompted with a picture. The network answers for every pair
of the array, once a scene; what is compared is how these answers are used:

- fused, by the weights of the pairs and by the floor below which no posterior falls;
- a single pair, the one with the smallest mean error of all, chosen afterwards. Its error is that
  of the angle at the pair; to give an azimuth, it has to guess between front and back;
- SRP-PHAT of all microphones, which takes no prompt: its strongest direction, and the nearer one of
  its two strongest.

Recordings and pictures are the installed examples, or those of the split `val` of a folder,
`--data`.
"""

import argparse
import time

import keras
import numpy as np
from machine import processor
from tqdm import tqdm
from tracking import RATE, example_sounds, folder_sounds

from keras_avssan._internal.atomic_files import write_json
from keras_avssan.arrays import MicrophoneArray, fuse_posteriors
from keras_avssan.arrays.geometries import circle
from keras_avssan.arrays.pair_fusion import FLOOR
from keras_avssan.classical import ArraySRPPHAT
from keras_avssan.evaluation import bootstrap_interval
from keras_avssan.models import ArrayLocalizer, Localizer
from keras_avssan.simulation import simulate_rirs

NEAR = 10.0  # degrees
APART = 20.0  # degrees, of the azimuths of two sources
ARRAYS = {
    "square": MicrophoneArray(circle(4, 0.2 / np.sqrt(2), 45.0), "square"),
    "circle": MicrophoneArray(circle(6, 0.1), "circle"),
    # Simulated microphones are in free air.
    "tetrahedron": MicrophoneArray(MicrophoneArray.from_preset("starss23").positions),
    "respeaker_4": MicrophoneArray.from_preset("respeaker_4"),
}
# Weights and floors of the fusions that are compared.
FUSIONS = {
    "fused": ("uniform", FLOOR),
    "fused, floor 0.1": ("uniform", 0.1),
    "fused, floor 0.1, weights by spacing": ("spacing", 0.1),
    "fused, floor 0.01": ("uniform", 0.01),
    "fused, no floor": ("uniform", 0.0),
}
PAIR, PAIR_ANGLE = "best pair, guessing front or back", "best pair, angle at the pair"
STRONGEST, NEARER = "SRP-PHAT", "SRP-PHAT, nearer of two peaks"


def main():
    options = _options()
    keras.utils.set_random_seed(options.seed)
    model = Localizer.from_preset(options.model)
    sounds = folder_sounds(options.data) if options.data else example_sounds()
    results = {}
    for name in options.arrays:
        started = time.time()
        found = measure(model, ARRAYS[name], sounds, options)
        results[name] = {"seconds": time.time() - started, **found}
        print(f"\n{name}, {len(ARRAYS[name])} microphones, {found['pairs']} pairs\n", flush=True)
        print(table(found), flush=True)
    if options.out:
        settings = {**vars(options), "backend": keras.backend.backend()}
        write_json(options.out, {"settings": settings, "machine": processor(), "arrays": results})


def measure(model, array, sounds, options):
    """Scores of each way to use the answers of an array's pairs, over the scenes."""
    localizer, steered = ArrayLocalizer(model, array), ArraySRPPHAT(array, num_sources=2)
    scenes = []
    for index in tqdm(range(options.scenes), desc="scenes", unit="scene"):
        mixture, pictures, directions = make_scene(array, sounds, index, options)
        answer = localizer.answer(mixture, pictures, RATE)
        scenes.append((answer, steered.localize(mixture)[0], directions))
    scores = {}
    for name, (weights, floor) in FUSIONS.items():
        posteriors = [
            fuse_posteriors(one.pair_posteriors, array, one.pairs, weights=weights, floor=floor)
            for one, _, _ in scenes
        ]
        scores[name] = score_azimuths(
            [posterior.argmax(axis=-1) for posterior in posteriors], scenes
        )
    hits = np.array([one.confidence for one, _, _ in scenes])
    confidence = {"mean_confidence": float(hits.mean())}
    best, angles = best_pair(array, scenes)
    scores[PAIR_ANGLE] = angles
    scores[PAIR] = score_azimuths(guessed_azimuths(array, best, scenes, options.seed), scenes)
    scores[STRONGEST] = score_azimuths([[peaks[0]] * 2 for _, peaks, _ in scenes], scenes)
    scores[NEARER] = score_azimuths([nearer(*scene[1:]) for scene in scenes], scenes)
    pairs = localizer.pairs
    return {
        "scores": {name: summary(one) for name, one in scores.items()},
        "pairs": len(pairs),
        "best_pair": pairs[best].tolist(),
        **confidence,
    }


def make_scene(array, sounds, index, options):
    """The mixture (samples, M), a picture of each source, and directions from the array (2, 3)."""
    rng = np.random.default_rng([options.seed, index])
    samples = round(options.duration * RATE)
    size = rng.uniform((5.0, 4.5, 2.6), (8.0, 7.0, 3.2))
    centre = np.array([*(size[:2] / 2 + rng.uniform(-0.4, 0.4, 2)), rng.uniform(1.1, 1.5)])
    first = rng.uniform(0.0, 360.0)
    azimuths = np.radians([first, first + rng.uniform(APART, 360.0 - APART)])
    distances = rng.uniform(1.0, 1.7, 2)
    offsets = np.stack(
        [
            distances * np.cos(azimuths),
            distances * np.sin(azimuths),
            rng.uniform(-0.3, 0.3, 2),
        ],
        axis=1,
    )
    rirs = simulate_rirs(
        size,
        (centre + offsets)[None],
        array.placed(centre),
        t60=rng.uniform(0.2, 0.5),
        image_attenuation=30.0,
    )
    rirs = keras.ops.convert_to_numpy(rirs)[0]
    pictures, mixture = [], 0.0
    for name, responses in zip(rng.choice(sorted(sounds), 2, replace=False), rirs, strict=True):
        recording, picture = sounds[name][rng.integers(len(sounds[name]))]
        dry = np.resize(np.roll(recording, rng.integers(len(recording))), samples)
        wet = np.stack([np.convolve(dry, response)[:samples] for response in responses], axis=1)
        mixture = mixture + wet / (np.sqrt(np.mean(wet**2)) + 1e-9)
        pictures.append(picture)
    noise = 10 ** (-30 / 20) * rng.normal(size=mixture.shape)
    directions = offsets / np.linalg.norm(offsets, axis=1, keepdims=True)
    return (0.05 * (mixture + noise)).astype("float32"), pictures, directions


def score_azimuths(estimates, scenes):
    """Errors in degrees and selection of azimuths, two a scene: both (scenes, 2)."""
    errors, selected = [], []
    for both, (_, _, directions) in zip(estimates, scenes, strict=True):
        truth = np.degrees(np.arctan2(directions[:, 1], directions[:, 0]))
        apart = turned(np.asarray(both, float)[:, None] - truth)  # estimate, source
        errors.append(np.diag(apart))
        selected.append(np.diag(apart) < np.diag(apart[:, ::-1]))
    return np.array(errors), np.array(selected)


def turned(difference):
    """Angle in degrees, 0 to 180, between azimuths."""
    return np.abs((difference + 180.0) % 360.0 - 180.0)


def best_pair(array, scenes):
    """Number of the pair of the smallest mean error, and errors and selection of its angle."""
    pairs = scenes[0][0].pairs
    truth = np.stack([array.angles(pairs, directions) for _, _, directions in scenes])
    found = np.stack([one.pair_posteriors.argmax(axis=-1).T + 1.0 for one, _, _ in scenes])
    errors = np.abs(found - truth)  # (scenes, P, 2)
    best = int(errors.mean(axis=(0, 2)).argmin())
    return best, (errors[:, best], errors[:, best] < np.abs(found - truth[..., ::-1])[:, best])


def guessed_azimuths(array, pair, scenes, seed):
    """Azimuths, (scenes, 2), of a pair that guesses on which side of its axis a source is."""
    rng = np.random.default_rng(seed)
    axis = array.axes(scenes[0][0].pairs)[pair]
    found = np.stack([one.pair_posteriors[:, pair].argmax(axis=-1) + 1.0 for one, _, _ in scenes])
    side = rng.choice((-1.0, 1.0), found.shape)
    return np.degrees(np.arctan2(axis[1], axis[0])) + side * found


def nearer(peaks, directions):
    """For each source the nearer one of two peaks; the first where there is one."""
    peaks = peaks[np.isfinite(peaks)]
    truth = np.degrees(np.arctan2(directions[:, 1], directions[:, 0]))
    return peaks[turned(peaks[:, None] - truth).argmin(axis=0)]


def summary(scored):
    """Means with 95 % intervals over scenes."""
    errors, selected = scored
    columns = {"selection": selected, "mae": errors, "near": errors <= NEAR}
    result = {"scenes": len(errors)}
    for name, values in columns.items():
        means = values.mean(axis=1)
        result[name] = float(means.mean())
        result[f"{name}_interval"] = list(map(float, bootstrap_interval(means)))
    right = errors[selected]
    result["selected_mae"] = float(right.mean()) if right.size else None
    return result


def table(found):
    """The scores in Markdown."""
    lines = [
        "| Method | Selection | Error | Within 10° | Error when selected |",
        "|---|---|---|---|---|",
    ]
    for name, one in found["scores"].items():
        cells = []
        for key, factor, unit in (("selection", 100, " %"), ("mae", 1, "°"), ("near", 100, " %")):
            low, high = (factor * bound for bound in one[f"{key}_interval"])
            cells.append(f"{factor * one[key]:.1f}{unit} ({low:.1f}–{high:.1f})")
        right = one["selected_mae"]
        cells.append("–" if right is None else f"{right:.1f}°")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    confidence = found["mean_confidence"]
    first, second = found["best_pair"]
    lines.append(f"\nBest pair: {first} and {second}. Mean confidence: {confidence:.2f}.")
    return "\n".join(lines)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="avssan_sounds50", help="folder or name of a model")
    parser.add_argument("--data", help="folder of classes; the installed examples if not given")
    parser.add_argument("--arrays", nargs="+", choices=ARRAYS, default=list(ARRAYS))
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--duration", type=float, default=2.0, help="of a scene, s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
