"""Normalisation of recordings to unit power."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.stereo_stft import level_gain


@keras.saving.register_keras_serializable(package="keras_avssan")
class LevelNormalization(FixedSettings, keras.layers.Layer):
    """Scales every recording to a root mean square of one, so that loudness has no influence.

    Args:
        **kwargs: Arguments of `keras.layers.Layer`. It computes in float32.

    Call arguments:
        audio: Audio, shape (batch, samples, channels).

    Returns:
        float32 tensor of the same shape. Silence stays silent.

    Example:
        >>> float(keras.ops.max(LevelNormalization()(3.0 * keras.ops.ones((1, 100, 2)))))
        1.0
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.built = True  # no weights

    def call(self, audio: Tensor) -> Tensor:
        audio = ops.cast(audio, "float32")
        return audio * level_gain(audio)

    def compute_output_shape(self, audio_shape: Shape) -> Shape:
        return audio_shape
