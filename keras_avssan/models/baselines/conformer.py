"""The Conformer block: attention and convolution between two half feed-forward steps."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.transformer_block import attend_in_steps, make_attention


@keras.saving.register_keras_serializable(package="keras_avssan")
class ConformerConvolution(FixedSettings, keras.layers.Layer):
    """Gated linear unit, depthwise convolution over time, batch normalisation, swish.

    Normalised first; projections to twice the width before and to the width after.

    Args:
        kernel_size: Length of the convolution in frames.
        dropout: Share of values dropped after it while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Sequence, shape (batch, t, D).
        training: Whether batch normalisation and dropout run in training mode.

    Returns:
        Tensor of the same shape, to be added to the input.

    Example:
        >>> ConformerConvolution(kernel_size=51)(keras.ops.ones((2, 10, 64))).shape
        (2, 10, 64)

    Reference:
        Gulati et al., "Conformer: convolution-augmented Transformer for speech recognition", 2020.
    """

    def __init__(self, kernel_size: int = 51, dropout: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        dim = known_size("input_shape", input_shape, -1, "features")
        dtype = self.dtype_policy
        self.input_norm = keras.layers.LayerNormalization(dtype=dtype, name="input_norm")
        self.gated = keras.layers.Dense(2 * dim, dtype=dtype, name="gated")
        self.depthwise = keras.layers.DepthwiseConv1D(
            self.kernel_size,
            padding="same",
            data_format="channels_last",
            dtype=dtype,
            name="depthwise",
        )
        self.norm = keras.layers.BatchNormalization(momentum=0.9, dtype=dtype, name="norm")
        self.projection = keras.layers.Dense(dim, dtype=dtype, name="projection")
        self.drop = keras.layers.Dropout(self.dropout, dtype=dtype, name="drop")
        for layer in (self.input_norm, self.gated, self.depthwise, self.norm, self.projection):
            layer.build(input_shape)
        self.built = True

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        x = ops.glu(self.gated(self.input_norm(x)), axis=-1)
        x = ops.silu(self.norm(self.depthwise(x), training=training))
        return self.drop(self.projection(x), training=training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="keras_avssan")
class ConformerBlock(FixedSettings, keras.layers.Layer):
    """Half a feed-forward step, self-attention, convolution, the other half, normalisation.

    Each part is normalised first and added to its input. The attention has no relative positions:
    the convolution, with its kernel and zero padding, depends on the position of a frame.

    Args:
        num_heads: Number of attention heads.
        ffn_dim: Hidden width of a feed-forward step.
        kernel_size: Length of the depthwise convolution in frames.
        dropout: Share of values dropped in each part while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Sequence, shape (batch, t, D).
        training: Whether batch normalisation and dropout run in training mode.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If D is not a multiple of `num_heads`.

    Example:
        >>> ConformerBlock(num_heads=8, ffn_dim=1024)(keras.ops.ones((2, 10, 64))).shape
        (2, 10, 64)

    Reference:
        Gulati et al., "Conformer: convolution-augmented Transformer for speech recognition", 2020.
    """

    def __init__(
        self,
        num_heads: int = 8,
        ffn_dim: int = 1024,
        kernel_size: int = 51,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.ffn_dim = ffn_dim
        self.kernel_size = kernel_size
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        dim = known_size("input_shape", input_shape, -1, "features")
        dtype = self.dtype_policy
        self.first_ffn = self._make_ffn("first", input_shape)
        self.attention_norm = keras.layers.LayerNormalization(dtype=dtype, name="attention_norm")
        self.attention_norm.build(input_shape)
        self.attention = make_attention(dim, self.num_heads, dtype, "attention", self.dropout)
        self.attention.build(input_shape, input_shape)
        self.convolution = ConformerConvolution(
            self.kernel_size, self.dropout, dtype=dtype, name="convolution"
        )
        self.convolution.build(input_shape)
        self.second_ffn = self._make_ffn("second", input_shape)
        self.norm = keras.layers.LayerNormalization(dtype=dtype, name="norm")
        self.norm.build(input_shape)
        self.drop = keras.layers.Dropout(self.dropout, dtype=dtype, name="drop")
        self.built = True

    def _make_ffn(self, name: str, input_shape: Shape) -> list[keras.Layer]:
        """Normalisation, hidden layer and projection of a feed-forward step."""
        dtype = self.dtype_policy
        norm = keras.layers.LayerNormalization(dtype=dtype, name=f"{name}_norm")
        hidden = keras.layers.Dense(
            self.ffn_dim, activation="silu", dtype=dtype, name=f"{name}_hidden"
        )
        projection = keras.layers.Dense(input_shape[-1], dtype=dtype, name=f"{name}_projection")
        norm.build(input_shape)
        hidden.build(input_shape)
        projection.build((*input_shape[:-1], self.ffn_dim))
        return [norm, hidden, projection]

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        x = x + 0.5 * self._feed_forward(self.first_ffn, x, training)
        x = x + self.drop(self._attend(x, training), training=training)
        x = x + self.convolution(x, training=training)
        x = x + 0.5 * self._feed_forward(self.second_ffn, x, training)
        return self.norm(x)

    def _feed_forward(self, layers: list[keras.Layer], x: Tensor, training: bool | None) -> Tensor:
        norm, hidden, projection = layers
        x = self.drop(hidden(norm(x)), training=training)
        return self.drop(projection(x), training=training)

    def _attend(self, x: Tensor, training: bool | None) -> Tensor:
        x = self.attention_norm(x)
        return attend_in_steps(self.attention, x, x, training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "kernel_size": self.kernel_size,
            "dropout": self.dropout,
        }
