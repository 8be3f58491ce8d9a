r"""Renders the example mixtures that are installed with the library, from recordings in its folder.

    KERAS_BACKEND=torch python docs/make_examples.py

Each mixture is 4 seconds of two sounds at 0 dB in a simulated room with two microphones. The
mixtures and `examples.json`, which holds the true azimuths, are written beside the recordings, in
`keras_avssan/examples`; `--out` names another folder. `CREDITS.md` there names the authors.
"""

import argparse
import pathlib

import keras
import numpy as np
import soundfile

from keras_avssan._internal.atomic_files import write_json
from keras_avssan.data import example_file, read_audio
from keras_avssan.data.scenes.convolution import convolve
from keras_avssan.simulation import Room, simulate_rirs

RATE, SECONDS = 16000, 4.0
SPACING, PEAK = 0.2, 0.9  # metres between the microphones; of full scale
# Two classes of each mixture with their azimuths in degrees and distances in metres, and the room:
# lengths in metres, reverberation time in seconds, centre of the pair and its rotation in degrees.
SCENES = [
    ((("dog", 50, 1.5), ("rain", 125, 1.8)), (6.2, 5.1, 2.8), 0.30, (3.0, 2.2, 1.3), 10),
    ((("rooster", 130, 1.6), ("helicopter", 65, 2.0)), (7.4, 5.8, 3.2), 0.40, (3.6, 2.6, 1.4), -25),
    ((("fire", 35, 1.4), ("dog", 105, 1.7)), (5.0, 4.4, 2.6), 0.25, (2.4, 2.0, 1.2), 40),
    ((("clock", 75, 1.3), ("rooster", 150, 1.8)), (5.6, 4.8, 2.7), 0.30, (2.9, 2.3, 1.3), -5),
]


def make_room(sources, size, t60, centre, rotation):
    """A `Room` with sources level with the pair, at azimuths and distances from its centre."""
    turned = np.radians(rotation)
    axis = np.array([np.cos(turned), np.sin(turned), 0.0])
    front = np.array([-np.sin(turned), np.cos(turned), 0.0])
    angles = np.radians([azimuth for _, azimuth, _ in sources])[:, None]
    distances = np.array([distance for *_, distance in sources])[:, None]
    positions = centre + distances * (np.cos(angles) * axis + np.sin(angles) * front)
    microphones = np.array(centre) + np.outer([0.5, -0.5], SPACING * axis)
    return Room(size, t60, microphones, positions)


def render(sources, room):
    """The mixture, float32 of shape (samples, 2); a recording that is too short is repeated."""
    samples = round(RATE * SECONDS)
    dry = [read_audio(example_file(f"sources/{name}.ogg"), RATE) for name, *_ in sources]
    dry = np.stack([np.resize(one, samples) for one in dry])
    rirs = simulate_rirs(
        room.size, room.sources[None], room.microphones, t60=room.t60, sampling_rate=RATE
    )
    wet = convolve(dry, keras.ops.convert_to_numpy(rirs)[0])
    wet /= np.sqrt(np.mean(np.square(wet), axis=(1, 2), keepdims=True))
    mixture = wet.sum(axis=0).T
    return mixture * (PEAK / np.abs(mixture).max())


def describe(sources, room):
    """What is known of a mixture."""
    return {
        "sources": [
            {
                "class": name,
                "azimuth": round(float(azimuth), 2),
                "picture": f"{name}.jpg",
                "recording": f"{name}.ogg",
            }
            for (name, *_), azimuth in zip(sources, room.azimuths, strict=True)
        ],
        "t60": room.t60,
        "microphone_spacing": SPACING,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = pathlib.Path(example_file("CREDITS.md")).parent
    parser.add_argument("--out", type=pathlib.Path, default=folder)
    out = parser.parse_args().out
    known = {}
    for sources, *place in SCENES:
        room = make_room(sources, *place)
        name = "_and_".join(name for name, *_ in sources) + ".flac"
        soundfile.write(out / name, render(sources, room), RATE, subtype="PCM_16")
        known[name] = describe(sources, room)
        print(f"{name}: {room}, {(out / name).stat().st_size / 1000:.0f} kB")
    write_json(out / "examples.json", known, indent=2)


if __name__ == "__main__":
    main()
