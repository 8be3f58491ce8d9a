r"""Writes simulated recordings in the layout of STARSS23, from a folder of classes.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/starss23_material.py --data FOLDER \
        --classes dog cat songbird --out material

Each recording is one simulated room with the four microphones of the data set in free air, and
`--tracks` sequences of sounds: each sound is of a class that no other track plays at the time, at
one of some places, for 1 to 4 seconds, with pauses of up to a second in between. Rooms, places and
levels differ from recording to recording. The split `train` has recordings of the folder's split
`train`, the split `test` those of its split `val`.

The format has thirteen fixed classes: the first of `--classes` is written as the first of them, and
so on. `classes.csv` in `--out` is the class map that undoes this. Evaluate with `--baffle open`.
"""

import argparse
import csv
from pathlib import Path

import keras
import numpy as np
import soundfile
from scipy.signal import fftconvolve
from tqdm import tqdm

from keras_avssan._internal.atomic_files import whole_file, write_json
from keras_avssan.arrays import MicrophoneArray
from keras_avssan.data import STARSS23_CLASSES, ClassFolders
from keras_avssan.simulation import simulate_rirs

RATE = 24000
FRAME = RATE // 10
SPLITS = {"train": ("dev-train-sim", "fold3"), "test": ("dev-test-sim", "fold4")}
# Seconds of a sound and of the pause after it; decibels around the mean level of a sound.
SOUND, PAUSE, LEVEL = (1.0, 4.0), (0.0, 1.0), (-3.0, 3.0)
NOISE = -40.0  # decibels, relative to the sounds
FADE = 0.01  # seconds


def main():
    options = _options()
    keras.utils.set_random_seed(options.seed)
    catalog = ClassFolders(
        options.data, options.classes, sampling_rate=RATE, allow_single_picture=True
    )
    array = MicrophoneArray.from_preset("starss23")
    out = Path(options.out)
    counts = {"train": options.train, "test": options.test}
    for part, (split, count) in enumerate(counts.items()):
        sounds = by_class(catalog, "train" if split == "train" else "val", options.classes)
        for number in tqdm(range(count), desc=split, unit="recording"):
            rng = np.random.default_rng([options.seed, part, number])
            folder, fold = SPLITS[split]
            name = f"{fold}_room{number + 1}_mix001"
            write_recording(
                out, folder, name, *make_recording(rng, catalog, sounds, array, options)
            )
    with whole_file(out / "classes.csv") as path, open(path, "w", newline="") as file:
        pairs = zip(STARSS23_CLASSES, options.classes, strict=False)
        csv.writer(file, lineterminator="\n").writerows([("class", "pictures"), *pairs])
    write_json(out / "settings.json", vars(options))


def by_class(catalog, split, classes):
    """Clips of a split by class."""
    found = {
        name: [clip for clip in catalog.clips if (clip.class_name, clip.split) == (name, split)]
        for name in classes
    }
    empty = [name for name, clips in found.items() if not clips]
    if empty:
        raise SystemExit(
            f"`--classes` must have recordings of the split {split!r}: {empty} have not"
        )
    return found


def make_recording(rng, catalog, sounds, array, options):
    """Audio (samples, 4) and the rows of the annotation."""
    frames = round(10 * options.seconds)
    offsets, rirs = make_room(rng, array, options.places)
    audio = np.zeros((frames * FRAME, len(array)))
    rows = []
    playing = [(0, None)] * options.tracks  # end in frames, and class, by track
    while min(end for end, _ in playing) < frames:
        track = min(range(options.tracks), key=lambda one: playing[one][0])
        start = playing[track][0]
        others = {name for one, (_, name) in enumerate(playing) if one != track}
        name = str(rng.choice([one for one in options.classes if one not in others]))
        stop = min(start + round(10 * rng.uniform(*SOUND)), frames)
        place = rng.integers(options.places)
        clip = sounds[name][rng.integers(len(sounds[name]))]
        dry = excerpt(rng, catalog.load_audio(clip), (stop - start) * FRAME)
        first = start * FRAME
        for channel, response in enumerate(rirs[place]):
            wet = fftconvolve(dry, response)[: len(audio) - first]
            audio[first : first + len(wet), channel] += wet
        rows += [(frame, name, *position(offsets[place])) for frame in range(start, stop)]
        playing[track] = (stop + round(10 * rng.uniform(*PAUSE)), name)
    audio /= np.sqrt(np.mean(audio**2)) + 1e-9
    audio += 10 ** (NOISE / 20) * rng.normal(size=audio.shape)
    numbers = {name: index for index, name in enumerate(options.classes)}
    rows = sorted((frame, numbers[name], 0, *where) for frame, name, *where in rows)
    return 0.05 * audio, rows


def make_room(rng, array, places):
    """Positions of sources relative to the array (places, 3), and responses (places, 4, length)."""
    size = rng.uniform((5.0, 4.5, 2.6), (9.0, 8.0, 3.4))
    centre = np.array([*(size[:2] / 2 + rng.uniform(-0.4, 0.4, 2)), rng.uniform(1.1, 1.5)])
    azimuths = np.radians(rng.uniform(-180, 180, places))
    distances = rng.uniform(0.8, 1.7, places)
    heights = rng.uniform(-0.4, 0.4, places)
    offsets = np.stack(
        [distances * np.cos(azimuths), distances * np.sin(azimuths), heights], axis=1
    )
    rirs = simulate_rirs(
        size,
        (centre + offsets)[None],
        array.placed(centre),
        t60=rng.uniform(0.2, 0.6),
        sampling_rate=RATE,
        image_attenuation=20.0,
        tail=True,
        seed=int(rng.integers(2**31)),
    )
    return offsets, keras.ops.convert_to_numpy(rirs)[0]


def excerpt(rng, recording, samples):
    """A part of a recording, repeated where it is too short, faded and at a random level."""
    part = np.resize(np.roll(recording, -int(rng.integers(len(recording)))), samples).astype(float)
    ramp = np.minimum(1.0, np.arange(1, samples + 1) / (FADE * RATE))
    part *= ramp * ramp[::-1]
    return part / (np.sqrt(np.mean(part**2)) + 1e-9) * 10 ** (rng.uniform(*LEVEL) / 20)


def position(offset):
    """Azimuth and elevation in whole degrees, and distance in centimetres."""
    x, y, z = offset
    azimuth, elevation = np.degrees([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))])
    return round(azimuth), round(elevation), round(100 * np.linalg.norm(offset))


def write_recording(out, folder, name, audio, rows):
    """The audio and its annotation, in the published layout."""
    annotation = out / "metadata_dev" / folder / f"{name}.csv"
    sound = out / "mic_dev" / folder / f"{name}.wav"
    for path in (annotation, sound):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(annotation) as path, open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    with whole_file(sound) as path:
        soundfile.write(path, audio, RATE, subtype="PCM_16", format="WAV")


def _options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder of classes")
    parser.add_argument("--classes", nargs="+", required=True, help="3 to 13 classes of it")
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--train", type=int, default=60, help="recordings to train on (60)")
    parser.add_argument("--test", type=int, default=40, help="recordings to test on (40)")
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of each (60)")
    parser.add_argument("--tracks", type=int, default=2, help="sounds at a time (2)")
    parser.add_argument("--places", type=int, default=6, help="places of sounds in a room (6)")
    parser.add_argument("--seed", type=int, default=0, help="seed (0)")
    options = parser.parse_args()
    if not options.tracks < len(options.classes) <= len(STARSS23_CLASSES):
        parser.error(
            f"`--classes` must be more than the {options.tracks} tracks and at most "
            f"{len(STARSS23_CLASSES)}. Received: {len(options.classes)}"
        )
    return options


if __name__ == "__main__":
    main()
