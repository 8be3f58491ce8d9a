"""Small convolutional image encoder that is trained with the task."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.frozen_layers import KeepsFrozenLayers, freeze_parts
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings


@keras.saving.register_keras_serializable(package="keras_avssan")
class ConvImageEncoder(KeepsFrozenLayers, FixedSettings, keras.layers.Layer):
    """Encodes small pictures by strided convolutions and an average over the picture.

    Args:
        dim: Dimension d_V of the embedding.
        filters: Number of filters of each convolution, which halves height and width.
        image_size: Height and width in pixels to which prompts are resized.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        images: RGB pictures in [0, 1], shape (batch, H, W, 3).
        training: Whether batch normalisation runs in training mode.

    Returns:
        Embeddings, shape (batch, dim).

    Example:
        >>> ConvImageEncoder()(keras.ops.ones((2, 64, 64, 3))).shape
        (2, 128)
    """

    def __init__(
        self,
        dim: int = 128,
        filters: Sequence[int] = (32, 64, 96, 128),
        image_size: tuple[int, int] = (64, 64),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.filters = tuple(filters)
        self.image_size = tuple(image_size)

    def build(self, input_shape: Shape) -> None:
        dtype = self.dtype_policy
        channels = known_size("input_shape", input_shape, -1, "channels")
        shape = (None, None, None, channels)
        self.convolutions, self.norms = [], []
        for i, filters in enumerate(self.filters):
            convolution = keras.layers.Conv2D(
                filters,
                3,
                strides=2,
                padding="same",
                use_bias=False,
                data_format="channels_last",
                dtype=dtype,
                name=f"conv_{i}",
            )
            norm = keras.layers.BatchNormalization(momentum=0.9, dtype=dtype, name=f"norm_{i}")
            convolution.build(shape)
            shape = (*shape[:-1], filters)
            norm.build(shape)
            self.convolutions.append(convolution)
            self.norms.append(norm)
        self.pool = keras.layers.GlobalAveragePooling2D(
            data_format="channels_last", dtype=dtype, name="pool"
        )
        self.projection = keras.layers.Dense(self.dim, dtype=dtype, name="projection")
        self.projection.build((None, shape[-1]))
        self.output_norm = keras.layers.LayerNormalization(dtype=dtype, name="output_norm")
        self.output_norm.build((None, self.dim))
        freeze_parts(self)
        self.built = True

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        x = images - 0.5
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = keras.ops.relu(norm(convolution(x), training=training))
        return self.output_norm(self.projection(self.pool(x)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "filters": list(self.filters),
            "image_size": list(self.image_size),
        }
