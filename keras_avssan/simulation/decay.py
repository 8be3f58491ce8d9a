"""Energy decay and reverberation time of impulse responses."""

import numpy as np
from keras import ops
from scipy import signal

from keras_avssan._internal.types import Tensor
from keras_avssan.simulation.validation import check_positive

# The line is fitted to the decay below this level, which leaves out the direct sound.
FIRST_LEVEL = -5.0  # decibels

# Further decay of a response, after the fitted part, before it ends: where a response is cut,
# energy is missing from the curve, and the curve bends down.
_HEADROOM = 10.0  # decibels

_HIGH_PASS_ORDER = 4


def energy_decay_curve(rirs: Tensor) -> np.ndarray:
    """Energy that is still to come at each sample, in decibels below that of the whole response.

    Args:
        rirs: impulse responses, array or tensor of shape `(..., length)`.

    Returns:
        float64 NumPy array of shape `(..., length)`: 0 at the start, falling, minus infinity where
        nothing is left, and NaN for a response of zeros.

    Raises:
        ValueError: If a response has no samples.

    Example:
    >>> energy_decay_curve([3.0, 1.0, 0.0]).round(1).tolist()
    [0.0, -10.0, -inf]

    Reference:
        M. R. Schroeder, New method of measuring reverberation time, JASA 37, 1965.
    """
    rirs = _responses(rirs)
    energy = np.cumsum(np.square(rirs[..., ::-1]), axis=-1)[..., ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(energy / energy[..., :1])


def reverberation_time(
    rirs: Tensor, sampling_rate: float, decay: float = 30.0, high_pass: float | None = 100.0
) -> np.ndarray:
    """Measures the reverberation time of impulse responses on their energy decay curves.

    A line is fitted to the curve from -5 dB to `decay` dB below that, by least squares, and
    extended to 60 dB: T30 by default, T20 with `decay=20`.

    Image responses need the high-pass. With positive reflection coefficients all images have the
    same sign, and their sum near 0 Hz grows, relative to the power of the reverberation, with the
    square of time. Without the filter the curve shows that component.

    Args:
        rirs: Impulse responses, array or tensor of shape `(..., length)`.
        sampling_rate: Sampling rate in hertz.
        decay: The part of the decay that the line is fitted to, in decibels.
        high_pass: Cut-off frequency in hertz of the filter before the measurement, `None` for none.

    Returns:
        float64 NumPy array of shape `(...)`, in seconds. NaN if a response ends too early: before
        its last sample that is not zero it must fall through the fitted part and leave time for
        10 dB more at that slope.

    Raises:
        ValueError: If a response has no samples, a value is not positive and finite, or
            `high_pass` is not below half the sampling rate.

    Example:
        >>> time = np.arange(16000) / 16000
        >>> noise = np.random.default_rng(0).standard_normal(16000)
        >>> float(reverberation_time(noise * 10 ** (-3 * time / 0.4), 16000).round(1))
        0.4

    Reference:
        ISO 3382-2, Measurement of room acoustic parameters, part 2, 2008.
    """
    sampling_rate = float(check_positive(sampling_rate, "sampling_rate"))
    decay = float(check_positive(decay, "decay"))
    curves = energy_decay_curve(high_passed(rirs, sampling_rate, high_pass))
    flat = curves.reshape(-1, curves.shape[-1])
    samples = np.array([_decay_samples(curve, decay) for curve in flat])
    return samples.reshape(curves.shape[:-1]) / sampling_rate


def _decay_samples(curve: np.ndarray, decay: float) -> float:
    """Samples in which one curve falls by 60 dB, or NaN."""
    end = np.count_nonzero(np.isfinite(curve))
    start, stop = (np.count_nonzero(curve > level) for level in (FIRST_LEVEL, FIRST_LEVEL - decay))
    if stop >= end or stop - start < 2:
        return np.nan
    slope = np.polyfit(np.arange(start, stop), curve[start:stop], 1)[0]
    if slope >= 0 or stop - _HEADROOM / slope > end:
        return np.nan
    return -60 / slope


def high_passed(rirs: Tensor, sampling_rate: float, cutoff: float | None) -> np.ndarray:
    """The responses without frequencies below `cutoff` in hertz; `None` keeps all.

    A causal filter: a backward one would smear the end of a response over its decay.
    """
    rirs = _responses(rirs)
    if cutoff is None:
        return rirs
    cutoff = float(check_positive(cutoff, "high_pass"))
    if cutoff >= sampling_rate / 2:
        raise ValueError(
            f"`high_pass` must be below half the sampling rate of {sampling_rate:g} Hz. "
            f"Received: high_pass={cutoff:g}"
        )
    sections = signal.butter(
        _HIGH_PASS_ORDER, cutoff, btype="highpass", fs=sampling_rate, output="sos"
    )
    ends = rirs.shape[-1] - np.argmax(rirs[..., ::-1] != 0, axis=-1, keepdims=True)
    return signal.sosfilt(sections, rirs, axis=-1) * (np.arange(rirs.shape[-1]) < ends)


def _responses(rirs: Tensor) -> np.ndarray:
    rirs = ops.convert_to_numpy(rirs) if ops.is_tensor(rirs) else rirs
    rirs = np.asarray(rirs, dtype="float64")
    if rirs.ndim == 0 or rirs.shape[-1] == 0:
        raise ValueError(
            f"`rirs` must have shape (..., length) with at least one sample. "
            f"Received: rirs of shape {rirs.shape}"
        )
    return rirs
