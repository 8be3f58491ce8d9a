"""Any Keras audio model as the audio encoder."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_positive_number
from keras_avssan._internal.frozen_layers import KeepsFrozenLayers
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.data_format import load_nested


@keras.saving.register_keras_serializable(package="keras_avssan")
class AudioEncoder(KeepsFrozenLayers, FixedSettings, keras.layers.Layer):
    """Encodes audio by a Keras audio model.

    Args:
        model: Keras model or layer from mono audio (batch, samples) at 16 kHz to embeddings
            (batch, t, d), or (batch, d) for one embedding of the whole recording.
        hop_seconds: Distance between embeddings in seconds. If not given, the embeddings divide
            the recording into equal parts.
        offset_seconds: Centre of the first embedding in seconds; half a hop if not given.
        trainable: Whether the model is trained with the task.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        audio: Mono audio, shape (batch, samples).
        training: Whether the model runs in training mode; never while it is frozen.

    Returns:
        Embeddings, shape (batch, t, d).

    Raises:
        ValueError: If `hop_seconds` is not positive.

    Example:
        >>> pooled = keras.Sequential([keras.Input((None,)), keras.layers.Reshape((-1, 160)),
        ...                            keras.layers.Dense(8)])
        >>> AudioEncoder(pooled, hop_seconds=0.01)(keras.ops.ones((1, 16000))).shape
        (1, 100, 8)

    Reference:
        AV-SSAN, "SBF Net": F_A comes from a frozen, pretrained audio encoder.
    """

    def __init__(
        self,
        model: keras.Layer | dict[str, Any],
        hop_seconds: float | None = None,
        offset_seconds: float | None = None,
        trainable: bool = False,
        **kwargs: Any,
    ) -> None:
        # Without autocast the recording stays in float32 under mixed precision.
        super().__init__(**{**kwargs, "autocast": False})
        if hop_seconds is not None:
            check_positive_number("hop_seconds", hop_seconds, "time in seconds")
        model = load_nested(model)
        if offset_seconds is None and hop_seconds is not None:
            offset_seconds = 0.5 * hop_seconds
        self.model = model
        self.hop_seconds = hop_seconds
        self.offset_seconds = offset_seconds
        self.trainable = trainable

    def build(self, input_shape: Shape) -> None:
        if not self.model.built:
            self.model.build(input_shape)
        self.built = True

    def call(self, audio: Tensor, training: bool | None = None) -> Tensor:
        x = self.model(audio, training=bool(training) and self.trainable)
        if len(x.shape) == 2:
            x = x[:, None, :]
        if not self.trainable:
            x = ops.stop_gradient(x)
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape = self.model.compute_output_shape(input_shape)
        return shape if len(shape) == 3 else (shape[0], 1, shape[1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "hop_seconds": self.hop_seconds,
            "offset_seconds": self.offset_seconds,
        }
