"""Decimation of an oversampled time grid by a low-pass filter."""

import functools

import numpy as np
from keras import ops
from scipy import integrate

from keras_avssan._internal.backend import compiled
from keras_avssan._internal.types import Tensor

# Bins of the fine time grid in one sample. With linear interpolation between them, the low-passed
# response errs by at most -64 dB of an image's amplitude up to 7 kHz of 8.
OVERSAMPLING = 32

# Samples that are computed together; the low-pass reaches as far to either side.
FRAME = 24

# The low-pass is flat up to the first share of the Nyquist frequency and zero from the second.
_PASSBAND, _STOPBAND = 0.95, 1.05
_KAISER_SHAPE = 7.0


@compiled
def decimate(grid: Tensor) -> Tensor:
    """Low-passes the fine grid `(..., samples * OVERSAMPLING)` and keeps a bin a sample."""
    *batch, bins = grid.shape
    frames = ops.reshape(grid, (*batch, bins // (FRAME * OVERSAMPLING), FRAME * OVERSAMPLING))
    # Contributions of each frame of bins to the frames of samples before, at and after it.
    before, at, after = ops.split(ops.matmul(frames, ops.convert_to_tensor(_low_pass())), 3, -1)
    none = ops.zeros_like(at[..., :1, :])
    before = ops.concatenate([before[..., 1:, :], none], axis=-2)
    after = ops.concatenate([none, after[..., :-1, :]], axis=-2)
    return ops.reshape(before + at + after, (*batch, bins // OVERSAMPLING))


def low_pass_gain(frequency: np.ndarray) -> np.ndarray:
    """Gain of the low-pass, with a raised-cosine edge, at shares of the Nyquist frequency."""
    edge = np.clip((frequency - _PASSBAND) / (_STOPBAND - _PASSBAND), 0, 1)
    return 0.5 * (1 + np.cos(np.pi * edge))


@functools.cache
def _low_pass() -> np.ndarray:
    """Response of the samples in the frames before, at and after a bin: `(bins, 3 * FRAME)`."""
    bins = np.arange(FRAME * OVERSAMPLING)
    samples = np.arange(-FRAME, 2 * FRAME)
    lag = samples * OVERSAMPLING - bins[:, None]
    return _impulse_response(lag / OVERSAMPLING).astype("float32")


def _impulse_response(lag: np.ndarray) -> np.ndarray:
    """The low-pass at lags in samples, under a Kaiser window.

    The pass band is divided by the mean response of the linear interpolation.
    """
    frequency = np.linspace(0, _STOPBAND, 2001)
    response = low_pass_gain(frequency) / np.sinc(frequency / (2 * OVERSAMPLING)) ** 2
    lags, place = np.unique(np.abs(lag), return_inverse=True)
    values = np.array(
        [integrate.trapezoid(response * np.cos(np.pi * t * frequency), frequency) for t in lags]
    )
    window = np.sqrt(np.maximum(1 - (lags / FRAME) ** 2, 0))
    values *= np.where(lags < FRAME, np.i0(_KAISER_SHAPE * window) / np.i0(_KAISER_SHAPE), 0)
    return values[place].reshape(lag.shape)
