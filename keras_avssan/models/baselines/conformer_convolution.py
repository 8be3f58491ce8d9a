"""The convolution module of the Conformer."""

import keras
from keras import ops

from keras_avssan._internal.write_once import FixedSettings


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

    def __init__(self, kernel_size=51, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.dropout = dropout

    def build(self, input_shape):
        dtype, dim = self.dtype_policy, input_shape[-1]
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

    def call(self, x, training=None):
        x = ops.glu(self.gated(self.input_norm(x)), axis=-1)
        x = ops.silu(self.norm(self.depthwise(x), training=training))
        return self.drop(self.projection(x), training=training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dropout": self.dropout,
        }
