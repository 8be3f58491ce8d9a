"""Catalog of sounds and pictures made in code; it needs no files."""

import zlib
from collections.abc import Iterable

import numpy as np

from keras_avssan._internal.checks import check_integer
from keras_avssan.data.catalogs.catalog import Catalog, Clip, Picture
from keras_avssan.data.catalogs.checks import check_classes, check_splits
from keras_avssan.data.catalogs.synthetic_pictures import draw_picture
from keras_avssan.data.catalogs.synthetic_sounds import SOUND_CLASSES, synthesize_sound


class SyntheticClasses(Catalog):
    """Eight sound classes with drawn pictures: bell, bird, dog, drum, engine, flute, rain, siren.

    Every instance is a pure function of seed, class and number, made on first use. The
    sounds overlap in frequency and differ in how they move in time; the instances of a class
    differ in pitch, rate, rhythm, timbre and recording. Sounds and pictures are separate
    instances; the first numbers of each are for training, the next for validation, the last for
    testing.

    Args:
        classes: Names of the classes; `None` for all eight.
        instances_per_class: Number of clips of a class.
        pictures_per_class: Number of pictures of a class; `None` for as many as clips.
        splits: Shares of train, validation and test.
        seed: Random seed of all instances.
        duration: Length of a clip in seconds.
        sampling_rate: Rate of the audio in Hz, at least 16000.
        cache_bytes: Limit of the memory for sounds and pictures.

    Raises:
        ValueError: A class is unknown, or an argument is out of range.

    Example:
        >>> catalog = SyntheticClasses(classes=["bird", "rain"], instances_per_class=20)
        >>> catalog.load_audio(catalog.clips[0]).shape
        (32000,)
        >>> catalog.load_image(catalog.pictures[0], 64).shape
        (64, 64, 3)
    """

    def __init__(
        self,
        classes: Iterable[str] | None = None,
        *,
        instances_per_class: int = 200,
        pictures_per_class: int | None = None,
        splits: tuple[float, float, float] = (0.7, 0.15, 0.15),
        seed: int = 0,
        duration: float = 2.0,
        sampling_rate: int = 16000,
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        if pictures_per_class is None:
            pictures_per_class = instances_per_class
        check_integer("instances_per_class", instances_per_class, least=2)
        check_integer("pictures_per_class", pictures_per_class, least=2)
        check_integer("sampling_rate", sampling_rate, least=16000)
        if not (np.isfinite(duration) and duration >= 0.5):
            raise ValueError(f"`duration` must be at least 0.5 s. Received: duration={duration!r}")
        self.seed = check_integer("seed", seed)
        self.duration = duration
        classes = SOUND_CLASSES if classes is None else check_classes(classes, SOUND_CLASSES)
        shares = check_splits(splits)
        num_samples = round(duration * sampling_rate)
        clips = [
            Clip(name, id_, id_, split, num_samples)
            for name in classes
            for id_, split in _instances(f"{name}/sound", instances_per_class, shares)
        ]
        pictures = [
            Picture(name, id_, id_, split)
            for name in classes
            for id_, split in _instances(f"{name}/picture", pictures_per_class, shares)
        ]
        super().__init__(clips, pictures, sampling_rate=sampling_rate, cache_bytes=cache_bytes)

    def identity(self, item: Clip | Picture) -> str:
        """Returns class and number under the seed of this catalog."""
        return f"built-in/{self.seed}/{super().identity(item)}"

    def read_clip(self, clip: Clip) -> np.ndarray:
        """Makes the sound of a clip: float32 `(samples,)`, with an RMS of 0.1."""
        rng = self._generator(clip.id)
        return synthesize_sound(clip.class_name, rng, self.duration, self.sampling_rate)

    def read_picture(self, picture: Picture, size: tuple[int, int]) -> np.ndarray:
        """Draws a picture: float32 `(height, width, 3)` in [0, 1]."""
        return draw_picture(picture.class_name, self._generator(picture.id), size)

    def _generator(self, instance: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(instance.encode())])


def _instances(prefix: str, count: int, shares: dict[str, float]) -> list[tuple[str, str]]:
    """Pairs of id and split for `count` instances, the splits one after the other, none empty."""
    sizes = dict.fromkeys(shares, 0)
    for _ in range(count):
        neediest = max(
            sizes, key=lambda name: (not sizes[name], shares[name] * count - sizes[name])
        )
        sizes[neediest] += 1
    splits = [name for name, size in sizes.items() for _ in range(size)]
    return [(f"{prefix}-{number:05d}", split) for number, split in enumerate(splits)]
