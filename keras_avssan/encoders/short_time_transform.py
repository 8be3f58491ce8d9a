"""The short-time Fourier transform that audio encoders start from."""

import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_choice
from keras_avssan._internal.types import Tensor
from keras_avssan.layers.stereo_stft import convolve_frames

IMPLEMENTATIONS = ("fft", "conv")


def check_implementation(implementation: str) -> str:
    """Raises a ValueError for an implementation that is neither."""
    check_choice("implementation", implementation, IMPLEMENTATIONS)
    return implementation


def transform_frames(
    audio: Tensor, window: np.ndarray, hop_length: int, fft_length: int, implementation: str
) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of frames under a window, the first at sample 0: (batch, T, F).

    By `"fft"`, or `"conv"`, a convolution that every export format has; up to a shift in phase.
    """
    if implementation == "conv":
        return convolve_frames(audio, window, hop_length, fft_length)
    # `stft` centres the window in its samples; a shift does not change magnitudes.
    margin = (fft_length - len(window)) // 2
    audio = ops.pad(audio, [[0, 0], [margin, margin]])
    return ops.stft(audio, len(window), hop_length, fft_length, window=window, center=False)
