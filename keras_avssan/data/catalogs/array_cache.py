"""Bounded in-memory cache of decoded files."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np

from keras_avssan._internal.checks import check_integer


class ArrayCache:
    """Keeps the most recently used arrays, up to a number of bytes.

    Safe for several threads. A pickled copy starts empty, so that worker processes receive no
    decoded data. Arrays are shared, hence read-only.

    Args:
        max_bytes: Limit of the memory held, the `cache_bytes` of a catalog; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = check_integer("cache_bytes", max_bytes)
        self._clear()

    def _clear(self) -> None:
        self._arrays: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> int:
        """Memory held at present, in bytes."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns the array under `key`, read-only; makes and keeps an absent one."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
                return self._arrays[key]
        array = make()
        array.setflags(write=False)
        self._keep(key, array)
        return array

    def _keep(self, key: Hashable, array: np.ndarray) -> None:
        with self._lock:
            if key in self._arrays or array.nbytes > self.max_bytes:
                return
            self._arrays[key] = array
            self._bytes += array.nbytes
            while self._bytes > self.max_bytes:
                _, oldest = self._arrays.popitem(last=False)
                self._bytes -= oldest.nbytes

    def __getstate__(self) -> dict[str, int]:
        return {"max_bytes": self.max_bytes}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.max_bytes = state["max_bytes"]
        self._clear()
