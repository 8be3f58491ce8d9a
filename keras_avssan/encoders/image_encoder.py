"""Any Keras image model as the encoder of picture prompts."""

from collections.abc import Sequence
from typing import Any, cast

import keras
from keras import ops

from keras_avssan._internal.frozen_layers import KeepsFrozenLayers
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.data_format import load_nested


@keras.saving.register_keras_serializable(package="keras_avssan")
class ImageEncoder(KeepsFrozenLayers, FixedSettings, keras.layers.Layer):
    """Encodes picture prompts by a Keras image model, such as a KerasHub backbone.

    Pictures are normalised as the model expects, its feature map is averaged over the picture
    and the embedding is scaled to unit length. Frozen by default, as the paper's CLIP is.

    Args:
        model: Keras model or layer from pictures (batch, H, W, 3) to embeddings (batch, d) or to
            feature maps (batch, h, w, d).
        image_size: Height and width in pixels that the model takes. Read from the model's input
            shape if not given.
        mean: Mean that is subtracted from pictures in [0, 1], one number or one per channel.
        std: Standard deviation by which the result is divided, one number or one per channel.
        normalize: Whether embeddings are scaled to unit length.
        trainable: Whether the model is trained with the task.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        images: RGB pictures in [0, 1], shape (batch, H, W, 3).
        training: Whether the model runs in training mode; never while it is frozen.

    Returns:
        Embeddings, shape (batch, d).

    Raises:
        ValueError: If `image_size` is not given and cannot be read from the model, or the model
            takes pictures with channels first.

    Example:
        >>> import keras_hub
        >>> backbone = keras_hub.models.EfficientNetBackbone.from_preset(folder)
        >>> encoder = ImageEncoder(backbone, image_size=(224, 224), mean=0.5, std=0.5)

    Reference:
        AV-SSAN, "SBF Net": F_V comes from a frozen, pretrained image encoder.
    """

    def __init__(
        self,
        model: keras.Layer | dict[str, Any],
        image_size: Sequence[int] | None = None,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        normalize: bool = True,
        trainable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        model = load_nested(model)
        _check_channels_last(model)
        if image_size is None:
            image_size = _input_size(model)
        self.model = model
        self.image_size = tuple(image_size)
        self.mean = mean
        self.std = std
        self.normalize = normalize
        self.trainable = trainable

    def build(self, input_shape: Shape) -> None:
        if not self.model.built:
            self.model.build(input_shape)
        self.built = True

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        # A tensor, not a NumPy array: arithmetic with arrays would leave the compute dtype.
        mean = ops.cast(ops.convert_to_tensor(self.mean), images.dtype)
        std = ops.cast(ops.convert_to_tensor(self.std), images.dtype)
        x = self.model((images - mean) / std, training=bool(training) and self.trainable)
        if len(x.shape) == 4:
            x = ops.mean(x, axis=(1, 2))
        if not self.trainable:
            x = ops.stop_gradient(x)
        if self.normalize:
            x = unit_length(x)
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.model.compute_output_shape(input_shape)[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "image_size": list(self.image_size),
            "mean": self.mean,
            "std": self.std,
            "normalize": self.normalize,
        }


def _check_channels_last(model: keras.Layer) -> None:
    """Raises a ValueError for a model that was built for pictures (batch, 3, H, W)."""
    shape = _input_shape(model)
    if shape is not None and len(shape) == 4 and shape[1] == 3 and shape[-1] != 3:
        raise ValueError(
            "`model` must take pictures of shape (batch, H, W, 3). Build it with "
            '`data_format="channels_last"`, or after '
            '`keras.config.set_image_data_format("channels_last")`. '
            f"Received: model.input_shape={shape}"
        )


def _input_shape(model: keras.Layer) -> Shape | None:
    """Shape of the model's one input; `None` if it has several or is not built."""
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, dict) and len(shape) == 1:
        (shape,) = shape.values()
    return shape if isinstance(shape, tuple) else None


def _input_size(model: keras.Layer) -> Sequence[int]:
    shape = _input_shape(model)
    if shape is None or len(shape) != 4 or None in shape[1:3]:
        raise ValueError(
            "`image_size` must be given for a model whose input shape does not fix it. "
            f"Received: image_size=None, model.input_shape={shape}"
        )
    return cast(tuple[int, int], shape[1:3])
