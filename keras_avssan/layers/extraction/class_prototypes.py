"""Attention of a prompt to prototypes of known classes."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_integer, check_positive_number, check_shape
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings


@keras.saving.register_keras_serializable(package="keras_avssan")
class ClassPrototypes(FixedSettings, keras.layers.Layer):
    """Moves the vector of a prompt towards the prototypes of the classes that it resembles.

    A picture or a recording rarely lies where the name of its class does, to which the sounds were
    aligned with least error. With a prompt q and prototypes p_c, both of unit length, the result is
    q + g Σ_c w_c p_c, where w is the softmax of s q·p_c over the classes. Prompts unlike all
    prototypes change little, because their weights spread. The prototypes are weights of the layer
    that no gradient trains: `keras_avssan.training.fit_prototypes` computes them. While they are
    zero, as at first, the direction of a prompt does not change. Computed in float32.

    Args:
        num_prototypes: Number of classes.
        scale: Factor s on the cosines.
        gain: Factor g on the mean of the prototypes.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        semantics: Projected prompts, shape (batch, D).

    Returns:
        float32 tensor of shape (batch, D).

    Raises:
        ValueError: If an argument is not positive, or `semantics` has another rank or an unknown
            dimension D.

    Example:
        >>> layer = ClassPrototypes(2)
        >>> layer.build((None, 3))
        >>> layer.prototypes.assign([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> layer(keras.ops.convert_to_tensor([[0.8, 0.0, 0.6]])).shape
        (1, 3)

    Reference:
        Beyond the paper. Ramsauer et al., "Hopfield networks is all you need", ICLR 2021, equation
        (3), for the weighted mean of stored patterns.
    """

    def __init__(
        self, num_prototypes: int, scale: float = 20.0, gain: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_prototypes = check_integer("num_prototypes", num_prototypes, 1)
        check_positive_number("scale", scale)
        check_positive_number("gain", gain)
        self.scale, self.gain = scale, gain

    def build(self, semantics_shape: Shape) -> None:
        check_shape("semantics", semantics_shape, "batch, D", (None, None))
        if semantics_shape[1] is None:
            raise ValueError(
                "`semantics` must have a known dimension D. "
                f"Received: semantics.shape={tuple(semantics_shape)}"
            )
        shape = (self.num_prototypes, semantics_shape[1])
        self.prototypes = self.add_weight(shape, "zeros", name="prototypes", trainable=False)
        self.built = True

    def call(self, semantics: Tensor) -> Tensor:
        check_shape("semantics", semantics.shape, "batch, D", (None, self.prototypes.shape[1]))
        prompt = unit_length(ops.cast(semantics, "float32"))
        prototypes = unit_length(ops.convert_to_tensor(self.prototypes))
        cosines = ops.matmul(prompt, ops.transpose(prototypes))
        weights = ops.softmax(self.scale * cosines, axis=-1)
        return prompt + self.gain * ops.matmul(weights, prototypes)

    def compute_output_spec(self, semantics: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor(semantics.shape, "float32")

    def compute_output_shape(self, semantics_shape: Shape) -> Shape:
        return semantics_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_prototypes": self.num_prototypes,
            "scale": self.scale,
            "gain": self.gain,
        }
