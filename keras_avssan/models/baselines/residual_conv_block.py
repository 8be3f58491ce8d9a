"""Two convolutions over time and frequency, pooled, beside a shortcut."""

import keras
from keras import ops

from keras_avssan._internal.write_once import FixedSettings


@keras.saving.register_keras_serializable(package="keras_avssan")
class ResidualConvBlock(FixedSettings, keras.layers.Layer):
    """Twice [convolution 3 x 3, batch normalisation, ReLU], average pooling, plus a shortcut.

    The shortcut projects the first frame and bin of each pooled group to the new channels. Frames
    and bins that fill no whole group are left out.

    Args:
        filters: Number of filters.
        pool_size: Frames and bins that are averaged, a pair of integers.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Maps, shape (batch, T, F, channels).
        training: Whether batch normalisation runs in training mode.

    Returns:
        Tensor of shape (batch, T // pool_size[0], F // pool_size[1], filters).

    Example:
        >>> ResidualConvBlock(64)(keras.ops.ones((2, 32, 64, 4))).shape
        (2, 16, 32, 64)
    """

    def __init__(self, filters, pool_size=(2, 2), **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.pool_size = tuple(pool_size)

    def build(self, input_shape):
        dtype = self.dtype_policy
        output_shape = (*input_shape[:-1], self.filters)
        self.convolutions, self.norms = [], []
        for i, shape in enumerate([input_shape, output_shape]):
            convolution = keras.layers.Conv2D(
                self.filters,
                3,
                padding="same",
                use_bias=False,
                data_format="channels_last",
                dtype=dtype,
                name=f"conv_{i}",
            )
            norm = keras.layers.BatchNormalization(momentum=0.9, dtype=dtype, name=f"norm_{i}")
            convolution.build(shape)
            norm.build(output_shape)
            self.convolutions.append(convolution)
            self.norms.append(norm)
        self.shortcut = keras.layers.Dense(
            self.filters, use_bias=False, dtype=dtype, name="shortcut"
        )
        self.shortcut_norm = keras.layers.BatchNormalization(
            momentum=0.9, dtype=dtype, name="shortcut_norm"
        )
        self.shortcut.build(input_shape)
        self.shortcut_norm.build(output_shape)
        self.built = True

    def call(self, x, training=None):
        first = self._groups(x)[:, :, 0, :, 0]
        shortcut = self.shortcut_norm(self.shortcut(first), training=training)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = ops.relu(norm(convolution(x), training=training))
        return ops.mean(self._groups(x), axis=(2, 4)) + shortcut

    def _groups(self, x):
        """Cuts maps into groups: (batch, T, F, C) → (batch, T / p, p, F / q, q, C)."""
        _, frames, bins, channels = ops.shape(x)
        p, q = self.pool_size
        x = x[:, : frames // p * p, : bins // q * q]
        return ops.reshape(x, (-1, frames // p, p, bins // q, q, channels))

    def compute_output_shape(self, input_shape):
        batch, frames, bins, _ = input_shape
        frames = None if frames is None else frames // self.pool_size[0]
        return (batch, frames, bins // self.pool_size[1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "pool_size": list(self.pool_size),
        }
