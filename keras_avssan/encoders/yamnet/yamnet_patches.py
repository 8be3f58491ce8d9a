"""Layers that fit log-mel bands to the strides of YAMNet, and cut them into patches."""

import math
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.yamnet.yamnet_spectrogram import LOG_OFFSET, fitting

PATCH_FRAMES = 96
_SILENCE = math.log(LOG_OFFSET)


class FitFrames(FixedSettings, keras.layers.Layer):
    """Continues log-mel bands with silence to a number of frames that fits.

    Args:
        least: Smallest number of frames.
        step: The number of frames is `least` and a multiple of this one.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        log_mel: Log-mel bands, shape (batch, frames, 64).

    Returns:
        Tensor of shape (batch, more frames, 64).
    """

    def __init__(self, least: int, step: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least = least
        self.step = step

    def call(self, log_mel: Tensor) -> Tensor:
        known = log_mel.shape[1]
        # Not of the symbolic size of an exported program, which this would decide for.
        if isinstance(known, int) and fitting(known, self.least, self.step) == known:
            return log_mel
        frames = fitting(ops.shape(log_mel)[1], self.least, self.step)
        # More silence than needed, then cut: the same code for any number of frames.
        padding = [[0, 0], [0, self.least + self.step], [0, 0]]
        return ops.pad(log_mel, padding, constant_values=_SILENCE)[:, :frames]

    def compute_output_shape(self, log_mel_shape: Shape) -> Shape:
        batch, frames, bands = log_mel_shape
        count = None if frames is None else fitting(frames, self.least, self.step)
        return (batch, count, bands)


class CutPatches(FixedSettings, keras.layers.Layer):
    """Cuts log-mel bands into patches of 96 frames that start every `hop` frames.

    Args:
        hop: Distance between patches in frames.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        log_mel: Log-mel bands, shape (batch, frames, 64); 96 frames and a multiple of the hop.

    Returns:
        Tensor of shape (batch, patches, 96, 64).
    """

    def __init__(self, hop: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hop = hop

    def call(self, log_mel: Tensor) -> Tensor:
        # The type is named: PyTorch has none for sizes of an exported program.
        starts = self.hop * ops.arange(self._count(ops.shape(log_mel)[1]), dtype="int32")
        return ops.take(log_mel, starts[:, None] + ops.arange(PATCH_FRAMES)[None, :], axis=1)

    def _count(self, frames: Tensor) -> Tensor:
        return 1 + (frames - PATCH_FRAMES) // self.hop

    def compute_output_shape(self, log_mel_shape: Shape) -> Shape:
        batch, frames, bands = log_mel_shape
        count = None if frames is None else self._count(frames)
        return (batch, count, PATCH_FRAMES, bands)
