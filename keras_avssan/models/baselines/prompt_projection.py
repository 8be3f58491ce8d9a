"""From prompt embeddings of any length to features."""

import keras

from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.models.baselines.unit_power import unit_power


@keras.saving.register_keras_serializable(package="keras_avssan")
class PromptProjection(FixedSettings, keras.layers.Layer):
    """Projects prompt embeddings after they were scaled to a root mean square of one.

    Frozen encoders return embeddings of whatever length they have: those of unit length, as CLIP's
    are, come out √d_V times smaller than features of unit variance, and are not heard. The scaling
    is ours.

    Args:
        dim: Number of features.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        prompt: Prompt embeddings, shape (batch, d_V).

    Returns:
        Tensor of shape (batch, dim).

    Example:
        >>> PromptProjection(51)(keras.ops.ones((2, 512))).shape
        (2, 51)
    """

    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, prompt_shape):
        self.projection = keras.layers.Dense(self.dim, dtype=self.dtype_policy, name="projection")
        self.projection.build(prompt_shape)
        self.built = True

    def call(self, prompt):
        return self.projection(unit_power(prompt))

    def compute_output_shape(self, prompt_shape):
        return (*prompt_shape[:-1], self.dim)

    def get_config(self):
        return {**super().get_config(), "dim": self.dim}
