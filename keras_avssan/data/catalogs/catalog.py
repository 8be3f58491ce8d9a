"""Catalogs: clips and pictures by class, and how they are read."""

import abc
import copy
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from keras_avssan._internal.one_line import count, one_line
from keras_avssan.data.catalogs.array_cache import ArrayCache
from keras_avssan.data.catalogs.checks import check_classes
from keras_avssan.data.media.image_io import image_size


@dataclass(frozen=True)
class Clip:
    """One recording of a sound class.

    Args:
        class_name: The sound class.
        id: Unique among the clips of a catalog (a path relative to its root).
        instance: The thing recorded: a clip and a picture of the same instance, such as a video's
            sound and one of its frames, are never paired.
        split: `"train"`, `"val"` or `"test"`.
        num_samples: Length at the catalog's sampling rate.

    Example:
        >>> clip = Clip("dog", "dog/bark1.wav", "bark1", split="train", num_samples=32000)
        >>> clip.num_samples / 16000  # seconds
        2.0
    """

    class_name: str
    id: str
    instance: str
    split: str
    num_samples: int

    def __repr__(self) -> str:
        return one_line(
            self, f"{self.id!r} of {self.class_name}", self.split, f"{self.num_samples} samples"
        )


@dataclass(frozen=True)
class Picture:
    """One picture of a sound class.

    Args:
        class_name: The sound class.
        id: Unique among the pictures of a catalog (a path relative to its root).
        instance: The thing shown; see `Clip`.
        split: `"train"`, `"val"` or `"test"`.

    Example:
        >>> Picture("dog", "dog/rex.jpg", "rex", split="train").class_name
        'dog'
    """

    class_name: str
    id: str
    instance: str
    split: str

    def __repr__(self) -> str:
        return one_line(self, f"{self.id!r} of {self.class_name}", self.split)


class Catalog(abc.ABC):
    """Base class of all sources of clips and pictures.

    A subclass lists its clips and pictures and implements `read_clip` and `read_picture`.
    Decoded clips and pictures are kept in a bounded cache, shared with views made by `select`.

    Args:
        clips: All clips.
        pictures: All pictures.
        sampling_rate: Rate of the audio in Hz.
        cache_bytes: Memory for decoded audio and resized pictures together.

    Raises:
        ValueError: `cache_bytes` is negative.

    Example:
        ```python
        class Hums(Catalog):
            def __init__(self):
                names = ("low", "high")
                clips = [Clip(name, name, f"{name} hum", "train", 16000) for name in names]
                pictures = [Picture(name, name, f"{name} card", "train") for name in names]
                super().__init__(clips, pictures)

            def read_clip(self, clip):
                pitch = {"low": 100, "high": 1000}[clip.class_name]
                return np.float32(np.sin(2 * np.pi * pitch * np.arange(16000) / 16000))

            def read_picture(self, picture, size):
                return np.full((*size, 3), picture.class_name == "high", "float32")
        ```
    """

    def __init__(
        self,
        clips: Iterable[Clip],
        pictures: Iterable[Picture],
        *,
        sampling_rate: int = 16000,
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        self._clips = tuple(clips)
        self._pictures = tuple(pictures)
        self._sampling_rate = int(sampling_rate)
        self._cache = ArrayCache(cache_bytes)

    @property
    def clips(self) -> tuple[Clip, ...]:
        """All clips."""
        return self._clips

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures."""
        return self._pictures

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that have a clip or a picture, sorted."""
        return tuple(sorted({item.class_name for item in self._items}))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a clip or a picture, sorted."""
        return tuple(sorted({item.split for item in self._items}))

    @property
    def _items(self) -> tuple[Clip | Picture, ...]:
        return (*self._clips, *self._pictures)

    @property
    def sampling_rate(self) -> int:
        """Rate of the audio in Hz."""
        return self._sampling_rate

    @property
    def store(self) -> str | None:
        """Folder beside the data for embeddings of the pictures, or `None` to keep none."""
        return None

    def fingerprint(self, picture: Picture) -> str:
        """Returns a digest of a picture's content, by which kept embeddings are found.

        Args:
            picture: `Picture` of this catalog.

        Returns:
            A string that changes when the picture changes.

        Raises:
            NotImplementedError: The catalog has no `store`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `store`.")

    def identity(self, item: Clip | Picture) -> str:
        """Returns a name of a clip or picture that is the same wherever the data are stored.

        A model's training record lists by it which clips and pictures were in its training.

        Args:
            item: `Clip` or `Picture` of this catalog.

        Returns:
            Class and id; subclasses may add what else identifies the item.
        """
        return f"{item.class_name}/{item.id}"

    @abc.abstractmethod
    def read_clip(self, clip: Clip) -> np.ndarray:
        """Reads a clip: float32 array `(samples,)`, mono, at the catalog's sampling rate."""

    @abc.abstractmethod
    def read_picture(self, picture: Picture, size: tuple[int, int]) -> np.ndarray:
        """Reads a picture: float32 array `(height, width, 3)` in [0, 1]."""

    def load_audio(self, clip: Clip) -> np.ndarray:
        """Reads a clip, or takes it from the cache.

        Args:
            clip: `Clip` of this catalog.

        Returns:
            Float32 array of shape `(samples,)`, mono, at `sampling_rate`; read-only.
        """
        return self._cache.get(("clip", clip.id), lambda: self.read_clip(clip))

    def load_image(self, picture: Picture, size: int | tuple[int, int]) -> np.ndarray:
        """Reads a picture in a given size, or takes it from the cache.

        Args:
            picture: `Picture` of this catalog.
            size: Side of a square or `(height, width)`, in pixels.

        Returns:
            Float32 array of shape `(height, width, 3)` in [0, 1]; read-only.

        Raises:
            ValueError: `size` is neither.
        """
        size = image_size(size)
        return self._cache.get(
            ("picture", picture.id, size), lambda: self.read_picture(picture, size)
        )

    def select(self, classes: Iterable[str] | None = None, split: str | None = None) -> "Catalog":
        """Returns a view of some classes, or of one split.

        Args:
            classes: Names of the classes; `None` for all.
            split: Name of the split; `None` for all.

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
            raise ValueError(
                f"`split` must be one of {list(self.splits)} or None. Received: split={split!r}"
            )
        view = copy.copy(self)

        def chosen(item: Clip | Picture) -> bool:
            return item.class_name in wanted and split in (None, item.split)

        view._clips = tuple(filter(chosen, self._clips))
        view._pictures = tuple(filter(chosen, self._pictures))
        return view

    def __repr__(self) -> str:
        return one_line(
            self,
            count(len(self.classes), "class", "classes"),
            count(len(self._clips), "clip"),
            count(len(self._pictures), "picture"),
            " / ".join(self.splits),
            f"{self.sampling_rate} Hz",
        )
