"""The block of FN-SSL: recurrence along frequency, then along time."""

import keras
from keras import ops

from keras_avssan._internal.write_once import FixedSettings


def along(layer, x, training=None):
    """Runs a recurrent layer along the third axis, for each entry of the first two alone.

    Args:
        layer: Recurrent layer from (batch, steps, features) to (batch, steps, units).
        x: Tensor of shape (batch, entries, steps, features).
        training: Whether the layer runs in training mode.

    Returns:
        Tensor of shape (batch, entries, steps, units).
    """
    _, entries, steps, features = ops.shape(x)
    y = layer(ops.reshape(x, (-1, steps, features)), training=training)
    return ops.reshape(y, (-1, entries, steps, y.shape[-1]))


@keras.saving.register_keras_serializable(package="keras_avssan")
class FullNarrowBlock(FixedSettings, keras.layers.Layer):
    """Full-band recurrence over the frequencies of a frame, narrow-band over the time of a band.

    The full-band layer sees one frame at a time and reads it in both directions; the narrow-band
    layer sees one band at a time, with the same weights for all. The first block of a network
    hands its input beside the full-band output to the narrow-band layer; later blocks add what
    the layers of the block before have put out.

    Args:
        hidden_dim: Width D of the outputs, even.
        first: Whether this is the first block.
        causal: Whether the narrow-band layer sees the past alone. If not, half of its units read
            time backwards.
        dropout: Share of the outputs of both layers dropped while training.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        x: Input of the network, or the narrow-band output of the block before; shape
            (batch, T, F, channels).
        full_skip: Full-band output of the block before, shape (batch, T, F, D). The first block
            takes none.
        training: Whether dropout is at work.

    Returns:
        Tuple of the narrow-band and the full-band output, each (batch, T, F, D).

    Raises:
        ValueError: If `hidden_dim` is odd or not positive, or if a later block has another number
            of channels than D.

    Example:
        >>> narrow, full = FullNarrowBlock(32, first=True)(keras.ops.ones((2, 5, 16, 4)))
        >>> narrow.shape, full.shape
        ((2, 5, 16, 32), (2, 5, 16, 32))

    Reference:
        Wang, Yang and Li, "FN-SSL: Full-band and narrow-band fusion for sound source
        localization", 2023.
    """

    def __init__(self, hidden_dim=256, first=False, causal=True, dropout=0.2, **kwargs):
        super().__init__(**kwargs)
        if not hidden_dim > 0 or hidden_dim % 2:
            raise ValueError(
                "`hidden_dim` must be a positive even number, one half for each direction. "
                f"Received: hidden_dim={hidden_dim}"
            )
        self.hidden_dim = hidden_dim
        self.first = first
        self.causal = causal
        self.dropout = dropout

    def build(self, input_shape):
        channels = input_shape[-1]
        if not self.first and channels != self.hidden_dim:
            raise ValueError(
                f"A block that is not the first one takes {self.hidden_dim} channels. "
                f"Received: shape {tuple(input_shape)}"
            )
        self.full_band = self._two_directions("full_band")
        self.narrow_band = (
            self._lstm(self.hidden_dim, "narrow_band")
            if self.causal
            else self._two_directions("narrow_band")
        )
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="drop")
        self.full_band.build((None, None, channels))
        beside = channels if self.first else 0
        self.narrow_band.build((None, None, self.hidden_dim + beside))
        self.built = True

    def _lstm(self, units, name):
        return keras.layers.LSTM(units, return_sequences=True, dtype=self.dtype_policy, name=name)

    def _two_directions(self, name):
        lstm = self._lstm(self.hidden_dim // 2, "lstm")
        return keras.layers.Bidirectional(lstm, dtype=self.dtype_policy, name=name)

    def call(self, x, full_skip=None, training=None):
        full = along(self.full_band, x if self.first else x + full_skip, training)
        narrow = self.drop(full, training=training)
        narrow = ops.concatenate([narrow, x], axis=-1) if self.first else narrow + x
        narrow = ops.transpose(narrow, (0, 2, 1, 3))
        narrow = along(self.narrow_band, narrow, training)
        narrow = ops.transpose(narrow, (0, 2, 1, 3))
        return self.drop(narrow, training=training), full

    def compute_output_shape(self, x_shape, full_skip_shape=None):
        shape = (*x_shape[:-1], self.hidden_dim)
        return shape, shape

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "first": self.first,
            "causal": self.causal,
            "dropout": self.dropout,
        }
