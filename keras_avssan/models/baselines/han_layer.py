"""Attention of one modality to itself and to another one."""

import keras

from keras_avssan._internal.write_once import FixedSettings


@keras.saving.register_keras_serializable(package="keras_avssan")
class HANLayer(FixedSettings, keras.layers.Layer):
    """Self-attention and cross-attention side by side, then a feed-forward step.

    q ← norm(q + selfattn(q) + crossattn(q, v)), q ← norm(q + ffn(q)).

    Args:
        num_heads: Number of heads of each attention.
        ffn_dim: Hidden width of the feed-forward step.
        dropout: Share of values dropped in each part while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        query: Sequence that attends, shape (batch, n, D).
        value: Sequence that is attended to, shape (batch, m, D).
        training: Whether dropout is active.

    Returns:
        Tensor of the shape of `query`.

    Raises:
        ValueError: If D is no multiple of `num_heads`.

    Example:
        >>> HANLayer()(keras.ops.ones((2, 10, 128)), keras.ops.ones((2, 1, 128))).shape
        (2, 10, 128)

    Reference:
        Tian et al., "Unified multisensory perception: weakly-supervised audio-visual video
        parsing", 2020, for the hybrid attention network.
    """

    def __init__(self, num_heads=4, ffn_dim=512, dropout=0.3, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.ffn_dim = ffn_dim
        self.dropout = dropout

    def build(self, query_shape, value_shape):
        dim = query_shape[-1]
        if dim % self.num_heads:
            raise ValueError(
                "The feature dimension must be a multiple of `num_heads`. "
                f"Received: {dim} features, num_heads={self.num_heads}"
            )
        dtype = self.dtype_policy
        self.self_attention = self._make_attention("self_attention", query_shape, query_shape)
        self.cross_attention = self._make_attention("cross_attention", query_shape, value_shape)
        self.attention_norm = keras.layers.LayerNormalization(dtype=dtype, name="attention_norm")
        self.attention_norm.build(query_shape)
        self.hidden = keras.layers.Dense(
            self.ffn_dim, activation="relu", dtype=dtype, name="hidden"
        )
        self.hidden.build(query_shape)
        self.projection = keras.layers.Dense(dim, dtype=dtype, name="projection")
        self.projection.build((*query_shape[:-1], self.ffn_dim))
        self.norm = keras.layers.LayerNormalization(dtype=dtype, name="norm")
        self.norm.build(query_shape)
        self.drop = keras.layers.Dropout(self.dropout, dtype=dtype, name="drop")
        self.built = True

    def _make_attention(self, name, query_shape, value_shape):
        attention = keras.layers.MultiHeadAttention(
            self.num_heads,
            query_shape[-1] // self.num_heads,
            dropout=self.dropout,
            dtype=self.dtype_policy,
            name=name,
        )
        attention.build(query_shape, value_shape)
        return attention

    def call(self, query, value, training=None):
        heard = self._attend(self.self_attention, query, query, training)
        asked = self._attend(self.cross_attention, query, value, training)
        x = self.attention_norm(query + heard + asked)
        hidden = self.drop(self.hidden(x), training=training)
        return self.norm(x + self.drop(self.projection(hidden), training=training))

    def _attend(self, attention, query, value, training):
        # Asked for the scores, Keras attends in single steps, which every precision has.
        attended, _ = attention(query, value, return_attention_scores=True, training=training)
        return self.drop(attended, training=training)

    def compute_output_shape(self, query_shape, value_shape):
        return query_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "dropout": self.dropout,
        }
