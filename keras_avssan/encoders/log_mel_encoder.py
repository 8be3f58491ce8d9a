"""Log-mel audio encoder with one embedding per spectrogram frame."""

from collections.abc import Sequence
from typing import Any, cast

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_avssan._internal.frozen_layers import KeepsFrozenLayers, freeze_parts
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.spec_augment import SpecAugment
from keras_avssan.layers.stereo_stft import StereoSTFT


def mel_matrix(
    num_bins: int, num_mels: int, sampling_rate: int, lowest_hertz: float, highest_hertz: float
) -> np.ndarray:
    """Triangular filters on the mel scale 1127 ln(1 + f / 700), float32 (num_bins, num_mels).

    Each has a peak of one; the bins reach from 0 Hz to half the sampling rate.
    """

    def to_mel(hertz: ArrayLike) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    edges = np.linspace(to_mel(lowest_hertz), to_mel(highest_hertz), num_mels + 2)
    bins = to_mel(np.linspace(0.0, sampling_rate / 2.0, num_bins))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype("float32")


@keras.saving.register_keras_serializable(package="keras_avssan")
class LogMelEncoder(KeepsFrozenLayers, FixedSettings, keras.layers.Layer):
    """Encodes audio frame by frame, by convolutions over a log-mel spectrogram.

    Its frames are those of `StereoSTFT`, so its embeddings need no alignment in time. The
    spectrogram is computed in float32 under every precision policy.

    Args:
        dim: Dimension d_A of an embedding.
        filters: Number of filters of each 3 x 3 convolution; after the first the mel axis is
            pooled by 4, after the others by 2.
        num_mels: Number of mel bands.
        sampling_rate: Sampling rate in hertz.
        frame_length: Frame length in samples.
        hop_length: Hop in samples.
        dropout: Dropout on the features before the last projection.
        spec_augment: Greatest widths `(frequency, time)` of the masks on the normalised
            spectrogram in training, in mel bands and frames, see
            `keras_avssan.layers.spec_augment.SpecAugment`; no masks if not given.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        audio: Mono audio, shape (batch, samples).
        training: Whether dropout, batch normalisation and masks run in training mode.

    Returns:
        Embeddings, shape (batch, 1 + samples // hop_length, dim); embedding i is centred on
        sample `i * hop_length`.

    Raises:
        ValueError: If `spec_augment` is not a pair of integers of at least 0.

    Example:
        >>> LogMelEncoder()(keras.ops.ones((1, 16000))).shape
        (1, 32, 128)
    """

    also_fixed = ("hop_seconds", "offset_seconds")

    def __init__(
        self,
        dim: int = 128,
        filters: Sequence[int] = (32, 64, 128),
        num_mels: int = 64,
        sampling_rate: int = 16000,
        frame_length: int = 1024,
        hop_length: int = 512,
        dropout: float = 0.0,
        spec_augment: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "autocast": False})
        self.dim = dim
        self.filters = tuple(filters)
        self.num_mels = num_mels
        self.sampling_rate = sampling_rate
        self.frame_length = frame_length
        self.hop_length = hop_length
        self.dropout = dropout
        self.spec_augment = _check_widths(spec_augment)
        self.hop_seconds = hop_length / sampling_rate
        self.offset_seconds = 0.0
        self._mel = mel_matrix(
            frame_length // 2 + 1, num_mels, sampling_rate, 60.0, 0.975 * sampling_rate / 2.0
        )

    def build(self, input_shape: Shape) -> None:
        dtype = self.dtype_policy
        self.stft = StereoSTFT(self.frame_length, self.hop_length, name="stft")
        self.input_norm = keras.layers.BatchNormalization(
            momentum=0.9, dtype=dtype, name="input_norm"
        )
        self.input_norm.build((None, None, self.num_mels))
        self.masks = None
        if self.spec_augment is not None:
            self.masks = SpecAugment(*self.spec_augment, dtype=dtype, name="masks")
        self.convolutions, self.norms, self.pools = [], [], []
        bins, channels = self.num_mels, 1
        for i, filters in enumerate(self.filters):
            convolution = keras.layers.Conv2D(
                filters,
                3,
                padding="same",
                use_bias=False,
                data_format="channels_last",
                dtype=dtype,
                name=f"conv_{i}",
            )
            convolution.build((None, None, bins, channels))
            norm = keras.layers.BatchNormalization(momentum=0.9, dtype=dtype, name=f"norm_{i}")
            norm.build((None, None, bins, filters))
            factor = 4 if i == 0 else 2
            self.convolutions.append(convolution)
            self.norms.append(norm)
            pool = keras.layers.MaxPooling2D(
                (1, factor), data_format="channels_last", dtype=dtype, name=f"pool_{i}"
            )
            self.pools.append(pool)
            bins, channels = bins // factor, filters
        self.drop = keras.layers.Dropout(self.dropout, dtype=dtype, name="drop")
        self.projection = keras.layers.Dense(self.dim, dtype=dtype, name="projection")
        self.projection.build((None, None, bins * channels))
        freeze_parts(self)
        self.built = True

    def call(self, audio: Tensor, training: bool | None = None) -> Tensor:
        x = self.input_norm(self._log_mel(audio), training=training)
        if self.masks is not None:
            x = self.masks(x, training=training)
        x = x[..., None]
        for convolution, norm, pool in zip(self.convolutions, self.norms, self.pools, strict=True):
            # Pooled first: the largest value is the same, and there are fewer to rectify.
            x = ops.relu(pool(norm(convolution(x), training=training)))
        _, frames, bins, channels = ops.shape(x)
        x = ops.reshape(x, (-1, frames, bins * channels))
        return self.projection(self.drop(x, training=training))

    def _log_mel(self, audio: Tensor) -> Tensor:
        parts = self.stft(audio[..., None])
        power = ops.square(parts[..., 0]) + ops.square(parts[..., 1])
        return ops.log(ops.matmul(power, ops.convert_to_tensor(self._mel)) + 1e-3)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        samples = input_shape[1]
        frames = None if samples is None else 1 + samples // self.hop_length
        return (input_shape[0], frames, self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "filters": list(self.filters),
            "num_mels": self.num_mels,
            "sampling_rate": self.sampling_rate,
            "frame_length": self.frame_length,
            "hop_length": self.hop_length,
            "dropout": self.dropout,
            "spec_augment": self.spec_augment,
        }


def _check_widths(spec_augment: Sequence[int] | None) -> tuple[int, int] | None:
    if spec_augment is None:
        return None
    if not isinstance(spec_augment, (tuple, list)) or len(spec_augment) != 2:
        raise ValueError(
            "`spec_augment` must be a pair (frequency, time). "
            f"Received: spec_augment={spec_augment!r}"
        )
    SpecAugment(*spec_augment)  # raises an error for other widths
    return cast(tuple[int, int], tuple(spec_augment))
