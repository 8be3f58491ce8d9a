"""Impulse responses that are read from their files on demand."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_avssan._internal.types import PathLike


class ShardedRIRs:
    """One array `(rooms, S, 2, length)` of impulse responses over several memory-mapped files.

    Indexed by rooms and sources first; only the indexed parts are read, as arrays of their own.
    """

    # A copy in another process, such as a worker that loads data, opens the files again.
    def __init__(self, paths: Sequence[PathLike], rooms_per_shard: int) -> None:
        self._paths, self._rooms_per_shard = list(paths), rooms_per_shard
        self._shards = [np.load(path, mmap_mode="r", allow_pickle=False) for path in self._paths]
        first = self._shards[0]
        for path, shard in zip(self._paths, self._shards, strict=True):
            if shard.dtype != self.dtype or shard.ndim != 4 or shard.shape[1:] != first.shape[1:]:
                raise ValueError(
                    f"'{os.fspath(path)}' must hold float32 of shape "
                    f"(rooms, {', '.join(map(str, first.shape[1:]))}). "
                    f"Received: {shard.dtype} of shape {shard.shape}"
                )
        if any(len(shard) != rooms_per_shard for shard in self._shards[:-1]):
            raise ValueError(
                f"Every file of `paths` except the last must hold {rooms_per_shard} rooms. "
                f"Received: files of {[len(shard) for shard in self._shards]} rooms"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardedRIRs, (self._paths, self._rooms_per_shard)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the elements: float32."""
        return np.dtype("float32")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape `(rooms, S, 2, length)`."""
        return (sum(map(len, self._shards)), *self._shards[0].shape[1:])

    @property
    def ndim(self) -> int:
        """Number of axes: 4."""
        return 4

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(
                "`copy` must not be `False`: several files cannot be one array without a copy. "
                "Received: copy=False"
            )
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is None or first is Ellipsis:
            raise IndexError("The first index must choose rooms: an integer, a slice or integers.")
        num_rooms, num_sources = self.shape[:2]
        index = np.asarray(np.arange(num_rooms)[first])
        item: tuple[int, ...] = self.shape[1:]
        if not isinstance(first, slice) and rest and _chooses(rest[0]):
            # Only the chosen sources are read: they are the items then, not the rooms.
            index = index * num_sources + np.arange(num_sources)[rest.pop(0)]
            item = item[1:]
        taken = self._take(index.reshape(-1), item).reshape(*index.shape, *item)
        return taken[(*(slice(None),) * index.ndim, *rest)]

    def _take(self, index: np.ndarray, item: tuple[int, ...]) -> np.ndarray:
        """Copies items of this shape, numbered through all files, out of the files."""
        items_per_shard = self._rooms_per_shard * (self.shape[1] if len(item) == 2 else 1)
        numbers, rows = np.divmod(index, items_per_shard)
        taken = np.empty((len(index), *item), self.dtype)
        for number in np.unique(numbers):
            here = numbers == number
            taken[here] = self._shards[number].reshape(-1, *item)[rows[here]]
        return taken


def _chooses(key: Any) -> bool:
    """Whether an index is an integer or an array of integers."""
    return not (key is None or key is Ellipsis or isinstance(key, slice))
