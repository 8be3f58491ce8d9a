"""A convolution that looks at time and frequency and thins out frequency alone."""

import keras
from keras import ops

from keras_avssan._internal.write_once import FixedSettings


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

    def __init__(self, filters, pool_size, dropout=0.0, momentum=0.99, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.pool_size = pool_size
        self.dropout = dropout
        self.momentum = momentum

    def build(self, input_shape):
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

    def call(self, x, training=None):
        x = ops.relu(self.norm(self.conv(x), training=training))
        return self.drop(self._pool(x), training=training)

    def _pool(self, x):
        # A maximum over an axis of its own, whose gradient is quicker than a pooling layer's.
        _, frames, bins, channels = ops.shape(x)
        groups = bins // self.pool_size
        x = x[:, :, : groups * self.pool_size]
        x = ops.reshape(x, (-1, frames, groups, self.pool_size, channels))
        return ops.max(x, axis=3)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], input_shape[2] // self.pool_size, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "pool_size": self.pool_size,
            "dropout": self.dropout,
            "momentum": self.momentum,
        }
