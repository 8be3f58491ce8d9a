"""Augmentation of recordings before they are played: speed, pitch and colour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
import soxr

from keras_avssan._internal.checks import check_positive_number
from keras_avssan._internal.one_line import one_line, span

# Where an equaliser's gains are set; between them they are interpolated over octaves.
EQUALISER_HERTZ = tuple(62.5 * 2.0**octave for octave in range(8))
# Silence behind a sound that an equaliser may ring into, so that it does not return at the start.
_RING_SECONDS = 0.05


@dataclass(frozen=True)
class Augmentation:
    """Changes of one recording: its speed and pitch, and its colour.

    Args:
        speed: Factor of both speed and pitch: at 2 a recording lasts half as long and sounds an
            octave higher.
        equaliser: Gain in dB for each of the eight `EQUALISER_HERTZ`, an octave apart; empty for a
            recording whose colour stays as it is.

    Raises:
        ValueError: `speed` is not positive, or `equaliser` has another number of gains than 0 or 8.

    Example:
        >>> change = Augmentation(speed=1.1)
        >>> change.apply(np.ones(change.num_samples(16000), "float32"), 16000, 16000).shape
        (16000,)
    """

    speed: float = 1.0
    equaliser: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_positive_number("speed", self.speed, "factor")
        if len(self.equaliser) not in (0, len(EQUALISER_HERTZ)):
            raise ValueError(
                f"`equaliser` must be empty or hold {len(EQUALISER_HERTZ)} gains in dB. "
                f"Received: equaliser={self.equaliser!r}"
            )

    def __repr__(self) -> str:
        gains = span(self.equaliser, " dB")
        return one_line(self, f"speed {self.speed:.3g}", gains and f"equaliser {gains}")

    def num_samples(self, length: int) -> int:
        """Number of samples to crop from a recording so that `length` samples are played."""
        return length if self.speed == 1 else math.ceil(length * self.speed) + 1

    def apply(self, samples: np.ndarray, length: int, sampling_rate: int) -> np.ndarray:
        """Returns `length` samples, played from float32 samples of shape (num_samples(length),)."""
        if self.speed != 1:
            samples = soxr.resample(samples, sampling_rate * self.speed, sampling_rate)
            samples = np.pad(samples[:length], (0, max(0, length - len(samples))))
        if self.equaliser:
            samples = _equalise(samples, self.equaliser, sampling_rate)
        return samples


def draw_augmentations(
    rngs: Sequence[np.random.Generator],
    count: int,
    speed: tuple[float, float],
    equalise: float,
) -> tuple[Augmentation, ...]:
    """Draws speeds evenly over their logarithm, and gains from -`equalise` to `equalise` dB."""
    speed_rng, equaliser_rng = rngs
    low, high = speed
    speeds = (low * (high / low) ** speed_rng.random(count)).tolist()
    equalisers: list[tuple[float, ...]] = [()] * count
    if equalise:
        gains = equaliser_rng.uniform(-equalise, equalise, (count, len(EQUALISER_HERTZ)))
        equalisers = [tuple(row) for row in gains.tolist()]
    return tuple(map(Augmentation, speeds, equalisers))


def _equalise(samples: np.ndarray, gains: Sequence[float], sampling_rate: int) -> np.ndarray:
    """Weighs frequencies without shifting their phase."""
    length = len(samples)
    size = scipy.fft.next_fast_len(length + round(_RING_SECONDS * sampling_rate), real=True)
    weights = _interpolation(size, sampling_rate) @ np.asarray(gains, "float32")
    spectrum = scipy.fft.rfft(samples, size) * 10 ** (weights / 20)
    return scipy.fft.irfft(spectrum, size, overwrite_x=True)[:length]


@lru_cache(maxsize=4)
def _interpolation(size: int, sampling_rate: int) -> np.ndarray:
    """Matrix from gains at `EQUALISER_HERTZ` to gains of all bins, constant beyond both ends."""
    hertz = np.maximum(scipy.fft.rfftfreq(size, 1 / sampling_rate), EQUALISER_HERTZ[0])
    octaves = np.log2(EQUALISER_HERTZ)
    columns = [np.interp(np.log2(hertz), octaves, row) for row in np.eye(len(octaves))]
    return np.stack(columns, axis=-1).astype("float32")
