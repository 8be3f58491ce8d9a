"""Draws the latent vector of a variational autoencoder."""

import keras
from keras import ops

from keras_avssan._internal.write_once import FixedSettings


@keras.saving.register_keras_serializable(package="keras_avssan")
class GaussianSampler(FixedSettings, keras.layers.Layer):
    """Draws from normal distributions while training, and takes their means otherwise.

    The draw is mean + exp(log variance / 2) · ε, through which gradients reach both. Computed in
    float32 under every precision policy.

    Args:
        seed: Seed of the draws; a random one if not given.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        latent: Means and log variances, shape (batch, 2, d).
        training: Whether to draw.

    Returns:
        float32 tensor of shape (batch, d).

    Example:
        >>> GaussianSampler()(keras.ops.zeros((8, 2, 16)), training=True).shape
        (8, 16)

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", 2014.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, latent, training=None):
        mean, log_variance = latent[:, 0], latent[:, 1]
        if not training:
            return mean
        noise = keras.random.normal(ops.shape(mean), dtype="float32", seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise

    def compute_output_shape(self, latent_shape):
        return (latent_shape[0], latent_shape[2])

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
