"""Whitening and quantisation of VGGish embeddings."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings

_LIMIT = 2.0  # whitened embeddings are clipped to ±2
_LEVELS = 255


@keras.saving.register_keras_serializable(package="keras_avssan")
class VGGishPostprocessor(FixedSettings, keras.layers.Layer):
    """Whitens and quantises VGGish embeddings, as those published with AudioSet.

    The means are subtracted, the result is multiplied by the eigenvectors and clipped to ±2. The
    weights are the published PCA parameters; until those are loaded they are those of the
    identity. They are never trained. Computed in float32 under every precision policy.

    Args:
        eight_bit: Whether the range of ±2 is mapped to the integers from 0 to 255, as by the
            published code: rounded down. There is no gradient then.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        embeddings: Embeddings, shape (…, d).

    Returns:
        float32 tensor of the same shape.

    Example:
        >>> VGGishPostprocessor(eight_bit=True)(keras.ops.ones((1, 4)))
        [[191., 191., 191., 191.]]

    Reference:
        Abu-El-Haija et al., YouTube-8M: A Large-Scale Video Classification Benchmark, 2016.
    """

    def __init__(self, eight_bit: bool = False, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False, "autocast": False})
        self.eight_bit = eight_bit

    def build(self, input_shape: Shape) -> None:
        dim = known_size("input_shape", input_shape, -1, "features")
        self.eigen_vectors = self.add_weight(
            shape=(dim, dim), initializer="identity", trainable=False, name="pca_eigen_vectors"
        )
        self.means = self.add_weight(
            shape=(dim,), initializer="zeros", trainable=False, name="pca_means"
        )
        self.built = True

    def call(self, embeddings: Tensor) -> Tensor:
        x = ops.cast(embeddings, "float32") - self.means
        x = ops.matmul(x, ops.transpose(self.eigen_vectors))
        x = ops.clip(x, -_LIMIT, _LIMIT)
        if self.eight_bit:
            x = ops.floor((x + _LIMIT) * (_LEVELS / (2 * _LIMIT)))
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "eight_bit": self.eight_bit}
