"""Search for clips and pictures that are in two splits of a catalog."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from keras_avssan._internal.one_line import one_line
from keras_avssan._internal.work_units import run_units
from keras_avssan.data.catalogs.catalog import Catalog, Clip, Picture
from keras_avssan.data.curation.fingerprints import PICTURE_SIZE
from keras_avssan.data.curation.near_duplicates import (
    Copy,
    Fingerprint,
    find_copied_pictures,
    find_copied_sounds,
    fingerprint_picture,
    fingerprint_sound,
)

# Clips or pictures that one unit of work reads.
_ITEMS_PER_UNIT = 32


@dataclass(frozen=True)
class Leak:
    """Two clips or pictures of different splits that show or sound the same.

    Args:
        kind: `"clip"` or `"picture"`.
        first: `Clip` or `Picture`.
        second: `Clip` or `Picture` of another split.
        reason: `"identical"` (every sample or pixel), `"near-duplicate"` (the same with another
            gain, format, size or beginning) or `"same instance"`.
        similarity: Correlation of the waveforms, or of the pictures, in [0, 1]; 1 where they are
            identical or share an instance.

    Example:
        ```python
        for leak in find_leaks(ClassFolders("sounds")):
            print(leak.first.id, leak.second.id, leak.reason)
        ```
    """

    kind: str
    first: Clip | Picture
    second: Clip | Picture
    reason: str
    similarity: float

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields as JSON-ready dicts, strings and numbers."""
        return asdict(self)

    def __repr__(self) -> str:
        return one_line(self, " ".join(str(self).split()))

    def __str__(self) -> str:
        return (
            f"{self.kind:<8}{self.reason:<15}{self.similarity:5.2f}  "
            f"{self.first.split}: {self.first.id}  {self.second.split}: {self.second.id}"
        )


def find_leaks(
    catalog: Catalog, *, engine: str = "processes", workers: int | None = 1, progress: bool = False
) -> list[Leak]:
    """Finds clips and pictures that are in two splits of a catalog, changed or unchanged.

    All of them are decoded. Identical ones have the same samples or pixels, whatever their names
    and formats. Near-duplicate sounds share spectral landmarks, and their waveforms correlate by
    0.6 or more at some shift: another gain, a lossy codec, another sampling rate, a cut at either
    end. Near-duplicate pictures agree in all but 12 of the 128 bits of a difference hash, and
    correlate by 0.9 or more: another format, size or compression, a little more light. Mirrored
    pictures and sounds of another speed or pitch are not found.

    Args:
        catalog: Any `Catalog`.
        engine: `"processes"` or `"ray"`, see `keras_avssan._internal.work_units.run_units`.
        workers: Number of units of work at a time; `None` for one a core.
        progress: Whether to show progress bars.

    Returns:
        List of `Leak`, clips first; empty where no item is in two splits.

    Raises:
        ValueError: A file is unreadable.

    Reference:
        Wang, "An industrial-strength audio search algorithm", ISMIR 2003 (the landmarks).

    Example:
        ```python
        catalog = ClassFolders("sounds", seed=0)
        for leak in find_leaks(catalog, workers=4):
            print(leak)
        ```
    """
    run = partial(run_units, engine=engine, workers=workers, progress=progress)
    clips, pictures = catalog.clips, catalog.pictures
    fingerprints = _fingerprint(run, partial(_read_clips, catalog), clips, "Clips")
    copied = find_copied_sounds(
        fingerprints,
        lambda place: catalog.load_audio(clips[place]),
        [clip.split for clip in clips],
    )
    leaks = _leaks("clip", clips, copied)
    fingerprints = _fingerprint(run, partial(_read_pictures, catalog), pictures, "Pictures")
    copied = find_copied_pictures(fingerprints, [picture.split for picture in pictures])
    leaks += _leaks("picture", pictures, copied)
    return leaks + _shared_instances(catalog)


def _fingerprint(
    run: Callable[..., Iterable[Any]],
    read: Callable[[int], list[Fingerprint]],
    items: Sequence[Any],
    description: str,
) -> list[Fingerprint]:
    """The fingerprints of all items, in their order."""
    starts = range(0, len(items), _ITEMS_PER_UNIT)
    parts = dict(run(read, starts, description=description))
    return [fingerprint for start in starts for fingerprint in parts[start]]


def _read_clips(catalog: Catalog, start: int) -> list[Fingerprint]:
    clips = catalog.clips[start : start + _ITEMS_PER_UNIT]
    return [fingerprint_sound(catalog.load_audio(clip), catalog.sampling_rate) for clip in clips]


def _read_pictures(catalog: Catalog, start: int) -> list[Fingerprint]:
    pictures = catalog.pictures[start : start + _ITEMS_PER_UNIT]
    return [fingerprint_picture(catalog.load_image(picture, PICTURE_SIZE)) for picture in pictures]


def _leaks(kind: str, items: Sequence[Any], copied: list[Copy]) -> list[Leak]:
    return [
        Leak(kind, items[copy.first], items[copy.second], copy.reason, copy.similarity)
        for copy in copied
    ]


def _shared_instances(catalog: Catalog) -> list[Leak]:
    """A leak for each instance and each further split that it is in."""
    leaks = []
    seen: dict[str, dict[str, Clip | Picture]] = {}
    items: list[Clip | Picture] = [*catalog.clips, *catalog.pictures]
    for item in items:
        splits = seen.setdefault(item.instance, {})
        if splits and item.split not in splits:
            kind = "clip" if isinstance(item, Clip) else "picture"
            leaks.append(Leak(kind, next(iter(splits.values())), item, "same instance", 1.0))
        splits.setdefault(item.split, item)
    return leaks
