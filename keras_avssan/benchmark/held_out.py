"""A catalog with a part of the training split held out to choose learning rates on."""

import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from keras_avssan.data.catalogs.catalog import Catalog, Clip, Picture

_Item = TypeVar("_Item", Clip, Picture)

HELD_OUT = "held-out"
_SHARE = 0.25
_LEAST = 3  # instances that a class needs to spare one


class HeldOut(Catalog):
    """Moves a quarter of the instances of a split to a further split, `"held-out"`.

    Of classes with fewer than three recordings, or pictures, none is moved.

    Example:
        >>> HeldOut(SyntheticClasses(), "train").splits
        ('held-out', 'test', 'train', 'val')
    """

    def __init__(self, catalog: Catalog, split: str = "train", seed: int = 0) -> None:
        self._source = catalog
        chosen = _choose(catalog, split, seed)

        def moved(items: Iterable[_Item]) -> list[_Item]:
            return [
                replace(item, split=HELD_OUT)
                if item.split == split and (item.class_name, item.instance) in chosen
                else item
                for item in items
            ]

        clips, pictures = moved(catalog.clips), moved(catalog.pictures)
        self._clip_of = {clip.id: clip for clip in catalog.clips}
        self._picture_of = {picture.id: picture for picture in catalog.pictures}
        super().__init__(clips, pictures, sampling_rate=catalog.sampling_rate, cache_bytes=0)

    def identity(self, item: Clip | Picture) -> str:
        """Returns what identifies a clip or picture in the catalog that has it."""
        originals = self._clip_of if isinstance(item, Clip) else self._picture_of
        return self._source.identity(originals[item.id])

    def read_clip(self, clip: Clip) -> np.ndarray:
        """Reads a clip from the catalog that has it."""
        return self._source.load_audio(self._clip_of[clip.id])

    def read_picture(self, picture: Picture, size: tuple[int, int]) -> np.ndarray:
        """Reads a picture from the catalog that has it."""
        return self._source.load_image(self._picture_of[picture.id], size)


def _choose(catalog: Catalog, split: str, seed: int) -> set[tuple[str, str]]:
    """Pairs of class and instance that are held out."""
    chosen: set[tuple[str, str]] = set()
    kinds: tuple[tuple[Clip | Picture, ...], ...] = (catalog.clips, catalog.pictures)
    for items in kinds:
        by_class: dict[str, list[str]] = defaultdict(list)
        for item in items:
            if item.split == split and item.instance not in by_class[item.class_name]:
                by_class[item.class_name].append(item.instance)
        for name, instances in by_class.items():
            free = [instance for instance in instances if (name, instance) not in chosen]
            # Where clips and pictures share instances, those of the clips may suffice for both.
            if len(free) < _LEAST or len(instances) - len(free) >= 2:
                continue
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            count = max(1, int(_SHARE * len(instances)))
            chosen |= {(name, free[i]) for i in rng.permutation(len(free))[:count]}
    return chosen
