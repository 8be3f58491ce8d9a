"""SELDNet: magnitudes and phases through convolutions and gated recurrent units."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone

# Power, relative to the mean of the recording, below which magnitudes hardly differ.
_POWER_FLOOR = 1e-4
_NUM_MAPS = 4


@keras.saving.register_keras_serializable(package="keras_avssan")
class ConvPoolBlock(FixedSettings, keras.layers.Layer):
    """Convolution 3 x 3, batch normalisation, ReLU, and the largest of neighbouring bins.

    Args:
        filters: Number of filters.
        pool_size: Number of neighbouring bins of which the largest is kept. Bins that do not fill
            a group at the upper end are dropped.
        dropout: Share of values dropped while training.
        momentum: Share of its running statistics that batch normalisation keeps each step.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Maps, shape (batch, T, F, channels).
        training: Whether batch normalisation and dropout run in training mode.

    Returns:
        Tensor of shape (batch, T, F // pool_size, filters).

    Example:
        >>> ConvPoolBlock(64, pool_size=8)(keras.ops.ones((2, 5, 512, 4))).shape
        (2, 5, 64, 64)
    """

    def __init__(
        self,
        filters: int,
        pool_size: int,
        dropout: float = 0.0,
        momentum: float = 0.99,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.pool_size = pool_size
        self.dropout = dropout
        self.momentum = momentum

    def build(self, input_shape: Shape) -> None:
        known_size("input_shape", input_shape, -1, "channels")
        dtype = self.dtype_policy
        self.conv = keras.layers.Conv2D(
            self.filters,
            3,
            padding="same",
            data_format="channels_last",
            dtype=dtype,
            name="conv",
        )
        self.norm = keras.layers.BatchNormalization(
            momentum=self.momentum, dtype=dtype, name="norm"
        )
        self.drop = keras.layers.Dropout(self.dropout, dtype=dtype, name="drop")
        self.conv.build(input_shape)
        self.norm.build((*input_shape[:-1], self.filters))
        self.built = True

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        x = ops.relu(self.norm(self.conv(x), training=training))
        return self.drop(self._pool(x), training=training)

    def _pool(self, x: Tensor) -> Tensor:
        # A maximum over an axis of its own, whose gradient is faster than a pooling layer's.
        _, frames, bins, channels = ops.shape(x)
        groups = bins // self.pool_size
        x = x[:, :, : groups * self.pool_size]
        x = ops.reshape(x, (-1, frames, groups, self.pool_size, channels))
        return ops.max(x, axis=3)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        bins = known_size("input_shape", input_shape, 2, "bins")
        return (*input_shape[:2], bins // self.pool_size, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "pool_size": self.pool_size,
            "dropout": self.dropout,
            "momentum": self.momentum,
        }


def magnitude_and_phase(spectrogram: Tensor) -> Tensor:
    """Log magnitudes (with a floor at -40 dB) and phases in units of π, of both channels.

    Without the Nyquist bin: (batch, T, F, 4) as re1, im1, re2, im2 → (batch, T, F - 1, 4).
    """
    spectrogram = spectrogram[:, :, :-1]
    real, imaginary = spectrogram[..., 0::2], spectrogram[..., 1::2]
    power = ops.square(real) + ops.square(imaginary)
    magnitude = 0.5 * ops.log(power + _POWER_FLOOR)
    phase = ops.arctan2(imaginary, real) / np.pi
    return ops.concatenate([magnitude, phase], axis=-1)


@keras.saving.register_keras_serializable(package="keras_avssan")
class SELDNetBackbone(BaselineBackbone):
    """Network of `SELDNet`.

    Args:
        filters: Number of filters of each convolution.
        pool_sizes: One convolution each: the number of neighbouring bins of which the largest is
            kept after it.
        recurrent_dim: Units of the recurrent layers, in each direction.
        num_recurrent_layers: Number of bidirectional recurrent layers.
        hidden_dim: Width of the linear layer after them.
        dropout: Share of values dropped after each convolution and each recurrent layer while
            training.
        momentum: Share of its running statistics that batch normalisation keeps each step.
        **kwargs: Arguments of `BaselineBackbone`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2). A prompt is ignored.

    Returns:
        Dict with `doa` (batch, 180).

    Raises:
        ValueError: If pooling leaves no bin.

    Example:
        >>> SELDNetBackbone()({"audio": keras.ops.ones((1, 16000, 2))})["doa"].shape
        (1, 180)
    """

    takes_prompt = False

    def __init__(
        self,
        filters: int = 64,
        pool_sizes: Sequence[int] = (8, 8, 2),
        recurrent_dim: int = 128,
        num_recurrent_layers: int = 2,
        hidden_dim: int = 128,
        dropout: float = 0.0,
        momentum: float = 0.99,
        **kwargs: Any,
    ) -> None:
        kwargs = self.set_up(
            {
                "filters": filters,
                "pool_sizes": list(pool_sizes),
                "recurrent_dim": recurrent_dim,
                "num_recurrent_layers": num_recurrent_layers,
                "hidden_dim": hidden_dim,
                "dropout": dropout,
                "momentum": momentum,
            },
            **kwargs,
        )
        dtype = self.policy
        self.convolutions = self._build_convolutions(filters, pool_sizes, dropout, momentum)
        self.flatten = keras.layers.Reshape((-1, self._num_features), dtype=dtype, name="flatten")
        self.recurrent = self._build_recurrent(recurrent_dim, num_recurrent_layers)
        self.drop = keras.layers.Dropout(dropout, dtype=dtype, name="drop")
        self.hidden = keras.layers.Dense(hidden_dim, dtype=dtype, name="hidden")
        self.hidden.build((None, None, recurrent_dim))
        self.logits.build((None, hidden_dim))
        super().__init__(**kwargs)

    def _build_convolutions(
        self, filters: int, pool_sizes: Sequence[int], dropout: float, momentum: float
    ) -> list[ConvPoolBlock]:
        shape: Shape = (None, None, self.stft.num_bins - 1, _NUM_MAPS)
        blocks = []
        for i, pool_size in enumerate(pool_sizes):
            block = ConvPoolBlock(
                filters,
                pool_size,
                dropout,
                momentum,
                dtype=self.policy,
                name=f"convolution_{i}",
            )
            block.build(shape)
            shape = block.compute_output_shape(shape)
            blocks.append(block)
        assert shape[2] is not None and shape[3] is not None
        if shape[2] < 1:
            raise ValueError(
                f"`pool_sizes` must leave at least one of {self.stft.num_bins - 1} bins. "
                f"Received: pool_sizes={tuple(pool_sizes)}"
            )
        self._num_features = shape[2] * shape[3]
        return blocks

    def _build_recurrent(self, units: int, num_layers: int) -> list[keras.Layer]:
        dtype, features = self.policy, self._num_features
        layers = []
        for i in range(num_layers):
            layer = keras.layers.Bidirectional(
                keras.layers.GRU(units, return_sequences=True, dtype=dtype, name="gru"),
                merge_mode="mul",
                dtype=dtype,
                name=f"recurrent_{i}",
            )
            layer.build((None, None, features))
            layers.append(layer)
            features = units
        return layers

    def compute_outputs(self, audio: Tensor, prompt: Tensor) -> dict[str, Tensor]:
        x = ops.cast(magnitude_and_phase(self.stft(audio)), self.policy.compute_dtype)
        for block in self.convolutions:
            x = block(x)
        x = self.flatten(x)
        for layer in self.recurrent:
            x = self.drop(layer(x))
        return {"logits": self.logits(ops.mean(self.hidden(x), axis=1))}


@keras.saving.register_keras_serializable(package="keras_avssan")
class SELDNet(Baseline):
    """SELDNet: the direction of the loudest sound, from magnitudes and phases of both channels.

    Takes no prompt and ignores one. Three convolutions with 64 filters, each with batch
    normalisation and a maximum over 8, 8 and 2 bins, are followed by two bidirectional layers of
    128 gated recurrent units, whose directions are multiplied, and a linear layer of 128.

    Changes: the branch that detects events is left out; the output is a posterior of 180
    directions from the mean of all frames, where the original regresses a direction for each class
    in each frame. Magnitudes are compressed by a logarithm and phases are in units of π, where the
    original standardises each bin by the statistics of its training set. Dropout, off by default
    as published, is not applied within the recurrence.

    Args:
        backbone: A `SELDNetBackbone`. If not given, one is built from `**kwargs`.
        **kwargs: Arguments of `Baseline` and of `SELDNetBackbone`.

    Example:
        >>> model = SELDNet()
        >>> model.fit(train_dataset)                # see data.make_dataset
        >>> theta = model.localize("mix.wav")       # degrees

    Reference:
        Adavanne, Politis, Nikunen and Virtanen, "Sound event localization and detection of
        overlapping sources using convolutional recurrent neural networks", 2018.
    """

    backbone_cls = SELDNetBackbone
    untrained = {
        "seldnet": {
            "description": "SELDNet with layer sizes as published.",
            "arguments": {},
            "parts": {},
        }
    }
