"""Small, fast stand-ins: a bank of decaying noise, folders of tones and plain pictures."""

import csv
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.data import ScenePlan, SyntheticClasses


@dataclass(frozen=True, eq=False)
class TinyBank:
    """What scenes need of a `keras_avssan.simulation.RIRBank`."""

    rirs: np.ndarray
    azimuths: np.ndarray
    t60: np.ndarray
    sampling_rate: int = 16000

    def __len__(self):
        return len(self.t60)


@pytest.fixture(scope="session")
def bank():
    rng = np.random.default_rng(0)
    rooms, sources, length = 5, 4, 600
    rirs = 0.05 * rng.standard_normal((rooms, sources, 2, length)) * np.exp(-np.arange(length) / 80)
    delays = rng.integers(20, 60, (rooms, sources, 2))
    np.put_along_axis(rirs, delays[..., None], 1.0, axis=-1)
    return TinyBank(
        rirs.astype("float32"),
        rng.uniform(0, 180, (rooms, sources)).astype("float32"),
        rng.uniform(0.2, 0.8, rooms).astype("float32"),
    )


@pytest.fixture(scope="session")
def catalog():
    return SyntheticClasses(instances_per_class=12, seed=3)


@pytest.fixture
def plan(catalog, bank):
    return ScenePlan(catalog, bank, split="train", seed=5, duration=0.5, snr=(-5.0, 5.0))


class FolderWriter:
    """Writes recordings and pictures of classes under one folder."""

    def __init__(self, root):
        self.root = root
        self._count = 0

    def clip(self, path, *, seconds=0.6, rate=16000, channels=1):
        self._count += 1
        file = self._path(path)
        samples = 0.1 * np.random.default_rng(self._count).standard_normal(
            (round(seconds * rate), channels)
        )
        soundfile.write(file, samples, rate)
        return file

    def picture(self, path, *, size=(20, 30)):
        self._count += 1
        file = self._path(path)
        colour = tuple(np.random.default_rng(self._count).integers(0, 200, 3).tolist())
        Image.new("RGB", size, colour).save(file)
        return file

    def files(self, class_name, clips, pictures):
        for number in range(clips):
            self.clip(f"{class_name}/sound{number}.wav")
        for number in range(pictures):
            self.picture(f"{class_name}/picture{number}.png")

    def metadata(self, rows, columns=("path", "class", "split")):
        with open(self._path("metadata.csv"), "w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])

    def _path(self, path):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


@pytest.fixture
def folder(tmp_path):
    return FolderWriter(tmp_path / "sounds")
