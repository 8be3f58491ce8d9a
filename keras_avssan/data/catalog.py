"""What there is to hear and to see: clips and pictures, by class."""

import abc
import copy
from dataclasses import dataclass

import numpy as np

from keras_avssan.data.cache import ArrayCache
from keras_avssan.data.image_io import image_size


@dataclass(frozen=True)
class Clip:
    """One recording of a sound class.

    Args:
        class_name: Str.
        id: Str, unique among the clips of a catalog (a path relative to its root).
        instance: Str. The thing recorded: a clip and a picture of the same instance, such as a
            video's sound and one of its frames, are never paired.
        split: Str: `"train"`, `"val"` or `"test"`.
        num_samples: Int. Length at the catalog's sampling rate.
    """

    class_name: str
    id: str
    instance: str
    split: str
    num_samples: int


@dataclass(frozen=True)
class Picture:
    """One picture of a sound class.

    Args:
        class_name: Str.
        id: Str, unique among the pictures of a catalog (a path relative to its root).
        instance: Str. The thing shown; see `Clip`.
        split: Str: `"train"`, `"val"` or `"test"`.
    """

    class_name: str
    id: str
    instance: str
    split: str


class Catalog(abc.ABC):
    """Base class of all sources of clips and pictures.

    A subclass lists its clips and pictures and implements `read_clip` and `read_picture`.
    Whatever was read is kept in a private, bounded cache, which views made by `select` share.

    Args:
        clips: Iterable of `Clip`.
        pictures: Iterable of `Picture`.
        sampling_rate: Int. Rate of the audio in Hz.
        cache_bytes: Int. Memory for decoded audio and resized pictures together.
    """

    def __init__(self, clips, pictures, *, sampling_rate=16000, cache_bytes=512 * 2**20):
        self._clips = tuple(clips)
        self._pictures = tuple(pictures)
        self._sampling_rate = int(sampling_rate)
        self._cache = ArrayCache(cache_bytes)

    @property
    def clips(self):
        """Tuple of `Clip`."""
        return self._clips

    @property
    def pictures(self):
        """Tuple of `Picture`."""
        return self._pictures

    @property
    def classes(self):
        """Tuple of str: the classes that have a clip or a picture, sorted."""
        return tuple(sorted({item.class_name for item in (*self._clips, *self._pictures)}))

    @property
    def splits(self):
        """Tuple of str: the splits that have a clip or a picture, sorted."""
        return tuple(sorted({item.split for item in (*self._clips, *self._pictures)}))

    @property
    def sampling_rate(self):
        """Int. Rate of the audio in Hz."""
        return self._sampling_rate

    @abc.abstractmethod
    def read_clip(self, clip):
        """Read a clip: float32 array `(samples,)`, mono, at the catalog's sampling rate."""

    @abc.abstractmethod
    def read_picture(self, picture, size):
        """Read a picture: float32 array `(height, width, 3)` in [0, 1]."""

    def load_audio(self, clip):
        """Read a clip, or take it from the cache.

        Args:
            clip: `Clip` of this catalog.

        Returns:
            Float32 array of shape `(samples,)`, mono, at `sampling_rate`; read-only.
        """
        return self._cache.get(("clip", clip.id), lambda: self.read_clip(clip))

    def load_image(self, picture, size):
        """Read a picture in a given size, or take it from the cache.

        Args:
            picture: `Picture` of this catalog.
            size: Int, or tuple `(height, width)` in pixels.

        Returns:
            Float32 array of shape `(height, width, 3)` in [0, 1]; read-only.
        """
        size = image_size(size)
        return self._cache.get(
            ("picture", picture.id, size), lambda: self.read_picture(picture, size)
        )

    def select(self, classes=None, split=None):
        """A view of some classes, or of one split.

        Args:
            classes: Iterable of str, or `None` for all.
            split: Str, or `None` for all.

        Returns:
            A catalog of the same kind that shares this one's cache.

        Raises:
            ValueError: A class or the split is not in the catalog.

        Example:

        >>> SyntheticClasses().select(classes=["bird", "dog"]).classes
        ('bird', 'dog')
        """
        wanted = self.classes if classes is None else check_classes(classes, self.classes)
        if split is not None and split not in self.splits:
            raise ValueError(f"Unknown `split` {split!r}; this catalog has {list(self.splits)}.")
        view = copy.copy(self)
        view._clips, view._pictures = (
            tuple(x for x in items if x.class_name in wanted and split in (None, x.split))
            for items in (self._clips, self._pictures)
        )
        return view

    def __repr__(self):
        return (
            f"<{type(self).__name__}: {len(self.classes)} classes, {len(self._clips)} clips, "
            f"{len(self._pictures)} pictures>"
        )


def check_classes(asked, known):
    """Check that the classes asked for exist.

    Args:
        asked: Iterable of str.
        known: Iterable of str.

    Returns:
        Tuple of str: `asked`, without repetitions.

    Raises:
        ValueError: `asked` is empty, or holds a class that is not known.
    """
    asked = tuple(dict.fromkeys([asked] if isinstance(asked, str) else asked))
    known = sorted(known)
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ValueError(f"Unknown class {', '.join(map(repr, unknown))}; known are {known}.")
    if not asked:
        raise ValueError(f"`classes` names no class; known are {known}.")
    return asked


def check_splits(splits):
    """Check the shares of the train, validation and test splits.

    Args:
        splits: Tuple of three non-negative numbers.

    Returns:
        Dict from split name to its share, normalised; splits of share 0 are left out.

    Raises:
        ValueError: There are not three, one is negative, or all are zero.
    """
    shares = np.asarray(splits, "float64")
    if shares.shape != (3,) or not np.isfinite(shares).all() or shares.min() < 0 or not shares.any():
        raise ValueError(
            "`splits` must be three non-negative shares (train, val, test) that are not all "
            f"zero, got {splits!r}."
        )
    shares = dict(zip(("train", "val", "test"), shares / shares.sum(), strict=True))
    return {name: float(share) for name, share in shares.items() if share}
