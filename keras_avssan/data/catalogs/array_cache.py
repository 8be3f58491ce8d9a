"""A small in-memory cache for decoded files."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np

from keras_avssan._internal.checks import check_integer


class ArrayCache:
    """Keep the most recently used arrays, up to a number of bytes.

    Safe for several threads. A pickled copy starts empty, so that worker processes receive no
    decoded data. Arrays are handed out read-only, for they are shared.

    Args:
        max_bytes: Int, the `cache_bytes` of a catalog: most memory held; 0 keeps nothing.
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
        """Int. Memory held at present, in bytes."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the array under `key`; where it is absent, `make()` it and keep it.

        Args:
            key: Hashable.
            make: Function without arguments that returns the array.

        Returns:
            The array, read-only.
        """
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

    def __getstate__(self):
        return {"max_bytes": self.max_bytes}

    def __setstate__(self, state) -> None:
        self.max_bytes = state["max_bytes"]
        self._clear()
