"""Impulse responses that stay in their files until they are asked for."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np


class ShardedRIRs:
    """One array of impulse responses over several memory-mapped `.npy` files.

    Indexed like a NumPy array, by rooms first: `rirs[rooms, sources, ...]`, where rooms and sources
    are an integer, a slice or arrays of integers that broadcast against each other, and what
    follows are integers and slices. Only what is asked for is read, and it is returned as an array
    of its own. `np.asarray(rirs)` reads all of it.

    A copy in another process, such as a worker that loads data, opens the files anew.

    Args:
        paths: the files, in order: float32 arrays of shape `(rooms, S, 2, length)`.
        rooms_per_shard: number of rooms in each file but the last, which may hold fewer.

    Raises:
        ValueError: If a file is shorter than its header says, or the shapes do not fit together.

    Example:
        ```python
        rirs = ShardedRIRs(["rirs-00000.npy", "rirs-00001.npy"], rooms_per_shard=100)
        rirs[[3, 150], [0, 2]].shape  # (2, 2, length)
        ```
    """

    def __init__(self, paths: Sequence[str | os.PathLike], rooms_per_shard: int) -> None:
        self._paths, self._rooms_per_shard = list(paths), rooms_per_shard
        self._shards = [np.load(path, mmap_mode="r", allow_pickle=False) for path in self._paths]
        first = self._shards[0]
        for path, shard in zip(self._paths, self._shards, strict=True):
            if shard.dtype != self.dtype or shard.ndim != 4 or shard.shape[1:] != first.shape[1:]:
                raise ValueError(
                    f"{os.fspath(path)} holds {shard.dtype} of shape {shard.shape}, not float32 "
                    f"of shape (rooms, {', '.join(map(str, first.shape[1:]))})."
                )
        if any(len(shard) != rooms_per_shard for shard in self._shards[:-1]):
            raise ValueError(f"Every file but the last must hold {rooms_per_shard} rooms.")

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardedRIRs, (self._paths, self._rooms_per_shard)

    @property
    def dtype(self) -> np.dtype:
        """Type of the elements: float32."""
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
            raise ValueError("Responses in several files cannot be one array without a copy.")
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
    """Whether an index is an integer or an array of them."""
    return not (key is None or key is Ellipsis or isinstance(key, slice))
