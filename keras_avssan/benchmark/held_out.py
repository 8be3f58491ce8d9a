"""A part of a split that is kept for choosing, without touching the test split."""

import zlib
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from keras_avssan.data.catalogs.catalog import Catalog

HELD_OUT = "held-out"
_SHARE = 0.25
_LEAST = 3  # instances that a class needs to spare one


class HeldOut(Catalog):
    """A catalog whose training split gives a quarter of its instances to a split of its own.

    Classes with fewer than three recordings, or pictures, keep all of them.

    Args:
        catalog: A `Catalog`.
        split: Str. Its split that gives.
        seed: Int. Seed of the choice.

    Example:
        >>> HeldOut(SyntheticClasses(), "train").splits
        ('held-out', 'test', 'train', 'val')
    """

    def __init__(self, catalog: Any, split: str = "train", seed: int = 0) -> None:
        self._source = catalog
        chosen = _choose(catalog, split, seed)

        def moved(items):
            return [
                replace(item, split=HELD_OUT)
                if item.split == split and (item.class_name, item.instance) in chosen
                else item
                for item in items
            ]

        clips, pictures = moved(catalog.clips), moved(catalog.pictures)
        self._originals = {
            (type(item), item.id): item for item in (*catalog.clips, *catalog.pictures)
        }
        super().__init__(clips, pictures, sampling_rate=catalog.sampling_rate, cache_bytes=0)

    def identity(self, item: Any):
        """What tells a clip or picture from all others in the catalog that has it."""
        return self._source.identity(self._originals[type(item), item.id])

    def read_clip(self, clip):
        """Read a clip from the catalog that has it."""
        return self._source.load_audio(self._originals[type(clip), clip.id])

    def read_picture(self, picture: Any, size: int):
        """Read a picture from the catalog that has it."""
        return self._source.load_image(self._originals[type(picture), picture.id], size)


def _choose(catalog: Any, split: str, seed: int):
    """Pairs of class and instance that are held out."""
    chosen: set[tuple[str, str]] = set()
    for items in (catalog.clips, catalog.pictures):
        by_class: dict[str, list[str]] = defaultdict(list)
        for item in items:
            if item.split == split and item.instance not in by_class[item.class_name]:
                by_class[item.class_name].append(item.instance)
        for name, instances in by_class.items():
            free = [instance for instance in instances if (name, instance) not in chosen]
            # Where clips and pictures share instances, those of the clips may do for both.
            if len(free) < _LEAST or len(instances) - len(free) >= 2:
                continue
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            count = max(1, int(_SHARE * len(instances)))
            chosen |= {(name, free[i]) for i in rng.permutation(len(free))[:count]}
    return chosen
