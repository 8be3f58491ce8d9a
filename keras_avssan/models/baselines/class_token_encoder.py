"""A Transformer encoder that sums a sequence up in a token of its own."""

import keras
import keras_hub
from keras import ops

from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable(package="keras_avssan")
class ClassTokenEncoder(FixedSettings, keras.layers.Layer):
    """Linear embedding, class token, sinusoidal positions, Transformer blocks; returns the token.

    Positions are computed, not learnt, so that sequences may have any length.

    Args:
        dim: Dimension of a token.
        num_layers: Number of Transformer blocks.
        num_heads: Attention heads a block.
        mlp_dim: Hidden width of a block's MLP.
        dropout: Share of values of the tokens dropped before the blocks while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Sequence, shape (batch, t, features).
        training: Whether dropout is active.

    Returns:
        Class token after the blocks, shape (batch, dim).

    Example:
        >>> ClassTokenEncoder()(keras.ops.ones((2, 32, 96))).shape
        (2, 128)

    Reference:
        Dosovitskiy et al., "An image is worth 16x16 words", 2021.
    """

    def __init__(self, dim=128, num_layers=2, num_heads=4, mlp_dim=256, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.dropout = dropout

    def build(self, input_shape):
        dtype = self.dtype_policy
        sequence_shape = (None, None, self.dim)
        self.embedding = keras.layers.Dense(self.dim, dtype=dtype, name="embedding")
        self.embedding.build(input_shape)
        self.class_token = self.add_weight(
            shape=(1, 1, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="class_token",
        )
        # In float32: half precision does not tell the positions of long recordings apart.
        self.position = keras_hub.layers.SinePositionEncoding(dtype="float32", name="position")
        self.drop = keras.layers.Dropout(self.dropout, dtype=dtype, name="drop")
        self.blocks = [
            TransformerBlock(self.num_heads, self.mlp_dim, dtype=dtype, name=f"block_{i}")
            for i in range(self.num_layers)
        ]
        for block in self.blocks:
            block.build(sequence_shape)
        self.norm = keras.layers.LayerNormalization(dtype=dtype, name="norm")
        self.norm.build((None, self.dim))
        self.built = True

    def call(self, x, training=None):
        x = self.embedding(x)
        class_token = ops.zeros_like(x[:, :1]) + ops.cast(self.class_token, x.dtype)
        x = ops.concatenate([class_token, x], axis=1)
        x = self.drop(x + ops.cast(self.position(x), x.dtype), training=training)
        for block in self.blocks:
            x = block(x, training=training)
        return self.norm(x[:, 0])

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.dim)

    def get_config(self):
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "dropout": self.dropout,
        }
