"""The multilayer perceptron that several baselines end in."""

import keras

from keras_avssan._internal.write_once import FixedSettings


@keras.saving.register_keras_serializable(package="keras_avssan")
class MLP(FixedSettings, keras.layers.Layer):
    """Hidden layers with batch normalisation, ReLU and dropout.

    Args:
        widths: Width of each hidden layer, a sequence of integers.
        dropout: Share of units dropped after each while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Features, shape (..., features).
        training: Whether batch normalisation and dropout run in training mode.

    Returns:
        Tensor of shape (..., widths[-1]).

    Example:
        >>> MLP([1000, 1000, 1000])(keras.ops.ones((2, 51))).shape
        (2, 1000)
    """

    def __init__(self, widths, dropout=0.2, **kwargs):
        super().__init__(**kwargs)
        self.widths = list(widths)
        self.dropout = dropout

    def build(self, input_shape):
        dtype = self.dtype_policy
        self.hidden, self.norms, self.drops = [], [], []
        features = input_shape[-1]
        for i, width in enumerate(self.widths):
            hidden = keras.layers.Dense(width, dtype=dtype, name=f"hidden_{i}")
            norm = keras.layers.BatchNormalization(dtype=dtype, name=f"norm_{i}")
            hidden.build((*input_shape[:-1], features))
            norm.build((*input_shape[:-1], width))
            self.hidden.append(hidden)
            self.norms.append(norm)
            self.drops.append(keras.layers.Dropout(self.dropout, dtype=dtype, name=f"drop_{i}"))
            features = width
        self.built = True

    def call(self, x, training=None):
        for hidden, norm, drop in zip(self.hidden, self.norms, self.drops, strict=True):
            x = keras.ops.relu(norm(hidden(x), training=training))
            x = drop(x, training=training)
        return x

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.widths[-1])

    def get_config(self):
        return {**super().get_config(), "widths": self.widths, "dropout": self.dropout}
