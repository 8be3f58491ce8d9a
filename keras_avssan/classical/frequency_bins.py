"""Bins of a range of frequencies, which the classical methods use."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from keras_avssan.layers.stereo_stft import StereoSTFT


def choose_bins(stft: StereoSTFT, sampling_rate: int, frequency_range: Sequence[float]) -> slice:
    """Bins of the frequency range, as a slice."""
    width = sampling_rate / stft.frame_length
    low, high = frequency_range
    first = max(1, int(np.ceil(low / width)))
    last = min(stft.num_bins - 2, int(np.floor(high / width)))
    if last < first:
        raise ValueError(
            f"`frequency_range` must hold a bin, which are {width:g} Hz apart, other than the "
            f"first and the last. Received: frequency_range={frequency_range}"
        )
    return slice(first, last + 1)


def checked_range(frequency_range: Sequence[float], sampling_rate: float) -> tuple[float, float]:
    """The range as a tuple of two floats from 0 to half the sampling rate."""
    limits = np.asarray(frequency_range, "float64")
    if limits.shape != (2,) or not 0 <= limits[0] < limits[1] <= sampling_rate / 2:
        raise ValueError(
            "`frequency_range` must be a lower and a higher frequency, from 0 to "
            f"{sampling_rate / 2:g} Hz. Received: frequency_range={frequency_range!r}"
        )
    return cast(tuple[float, float], tuple(limits.tolist()))
