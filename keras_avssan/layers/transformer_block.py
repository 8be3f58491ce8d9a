"""Transformer encoder block."""

from typing import Any

import keras

from keras_avssan._internal.checks import check_integer, known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings


def attention_fits(compute_dtype: str) -> bool:
    """Whether `ops.dot_product_attention` runs: JAX does not compile it in float16 for CPUs."""
    fits = keras.backend.backend() != "jax" or compute_dtype != "float16"
    return fits or bool(keras.config.is_flash_attention_enabled())


def make_attention(
    dim: int | None, num_heads: int, dtype: Any, name: str, dropout: float = 0.0
) -> keras.layers.MultiHeadAttention:
    """Attention whose heads share the `dim` features of a sequence; a ValueError if they cannot."""
    assert dim is not None
    num_heads = check_integer("num_heads", num_heads, least=1)
    if dim % num_heads:
        raise ValueError(
            f"`num_heads` must be a divisor of the {dim} features of the input. "
            f"Received: num_heads={num_heads}"
        )
    return keras.layers.MultiHeadAttention(
        num_heads, dim // num_heads, dropout=dropout, dtype=dtype, name=name
    )


def attend_in_steps(
    attention: keras.layers.MultiHeadAttention,
    query: Tensor,
    value: Tensor,
    training: bool | None = None,
) -> Tensor:
    """Attends in single operations, as Keras does to return scores: in every precision."""
    return attention(query, value, return_attention_scores=True, training=training)[0]


@keras.saving.register_keras_serializable(package="keras_avssan")
class TransformerBlock(FixedSettings, keras.layers.Layer):
    """Computes self-attention and an MLP, each after a normalisation and added to its input.

    Args:
        num_heads: Number of attention heads.
        mlp_dim: Width of the hidden layer of the MLP.
        dropout: Share of units dropped after attention and MLP while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Sequence, shape (batch, t, D).
        training: Whether dropout is active.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If D is not a multiple of `num_heads`.

    Example:
        >>> TransformerBlock(num_heads=4, mlp_dim=256)(keras.ops.ones((2, 10, 64))).shape
        (2, 10, 64)

    Reference:
        Vaswani et al., "Attention is all you need", 2017, with normalisation before each part.
    """

    def __init__(
        self, num_heads: int = 4, mlp_dim: int = 256, dropout: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        dim = known_size("input_shape", input_shape, -1, "features")
        dtype = self.dtype_policy
        self.attention_norm = keras.layers.LayerNormalization(dtype=dtype, name="attention_norm")
        self.attention = make_attention(dim, self.num_heads, dtype, "attention")
        self.mlp_norm = keras.layers.LayerNormalization(dtype=dtype, name="mlp_norm")
        self.hidden = keras.layers.Dense(
            self.mlp_dim, activation="gelu", dtype=dtype, name="hidden"
        )
        self.projection = keras.layers.Dense(dim, dtype=dtype, name="projection")
        self.drop = keras.layers.Dropout(self.dropout, dtype=dtype, name="drop")
        self.attention_norm.build(input_shape)
        self.attention.build(input_shape, input_shape)
        self.mlp_norm.build(input_shape)
        self.hidden.build(input_shape)
        self.projection.build((*input_shape[:-1], self.mlp_dim))
        self.built = True

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        normed = self.attention_norm(x)
        x = x + self.drop(self._attend(normed), training=training)
        hidden = self.projection(self.hidden(self.mlp_norm(x)))
        return x + self.drop(hidden, training=training)

    def _attend(self, x: Tensor) -> Tensor:
        if attention_fits(self.compute_dtype):
            return self.attention(x, x)
        return attend_in_steps(self.attention, x, x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "dropout": self.dropout,
        }
