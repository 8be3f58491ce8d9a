"""Fusion of the bands and mask of the target, equations (8) to (10)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.types import Shape, Tensor
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
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        bands: List of the aligned bands Z^b, each of shape (batch, T, D).
        spectrogram: Two-channel spectrogram, shape (batch, T, F, 4).

    Returns:
        Tuple of the mask (batch, T, F), the masked spectrogram (batch, T, F, 4) and the band
        weights α (batch, T, number of bands), all float32.

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
        **kwargs: Any,
    ) -> None:
        # Without autocast the spectrogram stays in float32 under mixed precision.
        super().__init__(**{**kwargs, "autocast": False})
        self.num_bins = num_bins
        self.mlp_dim = mlp_dim
        self.adaptive = adaptive
        self.magnitude = magnitude

    def build(self, bands_shape: Sequence[Shape], spectrogram_shape: Shape) -> None:
        dtype = self.dtype_policy
        num_bands = len(bands_shape)
        dim = known_size("bands_shape[0]", bands_shape[0], -1, "features")
        if self.adaptive and num_bands > 1:
            self.weight_hidden = keras.layers.Dense(
                dim, activation="gelu", dtype=dtype, name="weight_hidden"
            )
            self.weight_hidden.build((None, None, num_bands * dim))
            self.weight_logits = keras.layers.Dense(num_bands, dtype=dtype, name="weight_logits")
            self.weight_logits.build((None, None, dim))
        self.mask_hidden = keras.layers.Dense(
            self.mlp_dim, activation="gelu", dtype=dtype, name="mask_hidden"
        )
        self.mask_hidden.build((None, None, dim + (self.num_bins if self.magnitude else 0)))
        self.mask_logits = keras.layers.Dense(self.num_bins, dtype=dtype, name="mask_logits")
        self.mask_logits.build((None, None, self.mlp_dim))
        self.built = True

    def call(self, bands: Sequence[Tensor], spectrogram: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights = self._weights(bands)  # α of (8)
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

    def _weights(self, bands: Sequence[Tensor]) -> Tensor:
        """α(t) of equation (8), in float32."""
        if not self.adaptive or len(bands) == 1:
            ones = ops.ones_like(ops.stack([band[..., 0] for band in bands], axis=-1))
            return ops.cast(ones, "float32") / len(bands)
        logits = self.weight_logits(self.weight_hidden(ops.concatenate(bands, axis=-1)))
        return ops.softmax(ops.cast(logits, "float32"), axis=-1)

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
        }
