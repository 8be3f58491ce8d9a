"""Windows that follow one another in a recording, cut from blocks of any size."""

import dataclasses
import math

import numpy as np
import soxr

from keras_avssan._internal.checks import check_integer, check_positive_number
from keras_avssan.data.media.channel_pair import find_copies, find_dead
from keras_avssan.data.media.recordings import at_usual_level

# Seconds by which a window is continued at both ends before it is resampled.
_EDGE = 0.05
# Why a window has no direction, besides what `find_dead` finds.
NOT_FINITE, COPIES = "not finite", "copied channel"


@dataclasses.dataclass(frozen=True)
class WindowGrid:
    """Where windows lie: their duration and distance in seconds, rates in hertz.

    `source_rate` is that of the samples, `sampling_rate` that of the network.
    """

    window: float
    hop: float
    source_rate: int
    sampling_rate: int

    def __post_init__(self) -> None:
        """Checks the values."""
        for name in ("source_rate", "sampling_rate"):
            check_integer(name.replace("source", "sampling"), getattr(self, name), least=1)
        for name in ("window", "hop"):
            value = getattr(self, name)
            check_positive_number(name, value, "duration in seconds")
            if value * self.source_rate < 1.0:
                raise ValueError(
                    f"`{name}` must last for one sample or more, in seconds. Received: "
                    f"{name}={value!r}"
                )

    @property
    def length(self) -> int:
        """Samples of a window at the source's rate."""
        return round(self.window * self.source_rate)

    @property
    def network_length(self) -> int:
        """Samples of a window at the network's rate."""
        return round(self.window * self.sampling_rate)

    def start(self, index: int) -> int:
        """First sample of a window, at the source's rate."""
        return round(index * self.hop * self.source_rate)

    def centre(self, index: int) -> float:
        """Time of the middle of a window in seconds."""
        return (self.start(index) + self.length / 2) / self.source_rate

    def count(self, num_samples: int) -> int:
        """Number of windows that are complete within the first samples."""
        if num_samples < self.length:
            return 0
        index = math.floor((num_samples - self.length) / (self.hop * self.source_rate))
        while self.start(index + 1) + self.length <= num_samples:
            index += 1
        while self.start(index) + self.length > num_samples:
            index -= 1
        return index + 1

    def resample(self, stretch: np.ndarray) -> np.ndarray:
        """A window (samples, 2) at the network's rate; depends on its own samples alone.

        Both ends are continued by reflection, so that a constant offset makes no click there.
        """
        if self.source_rate == self.sampling_rate:
            return stretch
        pad = min(len(stretch) - 1, math.ceil(_EDGE * self.source_rate))
        unit = self.source_rate // math.gcd(self.source_rate, self.sampling_rate)
        whole = unit * math.ceil(pad / unit)  # a whole number of samples at both rates
        pad = whole if whole < len(stretch) else pad
        padded = np.pad(stretch, ((pad, pad), (0, 0)), "reflect", reflect_type="odd")
        resampled = soxr.resample(padded, self.source_rate, self.sampling_rate)
        first = round(pad * self.sampling_rate / self.source_rate)
        return resampled[first : first + self.network_length]


class WindowBuffer:
    """Cuts the windows of a stream from blocks (samples, 2); keeps what the next one needs."""

    def __init__(self, grid: WindowGrid) -> None:
        self.grid = grid
        self.received = 0  # samples so far
        self.next = 0  # index of the next window
        self._kept = np.zeros((0, 2), "float32")
        self._first = 0  # number of the first sample that is kept

    def skip_to(self, index: int) -> None:
        """Leaves out the windows before an index."""
        self.next = max(self.next, index)
        self._trim()

    def push(self, block: np.ndarray) -> tuple[list[int], list[np.ndarray]]:
        """Adds samples; returns indices and samples, at the source's rate, of the complete windows.

        The windows are views, valid until the next call.
        """
        self.received += len(block)
        # Of samples before the next window nothing is kept.
        block = block[max(0, self.grid.start(self.next) - self.received + len(block)) :]
        self._kept = np.concatenate([self._kept, block]) if len(self._kept) else block
        self._first = self.received - len(self._kept)
        due = range(self.next, self.grid.count(self.received))
        stretches = [self._cut(index) for index in due]
        self.next = max(self.next, due.stop)
        self._trim()
        return list(due), stretches

    def _cut(self, index: int) -> np.ndarray:
        start = self.grid.start(index) - self._first
        return self._kept[start : start + self.grid.length]

    def _trim(self) -> None:
        useless = min(max(0, self.grid.start(self.next) - self._first), len(self._kept))
        self._first += useless
        # A copy: a view would keep the whole block alive.
        self._kept = self._kept[useless:].copy()


def prepare(stretch: np.ndarray, grid: WindowGrid) -> tuple[np.ndarray | None, str]:
    """A window as the network takes it, or `None`; and why it has no direction, else empty."""
    if not np.isfinite(stretch).all():
        return None, NOT_FINITE
    stretch = at_usual_level(stretch)
    dead = find_dead(stretch)
    if dead:
        return None, dead
    if find_copies(stretch[None])[0]:
        return None, COPIES
    return grid.resample(stretch), ""
