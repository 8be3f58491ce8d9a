"""Detection rate of changed copies of recordings and pictures, and false alarms.

    KERAS_BACKEND=torch python benchmarks/copies.py --data FOLDER
    KERAS_BACKEND=torch python benchmarks/copies.py    # built-in sounds and pictures

Every third recording and picture of a folder of classes is copied with a change, one change at a
time; the copies are searched among all originals as `find_leaks` searches them among splits. A
copy is found if it is paired with its own original; any other pair of a copy and an original is a
false alarm. Reported pairs of originals are listed, to be judged by a person. Finally the splits
of the folder are compared.
"""

import argparse
import collections
import datetime
import io
import itertools
import math

import numpy as np
import soundfile
import soxr
from machine import processor
from PIL import Image, ImageEnhance, ImageOps
from tqdm import tqdm

from keras_avssan.data import ClassFolders, SyntheticClasses, find_leaks
from keras_avssan.data.curation.fingerprints import PICTURE_SIZE
from keras_avssan.data.curation.near_duplicates import (
    find_copied_pictures,
    find_copied_sounds,
    fingerprint_picture,
    fingerprint_sound,
)
from keras_avssan.data.media.image_io import read_image

RATE = 16_000  # hertz
SIDE = 256  # pixels of the built-in pictures
ORIGINALS = "none: originals among each other"  # the row of what is not changed


def main():
    options = _options()
    catalog = ClassFolders(options.data, seed=options.seed) if options.data else SyntheticClasses()
    sounds = [catalog.load_audio(clip) for clip in tqdm(catalog.clips, "Reading sounds")]
    pictures = [_load(catalog, picture) for picture in tqdm(catalog.pictures, "Reading pictures")]
    for kind, items, rows in (
        ("recordings", catalog.clips, sound_rows(sounds, options.every)),
        ("pictures", catalog.pictures, picture_rows(pictures, options.every)),
    ):
        print(table(rows, kind) + "\n")
        for first, second, _, similarity in rows[ORIGINALS]["alarms"]:
            print(f"  {items[first].id} and {items[second].id}: {similarity:.2f}")
    print(f"\n{splits_line(catalog)}")
    print(f"One item of {options.every}, {processor()}, {datetime.date.today().isoformat()}.")


def _load(catalog, picture):
    """A picture in its own size, where it has one."""
    if isinstance(catalog, ClassFolders):
        return read_image(catalog.root / picture.id)
    return catalog.load_image(picture, SIDE)


# --- recordings ----------------------------------------------------------------------------


def sound_changes():
    """Functions of a recording at `RATE` by the name of what they do to it."""
    return {
        "20 dB quieter": lambda sound: 0.1 * sound,
        "inverted": np.negative,
        "Ogg Vorbis": lambda sound: _coded(sound, "OGG"),
        "MP3": lambda sound: _coded(sound, "MP3"),
        "resampled to 8 kHz and back": lambda s: soxr.resample(
            soxr.resample(s, RATE, 8000), 8000, RATE
        ),
        "without its first tenth": lambda sound: sound[len(sound) // 10 :],
        "its second half": lambda sound: sound[len(sound) // 2 :],
        "noise 30 dB below it": _with_noise,
        "5 % faster": lambda sound: soxr.resample(sound, 1.05 * RATE, RATE),
    }


def _coded(sound, form):
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format=form)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def _with_noise(sound):
    noise = np.random.default_rng(len(sound)).standard_normal(len(sound), "float32")
    return sound + 10 ** (-30 / 20) * np.sqrt(np.mean(sound**2)) * noise


def sound_rows(sounds, every):
    """Row of counts by the name of the change; see `_count`."""
    prints = [fingerprint_sound(sound, RATE) for sound in tqdm(sounds, "Fingerprints")]
    alarms = find_copied_sounds(prints, sounds.__getitem__)
    rows = {ORIGINALS: _originals(len(sounds), alarms)}
    for name, change in sound_changes().items():
        copies = [np.float32(change(sound)) for sound in tqdm(sounds[::every], name)]
        both = sounds + copies
        found = find_copied_sounds(
            prints + [fingerprint_sound(copy, RATE) for copy in copies],
            both.__getitem__,
            _groups(sounds, copies),
        )
        rows[name] = _count(found, len(sounds), len(copies), every, known=alarms)
    return rows


# --- pictures ------------------------------------------------------------------------------


def picture_changes():
    """Functions of a pillow image by the name of what they do to it."""
    return {
        "JPEG of quality 40": lambda picture: _jpeg(picture, 40),
        "half as wide and high": lambda p: p.resize((p.width // 2, p.height // 2)),
        "a third brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.33),
        "contrast of 70 %": lambda picture: ImageEnhance.Contrast(picture).enhance(0.7),
        "grey": lambda picture: ImageOps.grayscale(picture).convert("RGB"),
        "2 % cut from each side": lambda picture: ImageOps.crop(picture, picture.width // 50),
        "10 % cut from each side": lambda picture: ImageOps.crop(picture, picture.width // 10),
        "mirrored": ImageOps.mirror,
    }


def _jpeg(picture, quality):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def picture_rows(pictures, every):
    """Row of counts by the name of the change; see `_count`."""
    prints = [_fingerprint(picture) for picture in pictures]
    alarms = find_copied_pictures(prints)
    rows = {ORIGINALS: _originals(len(pictures), alarms)}
    for name, change in picture_changes().items():
        copies = []
        for picture in tqdm(pictures[::every], name):
            changed = change(Image.fromarray(np.uint8(np.rint(255 * picture))))
            copies.append(_fingerprint(np.asarray(changed)))
        found = find_copied_pictures(prints + copies, _groups(pictures, copies))
        rows[name] = _count(found, len(pictures), len(copies), every, known=alarms)
    return rows


def _fingerprint(picture):
    return fingerprint_picture(read_image(picture, PICTURE_SIZE))


# --- counts --------------------------------------------------------------------------------


def _groups(originals, copies):
    return ["original"] * len(originals) + ["copy"] * len(copies)


def _originals(number, alarms):
    return {"found": None, "alarms": alarms, "pairs": math.comb(number, 2)}


def _count(found, originals, copies, every, known):
    """Copies paired with their own original, other pairs, and how many pairs there are.

    Originals that are alike among each other are alike when copied: such pairs are not counted
    again.
    """
    alike = {pair for one in known for pair in itertools.permutations(one[:2])}
    pairs = [(first, every * (second - originals)) for first, second, *_ in found]
    own = {first for first, second in pairs if first == second}
    others = [pair for pair in pairs if pair[0] != pair[1] and pair not in alike]
    return {"found": (len(own), copies), "alarms": others, "pairs": copies * (originals - 1)}


def table(rows, kind):
    """Counts in Markdown."""
    lines = [f"| Change of {kind} | Found | Other pairs reported | Of pairs |"]
    lines.append("|---|---|---|---|")
    for name, row in rows.items():
        found = "{} of {}".format(*row["found"]) if row["found"] else "–"
        lines.append(f"| {name} | {found} | {len(row['alarms'])} | {row['pairs']:,} |")
    return "\n".join(lines)


def splits_line(catalog):
    """Leaks reported between the splits of the folder."""
    leaks = collections.Counter(leak.kind for leak in find_leaks(catalog, progress=True))
    return (
        f"Leaks between {', '.join(catalog.splits)}: {leaks['clip']} clips, "
        f"{leaks['picture']} pictures."
    )


def _options(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of classes; default: built-in sounds and pictures")
    parser.add_argument("--every", type=int, default=3, help="copy every so many-th item")
    parser.add_argument("--seed", type=int, default=0, help="of the splits, if not written down")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
