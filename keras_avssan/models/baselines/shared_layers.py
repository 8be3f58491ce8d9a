"""Layers that several baselines use."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.log_mel_encoder import mel_matrix

_POWER_FLOOR = 1e-3  # relative to recordings of unit power


@keras.saving.register_keras_serializable(package="keras_avssan")
class MLP(FixedSettings, keras.layers.Layer):
    """Hidden layers with batch normalisation, ReLU and dropout.

    Args:
        widths: Width of each hidden layer, a sequence of integers.
        dropout: Share of units dropped after each while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Features, shape (..., features).
        training: Whether batch normalisation and dropout run in training mode.

    Returns:
        Tensor of shape (..., widths[-1]).

    Example:
        >>> MLP([1000, 1000, 1000])(keras.ops.ones((2, 51))).shape
        (2, 1000)
    """

    def __init__(self, widths: Sequence[int], dropout: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widths = list(widths)
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        dtype = self.dtype_policy
        self.hidden: list[keras.Layer] = []
        self.norms: list[keras.Layer] = []
        self.drops: list[keras.Layer] = []
        features = known_size("input_shape", input_shape, -1, "features")
        for i, width in enumerate(self.widths):
            hidden = keras.layers.Dense(width, dtype=dtype, name=f"hidden_{i}")
            norm = keras.layers.BatchNormalization(dtype=dtype, name=f"norm_{i}")
            hidden.build((*input_shape[:-1], features))
            norm.build((*input_shape[:-1], width))
            self.hidden.append(hidden)
            self.norms.append(norm)
            self.drops.append(keras.layers.Dropout(self.dropout, dtype=dtype, name=f"drop_{i}"))
            features = width
        self.built = True

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        for hidden, norm, drop in zip(self.hidden, self.norms, self.drops, strict=True):
            x = keras.ops.relu(norm(hidden(x), training=training))
            x = drop(x, training=training)
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.widths[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "widths": self.widths, "dropout": self.dropout}


def unit_power(x: Tensor) -> Tensor:
    """Scales vectors (..., d) to a root mean square of one; zeros stay zeros.

    A layer of correlation and prompt needs both at the same power, or it overfits either one.
    """
    return x.shape[-1] ** 0.5 * unit_length(x)


@keras.saving.register_keras_serializable(package="keras_avssan")
class PromptProjection(FixedSettings, keras.layers.Layer):
    """Projects prompt embeddings after they were scaled to a root mean square of one.

    Frozen encoders return embeddings of any length: those of unit length, such as CLIP's, are √d_V
    times smaller than features of unit variance, and have hardly any influence. The scaling is not
    part of the published baselines.

    Args:
        dim: Number of features.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        prompt: Prompt embeddings, shape (batch, d_V).

    Returns:
        Tensor of shape (batch, dim).

    Example:
        >>> PromptProjection(51)(keras.ops.ones((2, 512))).shape
        (2, 51)
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, prompt_shape: Shape) -> None:
        known_size("prompt_shape", prompt_shape, -1, "features")
        self.projection = keras.layers.Dense(self.dim, dtype=self.dtype_policy, name="projection")
        self.projection.build(prompt_shape)
        self.built = True

    def call(self, prompt: Tensor) -> Tensor:
        return self.projection(unit_power(prompt))

    def compute_output_shape(self, prompt_shape: Shape) -> Shape:
        return (*prompt_shape[:-1], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}


@keras.saving.register_keras_serializable(package="keras_avssan")
class StereoLogMel(FixedSettings, keras.layers.Layer):
    """Log-mel spectrogram of each channel, and cosine and sine of the phase difference.

    The cross-spectrum passes the mel filters as the powers do and is divided by the root of both
    channels' power in the band: the phase difference averaged over the band, strong bins first.
    Computed in float32 under every precision policy.

    Args:
        num_mels: Number of mel bands, those of `keras_avssan.encoders.LogMelEncoder`.
        sampling_rate: Sampling rate in hertz.
        phase: Whether the phase difference is returned too.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        spectrogram: Shape (batch, T, F, 4) as re1, im1, re2, im2.

    Returns:
        float32 tensor of shape (batch, T, num_mels, 4), or 2 without phase: log power of channel
        1 and 2, cosine and sine within [-1, 1].

    Example:
        >>> StereoLogMel(64)(keras.ops.ones((1, 9, 513, 4))).shape
        (1, 9, 64, 4)
    """

    def __init__(
        self, num_mels: int = 64, sampling_rate: int = 16000, phase: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.num_mels = num_mels
        self.sampling_rate = sampling_rate
        self.phase = phase

    def build(self, spectrogram_shape: Shape) -> None:
        num_bins = known_size("spectrogram_shape", spectrogram_shape, 2, "bins")
        highest = 0.975 * self.sampling_rate / 2.0
        self._mel = mel_matrix(num_bins, self.num_mels, self.sampling_rate, 60.0, highest)
        self.built = True

    def call(self, spectrogram: Tensor) -> Tensor:
        mel = ops.convert_to_tensor(self._mel)
        re1, im1, re2, im2 = (spectrogram[..., i] for i in range(4))
        power1 = ops.matmul(ops.square(re1) + ops.square(im1), mel)
        power2 = ops.matmul(ops.square(re2) + ops.square(im2), mel)
        maps = [ops.log(power1 + _POWER_FLOOR), ops.log(power2 + _POWER_FLOOR)]
        if self.phase:
            gain = ops.rsqrt((power1 + _POWER_FLOOR) * (power2 + _POWER_FLOOR))
            maps.append(ops.matmul(re1 * re2 + im1 * im2, mel) * gain)
            maps.append(ops.matmul(im1 * re2 - re1 * im2, mel) * gain)
        return ops.stack(maps, axis=-1)

    def compute_output_shape(self, spectrogram_shape: Shape) -> Shape:
        return (*spectrogram_shape[:2], self.num_mels, 4 if self.phase else 2)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_mels": self.num_mels,
            "sampling_rate": self.sampling_rate,
            "phase": self.phase,
        }
