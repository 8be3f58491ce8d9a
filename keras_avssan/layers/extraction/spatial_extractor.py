"""Mask of the source at a given direction, whatever sound it is."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_integer, check_positive_number, check_shape
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings, WriteOnce
from keras_avssan.doa.steering import SPEED_OF_SOUND, phase_transform
from keras_avssan.layers.stereo_stft import cross_spectrum

_STRIDE = 4  # bins that the encoder joins
_REACH = 8  # bins that it sees
_MAPS = 7
_JOINED = 12  # channels at full resolution
_DILATIONS = (1, 2, 4, 8, 1, 2)
_CONTEXT_EVERY = 2  # blocks, of which the first sees the averages over the recording
_RADIANS = np.pi / 180


def check_bins(spectrogram_shape: Shape) -> int:
    """Number of bins of a spectrogram; a ValueError where it is unknown or below nine."""
    bins = spectrogram_shape[2] if len(spectrogram_shape) == 4 else None
    if bins is None or bins <= _REACH or spectrogram_shape[3] != 4:
        raise ValueError(
            "`spectrogram` must have shape (batch, T, F, 4), with "
            f"a known number of bins above {_REACH}. "
            f"Received: spectrogram.shape={tuple(spectrogram_shape)}"
        )
    return bins


@keras.saving.register_keras_serializable(package="keras_avssan")
class SpatialExtractor(FixedSettings, keras.layers.Layer):
    """Computes a mask of the source at an azimuth from spatial cues alone.

    The network knows no classes. Its inputs at every bin are the level of the mixture, the phase
    difference of the microphones relative to that of a plane wave from the azimuth (cosine and
    sine), the level difference, the frequency, the sine of the azimuth, and how well the best of
    the rivals, other directions at which there may be sources, fits the phase difference. A
    convolution that joins four bins leads to dilated residual convolutions over time and frequency,
    every second of which also sees the averages over the recording, by frequency and overall. A
    skip connection returns to the full resolution.
    Computed in float32 under every precision policy.

    Args:
        filters: Channels of the dilated convolutions.
        microphone_spacing: Distance between the microphones in metres.
        sampling_rate: Sampling rate in hertz.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        spectrogram: Spectrogram of a mixture of unit power, shape (batch, T, F, 4) as re1, im1,
            re2, im2, see `StereoSTFT`.
        azimuths: Azimuths in degrees, from 0 to 180, shape (batch, K).
        microphone_spacing: Optional distances in metres, shape (batch,).
        rivals: Optional azimuths of other sources in degrees, shape (batch, K, R): those that each
            of the K masks is to leave out; (batch, 1, R) for the same for all masks. A negative
            number stands for none.

    Returns:
        float32 masks on the amplitude, shape (batch, K, T, F), from 0 to 1.

    Raises:
        ValueError: If `filters` is not a positive integer, a distance or rate is not positive,
            the number of bins is unknown or below nine, or an input has another shape.

    Example:
        >>> masks = SpatialExtractor()(keras.ops.ones((1, 32, 513, 4)), keras.ops.ones((1, 3)))
        >>> masks.shape
        (1, 3, 32, 513)

    Reference:
        Beyond the paper. Gu et al., "Neural spatial filter: target speaker speech separation
        assisted with directional information", Interspeech 2019, for features towards a direction.
    """

    microphone_spacing = WriteOnce()
    sampling_rate = WriteOnce()

    def __init__(
        self,
        filters: int = 24,
        microphone_spacing: float = 0.2,
        sampling_rate: int = 16000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.filters = check_integer("filters", filters, 1)
        check_positive_number("microphone_spacing", microphone_spacing, "distance in metres")
        check_positive_number("sampling_rate", sampling_rate, "rate in hertz")
        self.microphone_spacing = microphone_spacing
        self.sampling_rate = sampling_rate

    def build(
        self,
        spectrogram_shape: Shape,
        azimuths_shape: Shape | None = None,
        microphone_spacing_shape: Shape | None = None,
        rivals_shape: Shape | None = None,
    ) -> None:
        bins = check_bins(spectrogram_shape)
        hertz = np.arange(bins) * self.sampling_rate / (2.0 * (bins - 1))
        # Phase of a plane wave along the axis of microphones one metre apart.
        self._phase = (2 * np.pi * hertz / SPEED_OF_SOUND).astype("float32")
        self._frequency = np.linspace(-1, 1, bins).astype("float32")
        self._joined_bins = (bins - 1) // _STRIDE * _STRIDE
        joined = (None, None, self._joined_bins // _STRIDE, self.filters)
        self.encoder = self._convolution(
            self.filters, (3, _REACH), strides=(1, _STRIDE), name="encoder"
        )
        self.encoder.build((None, None, self._joined_bins + _REACH - _STRIDE, _MAPS))
        self.norms, self.blocks = [], []
        for i, dilation in enumerate(_DILATIONS):
            # Over time, frequency and channels; the same for any duration.
            norm = keras.layers.GroupNormalization(
                1, epsilon=1e-5, dtype="float32", name=f"norm_{i}"
            )
            norm.build(joined)
            block = self._convolution(
                self.filters, 3, padding="same", dilation_rate=dilation, name=f"block_{i}"
            )
            block.build(joined)
            self.norms.append(norm)
            self.blocks.append(block)
        self.contexts = []
        for i in range(0, len(_DILATIONS), _CONTEXT_EVERY):
            context = keras.layers.Dense(self.filters, dtype="float32", name=f"context_{i}")
            context.build((None, None, None, 2 * self.filters))
            self.contexts.append(context)
        self.decoder = keras.layers.Dense(_STRIDE * _JOINED, dtype="float32", name="decoder")
        self.decoder.build(joined)
        self.join = self._convolution(_JOINED, 3, padding="same", name="join")
        self.join.build((None, None, bins, _JOINED + _MAPS))
        self.to_mask = keras.layers.Dense(1, dtype="float32", name="to_mask")
        self.to_mask.build((None, None, bins, _JOINED))
        self.built = True

    def _convolution(self, filters: int, size: Any, **kwargs: Any) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            filters, size, data_format="channels_last", dtype="float32", **kwargs
        )

    def call(
        self,
        spectrogram: Tensor,
        azimuths: Tensor,
        microphone_spacing: Tensor | None = None,
        rivals: Tensor | None = None,
    ) -> Tensor:
        batch, bins = spectrogram.shape[0], len(self._frequency)
        check_shape("spectrogram", spectrogram.shape, "batch, T, F, 4", (None, None, bins, 4))
        check_shape("azimuths", azimuths.shape, "batch, K", (batch, None))
        if microphone_spacing is not None:
            check_shape("microphone_spacing", microphone_spacing.shape, "batch", (batch,))
        if rivals is not None:
            count = 1 if rivals.shape[1:2] == (1,) else azimuths.shape[1]
            check_shape("rivals", rivals.shape, "batch, K, R", (batch, count, None))
        maps = self._maps(spectrogram, azimuths, microphone_spacing, rivals)
        batch, count, frames, bins, _ = ops.shape(maps)
        maps = ops.reshape(maps, (batch * count, frames, bins, _MAPS))
        masks = ops.square(self._root_mask(maps))
        return ops.reshape(masks, (batch, count, frames, bins))

    def _maps(
        self,
        spectrogram: Tensor,
        azimuths: Tensor,
        spacing: Tensor | None,
        rivals: Tensor | None = None,
    ) -> Tensor:
        """Inputs of the network, (batch, K, T, F, 7)."""
        first, second = (
            ops.square(spectrogram[..., i]) + ops.square(spectrogram[..., i + 1]) for i in (0, 2)
        )
        level = 0.25 * (ops.log(0.5 * (first + second) + 1e-5) + 4.0)
        difference = ops.tanh(0.25 * (ops.log(first + 1e-6) - ops.log(second + 1e-6)))
        real, imaginary = (
            part[:, None] for part in phase_transform(*cross_spectrum(spectrogram), 1e-18)
        )
        cosine, sine = self._wave(azimuths, spacing)
        in_phase = real * cosine + imaginary * sine
        shared = ops.ones_like(in_phase)
        maps = [
            level[:, None] * shared,
            in_phase,
            imaginary * cosine - real * sine,
            difference[:, None] * shared,
            ops.convert_to_tensor(self._frequency) * shared,
            ops.sin(ops.cast(azimuths, "float32") * _RADIANS)[..., None, None] * shared,
            -shared if rivals is None else self._rival(real, imaginary, rivals, spacing) * shared,
        ]
        return ops.stack(maps, axis=-1)

    def _wave(self, azimuths: Tensor, spacing: Tensor | None) -> tuple[Tensor, Tensor]:
        """Cosine and sine of the phase difference of plane waves, (batch, K, 1, F)."""
        distance = self.microphone_spacing if spacing is None else spacing[:, None]
        delay = distance * ops.cos(ops.cast(azimuths, "float32") * _RADIANS)
        phase = delay[..., None, None] * ops.convert_to_tensor(self._phase)
        return ops.cos(phase), ops.sin(phase)

    def _rival(
        self, real: Tensor, imaginary: Tensor, rivals: Tensor, spacing: Tensor | None
    ) -> Tensor:
        """Agreement of every bin with the rival that fits it best, -1 without any."""
        best = -ops.ones_like(real)
        for i in range(rivals.shape[-1]):
            cosine, sine = self._wave(rivals[..., i], spacing)
            there = rivals[..., i, None, None] >= 0
            best = ops.maximum(best, ops.where(there, real * cosine + imaginary * sine, -1.0))
        return best

    def _root_mask(self, maps: Tensor) -> Tensor:
        """The network: the square root of the mask on the amplitude, (batch * K, T, F)."""
        batch, frames, bins, _ = ops.shape(maps)
        edge = (_REACH - _STRIDE) // 2
        x = ops.pad(maps[:, :, : self._joined_bins], [[0, 0], [1, 1], [edge, edge], [0, 0]])
        x = self.encoder(x)
        for i, (norm, block) in enumerate(zip(self.norms, self.blocks, strict=True)):
            normed = norm(x)
            change = block(normed)
            if i % _CONTEXT_EVERY == 0:
                change = change + self._context(normed, self.contexts[i // _CONTEXT_EVERY])
            x = x + ops.relu(change)
        x = ops.reshape(ops.relu(self.decoder(x)), (batch, frames, self._joined_bins, _JOINED))
        rest = bins - self._joined_bins
        x = ops.concatenate([x, *([x[:, :, -1:]] * rest)], axis=2)
        x = ops.relu(self.join(ops.concatenate([x, maps], axis=-1)))
        return ops.sigmoid(self.to_mask(x)[..., 0])

    @staticmethod
    def _context(x: Tensor, layer: keras.layers.Layer) -> Tensor:
        """What the averages over time, and over time and frequency, add to every bin."""
        over_time = ops.mean(x, axis=1, keepdims=True)
        overall = ops.mean(over_time, axis=2, keepdims=True) * ops.ones_like(over_time)
        return layer(ops.concatenate([over_time, overall], axis=-1))

    def compute_output_shape(
        self,
        spectrogram_shape: Shape,
        azimuths_shape: Shape,
        microphone_spacing_shape: Shape | None = None,
        rivals_shape: Shape | None = None,
    ) -> Shape:
        return (azimuths_shape[0], azimuths_shape[1], *spectrogram_shape[1:3])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "microphone_spacing": self.microphone_spacing,
            "sampling_rate": self.sampling_rate,
        }
