"""Writes recordings and annotations as STARSS23 publishes them."""

import csv
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.data import STARSS23_CLASSES
from keras_avssan.encoders import ConvImageEncoder

RATE = 24000
SPEED_OF_SOUND = 343.0
RADIUS = 0.042
# Azimuth, elevation of M1 to M4.
DIRECTIONS = np.array([[45, 35], [-45, -35], [135, -35], [-135, 35]], "float64")


@dataclass(frozen=True)
class Sound:
    """A source: active from frame `start` to `stop`, at one azimuth a frame or at one for all."""

    class_name: str
    start: int
    stop: int
    azimuth: float | tuple[float, ...]
    elevation: float = 0.0
    number: int = 0

    def rows(self, columns):
        azimuths = np.broadcast_to(self.azimuth, self.stop - self.start)
        for frame, azimuth in zip(range(self.start, self.stop), azimuths, strict=True):
            class_index = STARSS23_CLASSES.index(self.class_name)
            row = [frame, class_index, self.number, int(azimuth), int(self.elevation), 180]
            yield row[:columns]


def vector(azimuth, elevation):
    """Unit vector: x to the front, y to the left, z up."""
    azimuth, elevation = np.radians(azimuth), np.radians(elevation)
    return np.stack(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ],
        axis=-1,
    )


def plane_wave(source, azimuth, elevation):
    """What the four microphones hear in free air, (samples, 4); exact fractional delays."""
    # Towards the source sound arrives earlier.
    leads = RADIUS * vector(*DIRECTIONS.T) @ vector(azimuth, elevation) / SPEED_OF_SOUND
    size = 2 * len(source)
    frequencies = np.fft.rfftfreq(size, 1 / RATE)[:, None]
    spectrum = np.fft.rfft(source, size)[:, None] * np.exp(2j * np.pi * frequencies * leads)
    return np.fft.irfft(spectrum, size, axis=0)[: len(source)]


def first_order(source, azimuth, elevation):
    """The same in first-order Ambisonics: W, Y, Z, X."""
    x, y, z = vector(azimuth, elevation)
    return np.stack([source, y * source, z * source, x * source], axis=1)


def render(sounds, seconds, encode=plane_wave, seed=0):
    """Noise at the places of the sounds, (samples, 4), with a noise floor."""
    rng = np.random.default_rng(seed)
    audio = 1e-3 * rng.standard_normal((round(seconds * RATE), 4))
    step = RATE // 10
    for sound in sounds:
        azimuths = np.broadcast_to(sound.azimuth, sound.stop - sound.start)
        for frame, azimuth in zip(range(sound.start, sound.stop), azimuths, strict=True):
            part = slice(frame * step, (frame + 1) * step)
            length = len(audio[part])
            noise = 0.05 * rng.standard_normal(length)
            audio[part] += encode(noise, azimuth, sound.elevation)[:length]
    return audio


class STARSS23Writer:
    """Writes the layout under a folder."""

    def __init__(self, root):
        self.root = Path(root)

    def recording(
        self,
        name="fold4_room23_mix001",
        sounds=(),
        seconds=10.0,
        folder="dev-test-sony",
        columns=6,
        format="mic",
        audio=None,
        rate=RATE,
    ):
        """One recording with its annotation; returns the path of the audio."""
        if audio is None:
            audio = np.zeros((round(seconds * rate), 4))
        rows = sorted(row for sound in sounds for row in sound.rows(columns))
        annotation = self._path("metadata_dev", folder, f"{name}.csv")
        with open(annotation, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        path = self._path(f"{format}_dev", folder, f"{name}.wav")
        soundfile.write(path, audio, rate, subtype="PCM_16")
        return path

    def _path(self, *parts):
        path = self.root.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@pytest.fixture
def writer(tmp_path):
    """Writes the published layout under one folder, `writer.root`."""
    return STARSS23Writer(tmp_path / "STARSS23")


@pytest.fixture(scope="session", name="sound")
def sound_fixture():
    """`sound(class_name, start, stop, azimuth, elevation=0, number=0)`, times in frames."""
    return Sound


@pytest.fixture(scope="session", name="render")
def render_fixture():
    """`render(sounds, seconds, encode, seed)`: noise at the places of the sounds."""
    return render


@pytest.fixture(scope="session", name="plane_wave")
def plane_wave_fixture():
    """`plane_wave(source, azimuth, elevation)`: (samples, 4) of free microphones."""
    return plane_wave


@pytest.fixture(scope="session", name="first_order")
def first_order_fixture():
    """`first_order(source, azimuth, elevation)`: (samples, 4) as W, Y, Z, X."""
    return first_order


@pytest.fixture
def pictures(tmp_path):
    """A folder with three pictures each of `church_bell`, `bicycle_bell` and `phone`."""
    rng = np.random.default_rng(0)
    for name in ("church_bell", "bicycle_bell", "phone"):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 255, (24, 24, 3), dtype="uint8")
            Image.fromarray(pixels).save(folder / f"picture{number}.png")
    return tmp_path / "pictures"


@pytest.fixture(scope="session")
def make_model(make_small_model):
    """`make_model(**options)` makes a tiny `AVSSAN` that reads pictures."""

    def make(**options):
        model = make_small_model(image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)), **options)
        # Eagerly where that is quick: to compile takes longer than the few steps of a test.
        model.compile(run_eagerly=keras.backend.backend() != "jax")
        return model

    return make


@pytest.fixture(scope="session")
def model_folder(make_model, tmp_path_factory):
    """A folder with such a model."""
    folder = tmp_path_factory.mktemp("models") / "my_model"
    make_model().save_to_preset(folder)
    return folder
