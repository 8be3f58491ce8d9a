"""A bounded queue between what records and what localises."""

import collections
import threading

import numpy as np


class BlockQueue:
    """Blocks (samples, channels) of a recording from one thread to another.

    At most `most` samples wait. Where more arrive, `put` waits, or with `drop` the oldest samples
    are replaced by NaN, which takes no memory, and counted in `lost`: time passes as it did.
    """

    def __init__(self, channels: int, most: int, drop: bool) -> None:
        self.lost = 0
        self._channels, self._most, self._drop = channels, most, drop
        self._blocks: collections.deque[np.ndarray] = collections.deque()
        self._waiting = 0  # samples
        self._missing = 0  # samples that were lost before those that wait
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, block: np.ndarray) -> bool:
        """Adds a block; false once the queue is closed."""
        with self._changed:
            while not self._drop and self._waiting and self._waiting + len(block) > self._most:
                if self._closed:
                    return False
                self._changed.wait()
            if self._closed:
                return False
            self._blocks.append(block)
            self._waiting += len(block)
            while self._drop and self._waiting > self._most and len(self._blocks) > 1:
                oldest = len(self._blocks.popleft())
                self._waiting -= oldest
                self._missing += oldest
                self.lost += oldest
            self._changed.notify_all()
            return True

    def close(self, error: BaseException | None = None) -> None:
        """Ends the recording; an error is raised once all blocks are taken."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    def take(self) -> np.ndarray | None:
        """All samples that wait, as one block; waits for some; `None` at the end."""
        with self._changed:
            while not (self._blocks or self._missing or self._closed):
                self._changed.wait()
            if self._missing:
                missing, self._missing = self._missing, 0
                return np.broadcast_to(np.float32(np.nan), (missing, self._channels))
            parts = list(self._blocks)
            self._blocks.clear()
            self._waiting = 0
            self._changed.notify_all()
        if parts:
            return np.concatenate(parts)
        if self._error is not None:
            raise self._error
        return None
