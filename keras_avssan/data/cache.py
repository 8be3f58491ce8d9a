"""A small in-memory cache for decoded files."""

import threading
from collections import OrderedDict


class ArrayCache:
    """Keep the most recently used arrays, up to a number of bytes.

    Safe for several threads. A pickled copy starts empty, so that worker processes receive no
    decoded data. Arrays are handed out read-only, for they are shared.

    Args:
        max_bytes: Int. Upper bound of the memory held; 0 keeps nothing.
    """

    def __init__(self, max_bytes):
        if max_bytes < 0:
            raise ValueError(f"`max_bytes` must not be negative, got {max_bytes}.")
        self.max_bytes = max_bytes
        self._clear()

    def _clear(self):
        self._arrays = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def num_bytes(self):
        """Int. Memory held at present, in bytes."""
        return self._bytes

    def get(self, key, make):
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

    def _keep(self, key, array):
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

    def __setstate__(self, state):
        self.max_bytes = state["max_bytes"]
        self._clear()
