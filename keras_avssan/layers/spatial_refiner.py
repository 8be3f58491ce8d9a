"""Fusion of the bands and the target's mask, equations (8) to (10)."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.stereo_stft import compressed_magnitude


@keras.saving.register_keras_serializable(package="keras_avssan")
class SpatialRefiner(FixedSettings, keras.layers.Layer):
    """Weighs the bands frame by frame and turns their sum into a mask on the spectrogram.

    α(t) = softmax(MLP([Z^fine, Z^mid, Z^full])), Z'(t) = Σ_b α^b(t) Z^b(t),
    mask = sigmoid(MLP(Z')), X_m = X ⊗ mask. One mask serves both channels, so that it cannot
    move the source.

    Args:
        num_bins: Number of frequency bins F of the mask.
        mlp_dim: Hidden width of both MLPs.
        adaptive: If `False`, all bands weigh the same in every frame (column Refiner of Table 4).
        magnitude: Whether the mask's MLP also sees the mix: each frame's magnitudes, raised to
            the power 0.3. The paper has it see Z' alone.
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

    def build(self, bands_shape: Shape, spectrogram_shape: Shape) -> None:
        dtype = self.dtype_policy
        num_bands, dim = len(bands_shape), bands_shape[0][-1]
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

    def call(self, bands, spectrogram: Tensor) -> Any:
        weights = self._weights(bands)
        stacked = ops.stack(bands, axis=2)
        fused = ops.sum(ops.cast(weights, stacked.dtype)[..., None] * stacked, axis=2)
        if self.magnitude:
            magnitude = compressed_magnitude(ops.cast(spectrogram, "float32"))
            fused = ops.concatenate([fused, ops.cast(magnitude, fused.dtype)], axis=-1)
        logits = self.mask_logits(self.mask_hidden(fused))
        mask = ops.sigmoid(ops.cast(logits, "float32"))
        parts = ops.unstack(ops.cast(spectrogram, "float32"), spectrogram.shape[-1], axis=-1)
        # Part by part: the mask's gradient is no sum over an axis of four, which is slow.
        masked = ops.stack([part * mask for part in parts], axis=-1)
        return mask, masked, weights

    def _weights(self, bands):
        """α(t) of equation (8), in float32."""
        if not self.adaptive or len(bands) == 1:
            ones = ops.ones_like(ops.stack([band[..., 0] for band in bands], axis=-1))
            return ops.cast(ones, "float32") / len(bands)
        logits = self.weight_logits(self.weight_hidden(ops.concatenate(bands, axis=-1)))
        return ops.softmax(ops.cast(logits, "float32"), axis=-1)

    def compute_output_shape(self, bands_shape: Shape, spectrogram_shape: Shape) -> Any:
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
