"""DGB: generates the clean correlation of the prompted sound, and steers it."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings, WriteOnce
from keras_avssan.doa.grid import NUM_DIRECTIONS
from keras_avssan.doa.steering import SPEED_OF_SOUND, direction_delays
from keras_avssan.layers.generalized_cross_correlation import GeneralizedCrossCorrelation
from keras_avssan.models.baselines.baseline import Baseline
from keras_avssan.models.baselines.baseline_backbone import BaselineBackbone
from keras_avssan.models.baselines.dgb_loss import DGBLoss
from keras_avssan.models.baselines.shared_layers import MLP, PromptProjection, unit_power


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

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, latent: Tensor, training: bool | None = None) -> Tensor:
        mean, log_variance = latent[:, 0], latent[:, 1]
        if not training:
            return mean
        noise = keras.random.normal(ops.shape(mean), dtype="float32", seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise

    def compute_output_shape(self, latent_shape: Shape) -> Shape:
        return (latent_shape[0], latent_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_avssan")
class SteeredResponse(FixedSettings, keras.layers.Layer):
    """Values of a correlation curve at the delays of the 180 directions, times a learnt sharpness.

    The curve is given at whole samples and band-limited, so that its value at the delay
    `spacing * cos(θ) / c` is a sum of shifted sincs: one matrix for all curves. Computed in
    float32 under every precision policy.

    Args:
        max_lag: Largest lag of the curve in samples; the curve has `2 * max_lag + 1` values.
        microphone_spacing: Distance between the microphones in metres.
        sampling_rate: Sampling rate in hertz.
        sharpness: Initial factor between the response and the logits.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        curve: Correlation at the lags from `-max_lag` to `max_lag`, shape (batch, lags).

    Returns:
        float32 logits of shape (batch, 180); index k is the direction of k + 1 degrees.

    Raises:
        ValueError: If the largest delay of the pair lies outside the curve.

    Example:
        >>> SteeredResponse()(keras.ops.ones((2, 51))).shape
        (2, 180)

    Reference:
        DiBiase et al., "Robust localization in reverberant rooms", 2001.
    """

    microphone_spacing = WriteOnce()
    sampling_rate = WriteOnce()
    max_lag = WriteOnce()

    def __init__(
        self,
        max_lag: int = 25,
        microphone_spacing: float = 0.2,
        sampling_rate: int = 16000,
        sharpness: float = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        largest = microphone_spacing / SPEED_OF_SOUND * sampling_rate
        if not max_lag >= largest:
            raise ValueError(
                "`max_lag` must be at least the largest delay of the pair, "
                f"{largest:.1f} samples. Received: max_lag={max_lag}"
            )
        self.max_lag = max_lag
        self.microphone_spacing = microphone_spacing
        self.sampling_rate = sampling_rate
        self.sharpness = sharpness
        delays = sampling_rate * direction_delays(microphone_spacing)
        lags = np.arange(-max_lag, max_lag + 1)
        self._matrix = np.sinc(lags[:, None] - delays[None, :]).astype("float32")

    def build(self, curve_shape: Shape) -> None:
        self.factor = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(self.sharpness), name="factor"
        )
        self.built = True

    def call(self, curve: Tensor) -> Tensor:
        return self.factor * ops.matmul(curve, ops.convert_to_tensor(self._matrix))

    def compute_output_shape(self, curve_shape: Shape) -> Shape:
        return (*curve_shape[:-1], NUM_DIRECTIONS)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_lag": self.max_lag,
            "microphone_spacing": self.microphone_spacing,
            "sampling_rate": self.sampling_rate,
            "sharpness": self.sharpness,
        }


@keras.saving.register_keras_serializable(package="keras_avssan")
class DGBBackbone(BaselineBackbone):
    """Network of `DGB`.

    Args:
        max_lag: Largest lag of the correlation curves in samples; they have `2 * max_lag + 1`
            values.
        condition_dim: Number of features of the prompt, an input of encoder and decoder.
        latent_dim: Dimension of the latent vector.
        hidden_dim: Width of the hidden layers of encoder and decoder.
        num_layers: Number of hidden layers of either.
        dropout: Share of units dropped after each while training.
        sharpness: Initial factor between the steered response and the logits.
        seed: Seed of the draws of the latent vector; a random one if not given.
        **kwargs: Arguments of `BaselineBackbone`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and a prompt, see `BaselineBackbone`.
        training: Whether the latent vector is drawn; its mean is taken otherwise.

    Returns:
        Dict of float32 tensors: `doa` (batch, 180); `curve` (batch, lags), the generated curve, of
        unit length; `latent` (batch, 2, latent_dim), means and log variances.

    Raises:
        ValueError: If `max_lag` is below the largest delay of the pair, `prompt_dim` is missing or
            inputs have a wrong shape.

    Example:
        >>> backbone = DGBBackbone(prompt_dim=512)
        >>> inputs = {"audio": keras.ops.ones((1, 16000, 2))}
        >>> backbone({**inputs, "prompt_embedding": keras.ops.ones((1, 512))})["curve"].shape
        (1, 51)
    """

    projects_logits = False  # they are a steered response

    def __init__(
        self,
        max_lag: int = 25,
        condition_dim: int = 64,
        latent_dim: int = 32,
        hidden_dim: int = 512,
        num_layers: int = 2,
        dropout: float = 0.0,
        sharpness: float = 10.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs = self.set_up(
            {
                "max_lag": max_lag,
                "condition_dim": condition_dim,
                "latent_dim": latent_dim,
                "hidden_dim": hidden_dim,
                "num_layers": num_layers,
                "dropout": dropout,
                "sharpness": sharpness,
                "seed": seed,
            },
            **kwargs,
        )
        self.correlation = GeneralizedCrossCorrelation(
            range(-max_lag, max_lag + 1), name="correlation"
        )
        self.sampler = GaussianSampler(seed, name="sampler")
        self._make_autoencoder(2 * max_lag + 1)
        self.logits = SteeredResponse(
            max_lag,
            self.settings["microphone_spacing"],
            self.sampling_rate,
            sharpness,
            name="logits",
        )
        self.correlation.build((None, None, self.stft.num_bins, 4))
        self.logits.build((None, 2 * max_lag + 1))
        super().__init__(**kwargs)

    def _make_autoencoder(self, num_lags: int) -> None:
        """Layers of encoder and decoder with their weights."""
        dtype = self.policy
        settings = self.settings
        condition_dim, latent_dim = settings["condition_dim"], settings["latent_dim"]
        widths = [settings["hidden_dim"]] * settings["num_layers"]
        self.condition = PromptProjection(condition_dim, dtype=dtype, name="condition")
        self.encoder = MLP(widths, settings["dropout"], dtype=dtype, name="encoder")
        self.latent = keras.layers.Dense(2 * latent_dim, dtype="float32", name="latent")
        self.decoder = MLP(widths, settings["dropout"], dtype=dtype, name="decoder")
        self.generated = keras.layers.Dense(num_lags, dtype="float32", name="generated")
        self.condition.build((None, self.prompt_dim))
        self.encoder.build((None, num_lags + condition_dim))
        self.latent.build((None, settings["hidden_dim"]))
        self.decoder.build((None, latent_dim + condition_dim))
        self.generated.build((None, settings["hidden_dim"]))

    def compute_outputs(self, audio: Tensor, prompt: Tensor) -> dict[str, Tensor]:
        condition = self.condition(prompt)
        latent = self._encode(self.curve(audio), condition)
        z = self.sampler(latent)
        curve = self._decode(z, condition)
        return {"logits": self.logits(curve), "curve": curve, "latent": latent}

    def curve(self, audio: Tensor) -> Tensor:
        """Correlation curve of recordings (batch, samples, 2), averaged over the frames.

        It has unit length, (batch, lags), since noise and echoes change its length.
        """
        return unit_length(ops.mean(self.correlation(self.stft(audio)), axis=1))

    def _encode(self, curve: Tensor, condition: Tensor) -> Tensor:
        """Means and log variances of the latent vector, (batch, 2, latent_dim)."""
        mixture = ops.cast(unit_power(curve), condition.dtype)
        x = ops.concatenate([mixture, condition], axis=-1)
        latent = self.latent(self.encoder(x))
        return ops.reshape(latent, (-1, 2, self.settings["latent_dim"]))

    def _decode(self, z: Tensor, condition: Tensor) -> Tensor:
        """Generated curve of unit length, (batch, lags)."""
        x = ops.concatenate([ops.cast(z, condition.dtype), condition], axis=-1)
        return unit_length(self.generated(self.decoder(x)))


@keras.saving.register_keras_serializable(package="keras_avssan")
class DGB(Baseline):
    """DGB: generates the correlation of the prompted sound alone, and steers it to directions.

    A conditional variational autoencoder encodes the correlation of the mixture and the prompt in
    a latent vector, and decodes that and the prompt to the clean correlation curve of the target.
    The curve is steered to the 180 directions, through which the gradient of the direction loss
    reaches the autoencoder. Trained with `DGBLoss`.

    Changes: the sizes of the layers are this library's, as no code is public; the condition is the
    prompt's embedding, scaled to a root mean square of one and projected, in place of a face (the
    correlation has that power too where it enters the encoder); there is one pair of microphones;
    the clean curve is that of the target's recording with its echoes; curves have unit length
    before they are compared and steered, since an untrained decoder returns curves far longer than
    a correlation, and a softmax over their response then stays at one direction.

    Args:
        backbone: A `DGBBackbone`. If not given, one is built from `**kwargs`.
        **kwargs: Arguments of `Baseline` and of `DGBBackbone`.

    Example:
        >>> model = DGB(prompt_dim=512)
        >>> model.fit(train_dataset)                           # see data.make_dataset
        >>> theta = model.localize("mix.wav", embedding)       # degrees

    Reference:
        Qian, Zhang, Guan and Xue, "Deep audio-visual beamforming for speaker localization", 2022.
    """

    backbone_cls = DGBBackbone
    supervised_outputs = ("doa", "curve", "latent")
    _weighed = {"curve": ("reconstruction_weight", 0), "latent": ("kl_weight", 0)}
    _compared_with_zeros = ("latent",)  # the mean and log variance of the standard normal prior
    untrained = {
        "dgb": {
            "description": "DGB with layer sizes of this library.",
            "arguments": {},
            "parts": {},
        }
    }

    def default_loss(self) -> keras.losses.Loss:
        return DGBLoss()

    def _truth_from_target(self, output: str, target: Tensor, training: bool | None) -> Tensor:
        if output == "curve":
            return ops.stop_gradient(self.backbone.curve(target))
        return super()._truth_from_target(output, target, training)
