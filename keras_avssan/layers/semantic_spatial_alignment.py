"""Semantic-spatial alignment (SSA) block, equations (4) to (7)."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_choice, check_gain, known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.transformer_block import attention_fits

_RESIDUALS = ("query", None)


@keras.saving.register_keras_serializable(package="keras_avssan")
class SemanticSpatialAlignment(FixedSettings, keras.layers.Layer):
    """Computes cross-attention from the semantic query to the spatial features of one band type.

    For each patch i, convolutions over time, shared by the patches and by the cues, encode the
    spatial features as X'_i. Then:

    - (4): q_i = W_i^q SBF, k_i = W_i^k X'_i, v_i = W_i^v X'_i;
    - (5): Z_i = softmax(q_i k_iᵀ / √D) v_i, followed by MLP and normalisation, as in Figure 1(b);
    - (6): A_i = q_i k_iᵀ, without the division by √D;
    - (7): Z = Σ_i β_i Z_i, with β = softmax over the patches of the mean of A_i.

    Args:
        dim: Feature dimension D.
        num_convolutions: Number of shared convolutions. The paper says neither how many there are
            nor their kernels.
        kernel_size: Length of their kernels in frames.
        mlp_dim: Hidden width of the MLP after the attention.
        residual: `"query"` adds the semantic query to the output of the attention, and the result
            to the output of the MLP, as in a Transformer; `None` has neither sum, as published:
            the mask then depends on the prompt only through the attention weights.
        band_attention: If `False`, all patches have equal weights (column BA of Table 4).
        scale_relevance: Whether the mean of A_i is divided by √D before the softmax of (7), as the
            scores in (5) are. The paper does not divide, and β becomes nearly one-hot.
        attention_gain: Beyond the paper. If given, the relevance of a patch is the cosine between
            the means of its queries and of its keys over time, times a learnt factor that starts
            at this value; with 0 all patches weigh the same at first. `scale_relevance` has no
            effect then.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        semantics: Semantic query (SBF) at the frames of the spectrogram, shape (batch, T, D).
        features: Spatial features of one band type, shape (batch, n, T, bins, C).
        shared: Whether all queries are for one recording, whose features (1, n, T, bins, C) serve
            all of them.

    Returns:
        Tuple of Z, shape (batch, T, D), and β, float32, shape (batch, n); each row of β sums to
        one.

    Raises:
        ValueError: If `residual` is unknown or `attention_gain` is negative.

    Example:
        >>> layer = SemanticSpatialAlignment()
        >>> z, beta = layer(keras.ops.ones((2, 9, 64)), keras.ops.ones((2, 4, 9, 128, 3)))
        >>> z.shape, beta.shape
        ((2, 9, 64), (2, 4))

    Reference:
        AV-SSAN, equations (4) to (7) and Figure 1(b).
    """

    def __init__(
        self,
        dim: int = 64,
        num_convolutions: int = 2,
        kernel_size: int = 3,
        mlp_dim: int = 128,
        residual: str | None = "query",
        band_attention: bool = True,
        scale_relevance: bool = False,
        attention_gain: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("residual", residual, _RESIDUALS)
        self.dim = dim
        self.num_convolutions = num_convolutions
        self.kernel_size = kernel_size
        self.mlp_dim = mlp_dim
        self.residual = residual
        self.band_attention = band_attention
        self.scale_relevance = scale_relevance
        self.attention_gain = check_gain("attention_gain", attention_gain)

    def build(self, semantics_shape: Shape, features_shape: Shape) -> None:
        patches, bins, cues = (
            known_size("features_shape", features_shape, axis, content)
            for axis, content in ((1, "patches"), (3, "bins"), (4, "cues"))
        )
        dtype = self.dtype_policy
        self.convolutions = []
        channels = bins
        for i in range(self.num_convolutions):
            convolution = keras.layers.Conv1D(
                self.dim,
                self.kernel_size,
                padding="same",
                data_format="channels_last",
                dtype=dtype,
                name=f"convolution_{i}",
            )
            convolution.build((None, None, channels))
            self.convolutions.append(convolution)
            channels = self.dim
        self.query_kernel = self._patch_kernel("query_kernel", patches, self.dim)
        self.key_kernel = self._patch_kernel("key_kernel", patches, cues * self.dim)
        self.value_kernel = self._patch_kernel("value_kernel", patches, cues * self.dim)
        if self.attention_gain is not None and self.band_attention and patches > 1:
            self.gain = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(self.attention_gain),
                name="gain",
            )
        sequence_shape = (None, None, patches, self.dim)
        if self.residual is not None:
            self.attention_norm = keras.layers.LayerNormalization(
                dtype=dtype, name="attention_norm"
            )
            self.attention_norm.build(sequence_shape)
        self.hidden = keras.layers.Dense(
            self.mlp_dim, activation="gelu", dtype=dtype, name="hidden"
        )
        self.hidden.build(sequence_shape)
        self.projection = keras.layers.Dense(self.dim, dtype=dtype, name="projection")
        self.projection.build((*sequence_shape[:-1], self.mlp_dim))
        self.output_norm = keras.layers.LayerNormalization(dtype=dtype, name="output_norm")
        self.output_norm.build(sequence_shape)
        self.built = True

    def _patch_kernel(self, name: str, patches: int, inputs: int) -> keras.Variable:
        """One projection matrix per patch, W_{b,i} of equation (4)."""
        initializer = keras.initializers.RandomNormal(stddev=inputs**-0.5)
        return self.add_weight(
            shape=(patches, inputs, self.dim), initializer=initializer, name=name
        )

    def call(
        self, semantics: Tensor, features: Tensor, shared: bool = False
    ) -> tuple[Tensor, Tensor]:
        encoded = self._encode(features)  # X'
        query = ops.einsum("btd,nde->btne", semantics, self.query_kernel)  # (4)
        key, value = self._project(encoded, ops.shape(features)[2])  # (4)
        attend = self._attend_shared if shared else self._attend
        attended = attend(query, key, value)  # (5)
        z = self._transform(semantics, attended)  # Z_i
        beta = self._band_weights(query, key)  # (6), (7)
        return ops.einsum("bn,btnd->btd", ops.cast(beta, z.dtype), z), beta  # (7)

    def _encode(self, features: Tensor) -> Tensor:
        """Shared convolutions over time: (batch, n, T, bins, C) → (n, batch · T, C · D)."""
        _, patches, frames, bins, cues = ops.shape(features)
        x = ops.transpose(features, (0, 1, 4, 2, 3))
        x = ops.reshape(x, (-1, frames, bins))
        for i, convolution in enumerate(self.convolutions):
            x = convolution(ops.relu(x) if i else x)
        # One transposition gives the order of the axes for the matrix product. The last ReLU comes
        # after it: its gradient is slow where output and gradient differ in memory layout.
        x = ops.reshape(x, (-1, patches, cues, frames, self.dim))
        x = ops.transpose(x, (1, 0, 3, 2, 4))
        return ops.relu(ops.reshape(x, (patches, -1, cues * self.dim)))

    def _project(self, spatial: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of equation (4), in one product: each (batch, T, n, D)."""
        kernel = ops.concatenate([self.key_kernel, self.value_kernel], axis=-1)
        projected = ops.matmul(spatial, kernel)
        projected = ops.reshape(projected, (spatial.shape[0], -1, frames, 2 * self.dim))
        projected = ops.transpose(projected, (1, 2, 0, 3))
        return projected[..., : self.dim], projected[..., self.dim :]

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of equation (5), with the softmax in float32; the patches act as heads."""
        if attention_fits(self.compute_dtype):
            return ops.dot_product_attention(query, key, value)
        scores = ops.einsum("btnd,bsnd->bnts", query, key) / self.dim**0.5
        weights = ops.softmax(ops.cast(scores, "float32"), axis=-1)
        return ops.einsum("bnts,bsnd->btnd", ops.cast(weights, value.dtype), value)

    def _attend_shared(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The same with the keys and values of one recording, (1, T, n, D), for all queries."""
        _, frames, patches, _ = ops.shape(query)
        queries = ops.reshape(query, (1, -1, patches, self.dim))  # one after another
        return ops.reshape(self._attend(queries, key, value), (-1, frames, patches, self.dim))

    def _band_weights(self, query: Tensor, key: Tensor) -> Tensor:
        """β of equation (7). The mean over A_i = q_i k_iᵀ is the product of the means."""
        query = ops.mean(ops.cast(query, "float32"), axis=1)
        key = ops.mean(ops.cast(key, "float32"), axis=1)
        if self.attention_gain is not None:
            query, key = unit_length(query), unit_length(key)
        relevance = ops.sum(query * key, axis=-1)  # (batch, n), the mean of A of (6)
        if not self.band_attention or relevance.shape[-1] == 1:
            return ops.ones_like(relevance) / relevance.shape[-1]
        if self.attention_gain is not None:
            relevance = relevance * ops.cast(self.gain, "float32")
        elif self.scale_relevance:
            relevance = relevance / self.dim**0.5
        return ops.softmax(relevance, axis=-1)

    def _transform(self, semantics: Tensor, attended: Tensor) -> Tensor:
        """MLP and normalisation of Figure 1(b)."""
        if self.residual is None:
            return self.output_norm(self.projection(self.hidden(attended)))
        x = self.attention_norm(semantics[:, :, None] + attended)
        return self.output_norm(x + self.projection(self.hidden(x)))

    def compute_output_shape(
        self, semantics_shape: Shape, features_shape: Shape
    ) -> tuple[Shape, Shape]:
        return semantics_shape, features_shape[:2]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_convolutions": self.num_convolutions,
            "kernel_size": self.kernel_size,
            "mlp_dim": self.mlp_dim,
            "residual": self.residual,
            "band_attention": self.band_attention,
            "scale_relevance": self.scale_relevance,
            "attention_gain": self.attention_gain,
        }
