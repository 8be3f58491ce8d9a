"""Fusion of the bands and mask of the target, equations (8) to (10)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_gain, check_number, known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.stereo_stft import compressed_magnitude


@keras.saving.register_keras_serializable(package="keras_avssan")
class SpatialRefiner(FixedSettings, keras.layers.Layer):
    """Weights the bands frame by frame and computes the target's mask from their sum.

    - (8): Z'(t) = Σ_b α^b(t) Z^b(t), with α(t) = softmax(MLP([Z^fine, Z^mid, Z^full]));
    - (9): mask = sigmoid(MLP(Z')); the paper names no activation;
    - (10): X_m = X ⊗ mask, one mask for both channels, so that their phase and level differences
      are unchanged.

    Args:
        num_bins: Number of frequency bins F of the mask.
        mlp_dim: Hidden width of both MLPs.
        adaptive: If `False`, all bands have equal weights in every frame (column Refiner of
            Table 4).
        magnitude: Whether the MLP of (9) also has the mixture as input: the magnitudes of each
            frame, raised to the power 0.3. In the paper its input is Z' alone.
        attention_gain: Beyond the paper. If given, the logits of α are the cosines between the
            hidden features of their MLP and one learnt vector for each band, times a learnt factor
            that starts at this value; with 0 all bands weigh the same at first. The published
            logits (`None`) are not bounded.
        band_dropout: Beyond the paper. Share of the training scenes in which one band, drawn at
            random, is left out; the other weights α then sum to one.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        bands: List of the aligned bands Z^b, each of shape (batch, T, D).
        spectrogram: Two-channel spectrogram, shape (batch, T, F, 4).
        training: Whether `band_dropout` is active.

    Returns:
        Tuple of the mask (batch, T, F), the masked spectrogram (batch, T, F, 4) and the band
        weights α (batch, T, number of bands), all float32.

    Raises:
        ValueError: If `attention_gain` or `band_dropout` is out of range.

    Example:
        >>> bands = [keras.ops.ones((2, 9, 64))] * 3
        >>> mask, masked, alpha = SpatialRefiner()(bands, keras.ops.ones((2, 9, 513, 4)))
        >>> mask.shape, alpha.shape
        ((2, 9, 513), (2, 9, 3))

    Reference:
        AV-SSAN, equations (8), (9) and (10).
    """

    def __init__(
        self,
        num_bins: int = 513,
        mlp_dim: int = 256,
        adaptive: bool = True,
        magnitude: bool = False,
        attention_gain: float | None = None,
        band_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        # Without autocast the spectrogram stays in float32 under mixed precision.
        super().__init__(**{**kwargs, "autocast": False})
        self.num_bins = num_bins
        self.mlp_dim = mlp_dim
        self.adaptive = adaptive
        self.magnitude = magnitude
        self.attention_gain = check_gain("attention_gain", attention_gain)
        self.band_dropout = check_number("band_dropout", band_dropout, 0.0, 1.0)
        if self.band_dropout:
            self.seed_generator = keras.random.SeedGenerator()

    def build(self, bands_shape: Sequence[Shape], spectrogram_shape: Shape) -> None:
        dtype = self.dtype_policy
        num_bands = len(bands_shape)
        dim = known_size("bands_shape[0]", bands_shape[0], -1, "features")
        if self.adaptive and num_bands > 1:
            self.weight_hidden = keras.layers.Dense(
                dim, activation="gelu", dtype=dtype, name="weight_hidden"
            )
            self.weight_hidden.build((None, None, num_bands * dim))
            self._build_logits(num_bands, dim)
        self.mask_hidden = keras.layers.Dense(
            self.mlp_dim, activation="gelu", dtype=dtype, name="mask_hidden"
        )
        self.mask_hidden.build((None, None, dim + (self.num_bins if self.magnitude else 0)))
        self.mask_logits = keras.layers.Dense(self.num_bins, dtype=dtype, name="mask_logits")
        self.mask_logits.build((None, None, self.mlp_dim))
        self.built = True

    def _build_logits(self, num_bands: int, dim: int) -> None:
        """Weights of the logits of α: published, or of cosines."""
        if self.attention_gain is None:
            self.weight_logits = keras.layers.Dense(
                num_bands, dtype=self.dtype_policy, name="weight_logits"
            )
            self.weight_logits.build((None, None, dim))
            return
        self.band_vectors = self.add_weight(
            shape=(num_bands, dim), initializer="glorot_uniform", name="band_vectors"
        )
        self.gain = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.attention_gain),
            name="gain",
        )

    def call(
        self, bands: Sequence[Tensor], spectrogram: Tensor, training: bool | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        weights = self._weights(bands, training)  # α of (8)
        stacked = ops.stack(bands, axis=2)
        fused = ops.sum(ops.cast(weights, stacked.dtype)[..., None] * stacked, axis=2)  # Z' of (8)
        if self.magnitude:
            magnitude = compressed_magnitude(ops.cast(spectrogram, "float32"))
            fused = ops.concatenate([fused, ops.cast(magnitude, fused.dtype)], axis=-1)
        logits = self.mask_logits(self.mask_hidden(fused))
        mask = ops.sigmoid(ops.cast(logits, "float32"))  # (9)
        parts = ops.unstack(ops.cast(spectrogram, "float32"), spectrogram.shape[-1], axis=-1)
        # Part by part: the mask's gradient is no sum over an axis of four, which is slow.
        masked = ops.stack([part * mask for part in parts], axis=-1)  # (10)
        return mask, masked, weights

    def _weights(self, bands: Sequence[Tensor], training: bool | None) -> Tensor:
        """α(t) of equation (8), in float32."""
        dropping = training and self.band_dropout and len(bands) > 1
        if self.adaptive and len(bands) > 1:
            logits = self._logits(self.weight_hidden(ops.concatenate(bands, axis=-1)))
        else:
            zeros = ops.zeros_like(ops.stack([band[..., 0] for band in bands], axis=-1))
            logits = ops.cast(zeros, "float32")
            if not dropping:  # a softmax of equal logits would be rounded
                return ops.ones_like(logits) / len(bands)
        if dropping:
            logits = ops.where(self._dropped(ops.shape(logits)[0], len(bands)), -1e9, logits)
        return ops.softmax(logits, axis=-1)

    def _logits(self, hidden: Tensor) -> Tensor:
        """Logits of α, float32, from the hidden features (batch, T, D) of its MLP."""
        if self.attention_gain is None:
            return ops.cast(self.weight_logits(hidden), "float32")
        hidden = unit_length(ops.cast(hidden, "float32"))
        vectors = unit_length(ops.cast(self.band_vectors, "float32"))
        return ops.cast(self.gain, "float32") * ops.matmul(hidden, ops.transpose(vectors))

    def _dropped(self, batch: Tensor, num_bands: int) -> Tensor:
        """Which band of each scene is dropped, if any: (batch, 1, number of bands)."""
        drawn = keras.random.uniform((batch, 1, 1), dtype="float32", seed=self.seed_generator)
        # Below the share: the band at that part of it; above: none.
        place = ops.floor(drawn * (num_bands / self.band_dropout))
        return ops.equal(place, ops.cast(ops.arange(num_bands), "float32"))

    def compute_output_shape(
        self, bands_shape: Sequence[Shape], spectrogram_shape: Shape
    ) -> tuple[Shape, Shape, Shape]:
        batch, frames = bands_shape[0][:2]
        return (
            (batch, frames, self.num_bins),
            spectrogram_shape,
            (batch, frames, len(bands_shape)),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "mlp_dim": self.mlp_dim,
            "adaptive": self.adaptive,
            "magnitude": self.magnitude,
            "attention_gain": self.attention_gain,
            "band_dropout": self.band_dropout,
        }
