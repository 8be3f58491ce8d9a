"""Pictures that prompt for the targets of segments, from the catalog of another data set."""

import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import count, names, one_line
from keras_avssan._internal.tables.csv_files import read_csv_table
from keras_avssan._internal.tables.text_tables import join_tables
from keras_avssan._internal.types import PathLike
from keras_avssan.data.catalogs.catalog import Catalog, Picture
from keras_avssan.data.catalogs.checks import check_classes
from keras_avssan.data.starss23.annotations import STARSS23_CLASSES
from keras_avssan.data.starss23.segments import Segment
from keras_avssan.data.starss23.starss23 import STARSS23

_COLUMNS = ("class", "pictures")

ClassMap: TypeAlias = Mapping[str, str | Iterable[str]]


class SegmentPrompts:
    """Segments of STARSS23, each with a picture of its target's class.

    STARSS23 has no pictures of single sounds, so they come from a catalog: every picture of a
    class may be the prompt of every segment. The choice is a function of the seed and the segment's
    `id` alone. Segments of classes without pictures are left out and counted.

    Args:
        dataset: The `STARSS23` dataset.
        catalog: `Catalog` of the prompts, such as `PictureFolders`.
        class_map: Mapping from a class of STARSS23 to one class of the catalog or to several, or
            the path of a CSV file with the columns `class` and `pictures`, one such pair a row.
            `None` takes the catalog's classes of the same name.
        split: Split of the catalog that prompts come from; `None` for all.
        shard: `(index, count)`: of the pictures of a class, in the catalog's order, every
            `count`-th from `index` on. `(0, 2)` and `(1, 2)` share no picture, for training and
            tests.
        seed: Seed of the pictures.

    Raises:
        ValueError: `class_map` has an unknown class or is not a file, the catalog has no such
            split, `shard` is no pair with index < count, or no segment has a picture.

    Example:
        ```python
        prompts = SegmentPrompts(
            STARSS23("STARSS23", split="test"),
            PictureFolders("pictures"),
            {"telephone": "phone", "bell": ["church_bell", "bicycle_bell"]},
        )
        for segment in prompts.segments:
            picture = prompts.picture(segment)
        ```
    """

    def __init__(
        self,
        dataset: STARSS23,
        catalog: Catalog,
        class_map: ClassMap | PathLike | None = None,
        *,
        split: str | None = None,
        shard: tuple[int, int] = (0, 1),
        seed: int = 0,
    ) -> None:
        self.dataset = dataset
        self.catalog = catalog
        self.seed = check_integer("seed", seed)
        if split is not None and split not in catalog.splits:
            raise ValueError(
                f"`split` must be one of {list(catalog.splits)} or None. Received: split={split!r}"
            )
        self.class_map = _check_map(class_map, catalog)
        usable = [one for one in catalog.pictures if split in (None, one.split)]
        chosen = frozenset(_take(usable, *_check_shard(shard)))
        self._pools = {
            name: tuple(one for one in usable if one.class_name in prompted and one in chosen)
            for name, prompted in self.class_map.items()
        }
        self.segments = tuple(s for s in dataset.segments if self._pools.get(s.class_name))
        if not self.segments:
            raise ValueError(
                f"`class_map` must have pictures of one of {list(dataset.classes)}, the classes of "
                "the segments. Received: pictures of "
                f"{[name for name, pool in self._pools.items() if pool]}"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the targets."""
        present = {segment.class_name for segment in self.segments}
        return tuple(name for name in STARSS23_CLASSES if name in present)

    @cached_property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures that a segment may be prompted with, each once."""
        return tuple(dict.fromkeys(p for name in self.classes for p in self._pools[name]))

    @cached_property
    def without_pictures(self) -> dict[str, int]:
        """Number of segments left out, by the class that has no picture."""
        counts = Counter(s.class_name for s in self.dataset.segments)
        return {
            name: counts[name]
            for name in self.dataset.classes
            if counts[name] and not self._pools.get(name)
        }

    def picture(self, segment: Segment, draw: int = 0) -> Picture:
        """Returns a picture that prompts for a segment's target.

        Args:
            segment: One of `segments`.
            draw: Number of the draw, zero or more; tests use draw 0, training one for each round
                over the segments.

        Returns:
            `Picture` of the catalog.
        """
        pool = self._pools[segment.class_name]
        further = [draw] if draw else []
        rng = np.random.default_rng([self.seed, zlib.crc32(segment.id.encode()), *further])
        return pool[rng.integers(len(pool))]

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{count(len(self.segments), 'segment')} of {names(self.classes)}",
            f"seed {self.seed}",
        )

    def report(self) -> str:
        """Returns the report of the data set, and the classes without pictures.

        Returns:
            A string, see `STARSS23.report`.
        """
        lines = [f"{len(self.segments)} segments have a prompt."]
        if self.without_pictures:
            missing = ", ".join(f"{name} ({n})" for name, n in self.without_pictures.items())
            lines.append(f"Left out, because their class has no picture: {missing}.")
        return join_tables([self.dataset.report(), "\n".join(lines)])


def _take(pictures: Iterable[Picture], first: int, step: int) -> Iterator[Picture]:
    """Every `step`-th picture of each class, from number `first` on."""
    seen: Counter[str] = Counter()
    for picture in pictures:
        if seen[picture.class_name] % step == first:
            yield picture
        seen[picture.class_name] += 1


def _check_shard(shard: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(shard, tuple) or len(shard) != 2:
        raise ValueError(f"`shard` must be a tuple (index, count). Received: shard={shard!r}")
    first = check_integer("shard[0]", shard[0])
    step = check_integer("shard[1]", shard[1], least=1)
    if first >= step:
        raise ValueError(
            f"`shard` must be (index, count) with index < count. Received: shard={shard!r}"
        )
    return first, step


def read_class_map(path: PathLike) -> dict[str, list[str]]:
    """Reads which pictures stand for which class.

    Args:
        path: Path of a CSV file with the columns `class` and `pictures`; a class may have several
            rows, further columns are ignored.

    Returns:
        Dict from class of STARSS23 to classes of pictures.

    Raises:
        ValueError: There is no such file, or it lacks a column or an entry.

    Example:
        ```python
        read_class_map("classes.csv")  # {"bell": ["church_bell", "bicycle_bell"]}
        ```
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"`class_map` must be an existing file. Received: class_map='{path}'")
    name = f"`class_map` '{path}'"
    mapped: dict[str, list[str]] = {}
    for line, row in read_csv_table(path, name, _COLUMNS):
        if not (row["class"] and row["pictures"]):
            raise ValueError(
                f"{name}, line {line}: `class` and `pictures` must not be empty. Received: {row}"
            )
        mapped.setdefault(row["class"], []).append(row["pictures"])
    return mapped


def _check_map(
    class_map: ClassMap | PathLike | None, catalog: Catalog
) -> dict[str, tuple[str, ...]]:
    """Classes of the catalog by class of STARSS23."""
    if class_map is None:
        return {name: (name,) for name in STARSS23_CLASSES if name in catalog.classes}
    if isinstance(class_map, (str, os.PathLike)):
        class_map = read_class_map(class_map)
    check_classes(class_map, STARSS23_CLASSES, "class_map")
    return {
        name: check_classes(chosen, catalog.classes, "class_map")
        for name, chosen in class_map.items()
    }
