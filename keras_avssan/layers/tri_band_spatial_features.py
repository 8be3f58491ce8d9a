"""Interaural cues in bands of three widths, equations (2) and (3)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_choice, known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.stereo_stft import compressed_magnitude, cross_spectrum

# Bins of a patch; `None` for all.
BAND_WIDTHS: dict[str, int | None] = {"fine": 32, "mid": 128, "full": None}
_IPD_FORMS = ("cos_sin", "angle", "difference")
_ILD_EPSILONS = ("both", "second")
_NO_POWER = 1e-30  # below it a magnitude is zero


@keras.saving.register_keras_serializable(package="keras_avssan")
class TriBandSpatialFeatures(FixedSettings, keras.layers.Layer):
    """Computes phase and level differences between the microphones, cut into bands.

    - (2): IPD(t, f) = ∠X₁ - ∠X₂;
    - (3): ILD(t, f) = 20 log₁₀(|X₁| / (|X₂| + ε)) in decibels.

    Fine and mid bands drop the bins that do not fill a band (the Nyquist bin of 513); the full
    band is one patch of all bins, "the full spectrum", where the paper's shape has F patches of
    one bin. Computed in float32 under every precision policy; silence gives zeros and finite
    gradients.

    Args:
        ipd: `"cos_sin"` stores the phase difference as its cosine and sine, which do not jump at
            ±180°; `"angle"` stores the angle in radians, wrapped to ±π; `"difference"` is the
            form as published, one channel's angle minus the other's, from -2π to 2π.
        bands: Names of the bands to return, from `"fine"` (32 bins), `"mid"` (128), `"full"`.
        ild_scale: Factor on the level difference in decibels; 0.1 brings it to the scale of the
            other cues, 1 leaves it as published.
        epsilon: The magnitude ε that keeps the level difference finite on silence.
        ild_epsilon: Where ε is added. `"both"` adds its square to the power of both channels, so
            that swapping them flips the sign; `"second"` is the form as published,
            |X₁| / (|X₂| + ε), which gives -∞ where X₁ is silent: there |X₁| is set to ε.
        magnitude: Whether the magnitude, raised to the power 0.3, is a further cue. Not in the
            paper, whose cues do not indicate which bins hold sound.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        spectrogram: Two-channel spectrogram, shape (batch, T, F, 4) as re1, im1, re2, im2.

    Returns:
        Dict from band name to a float32 tensor of shape (batch, n, T, bins, C): n patches of the
        band's width, C cues (cos IPD, sin IPD, ILD; or IPD, ILD; then the magnitude).

    Raises:
        ValueError: If `ipd`, `ild_epsilon` or a band is unknown, or the spectrogram has fewer bins
            than a band.

    Example:
        >>> bands = TriBandSpatialFeatures()(keras.ops.ones((1, 7, 513, 4)))
        >>> {name: tuple(band.shape) for name, band in bands.items()}
        {'fine': (1, 16, 7, 32, 3), 'mid': (1, 4, 7, 128, 3), 'full': (1, 1, 7, 513, 3)}

    Reference:
        AV-SSAN, equations (2) and (3).
    """

    def __init__(
        self,
        ipd: str = "cos_sin",
        bands: Sequence[str] = ("fine", "mid", "full"),
        ild_scale: float = 0.1,
        epsilon: float = 1e-4,
        magnitude: bool = False,
        ild_epsilon: str = "both",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        check_choice("ipd", ipd, _IPD_FORMS)
        check_choice("ild_epsilon", ild_epsilon, _ILD_EPSILONS)
        unknown = [band for band in bands if band not in BAND_WIDTHS]
        if unknown or not bands:
            raise ValueError(
                f"`bands` must hold names from {tuple(BAND_WIDTHS)}, at least one. "
                f"Received: bands={bands!r}"
            )
        self.ipd = ipd
        self.bands = tuple(bands)
        self.ild_scale = ild_scale
        self.epsilon = epsilon
        self.magnitude = magnitude
        self.ild_epsilon = ild_epsilon
        self.built = True  # no weights: a whole model need not be run to build it

    @property
    def num_cues(self) -> int:
        """Number of cues per bin, C."""
        return (3 if self.ipd == "cos_sin" else 2) + bool(self.magnitude)

    def call(self, spectrogram: Tensor) -> dict[str, Tensor]:
        cues = self._cues(spectrogram)
        return {band: self._patches(cues, BAND_WIDTHS[band]) for band in self.bands}

    def _cues(self, spectrogram: Tensor) -> Tensor:
        """IPD of equation (2) and ILD of equation (3): (batch, T, F, C)."""
        re1, im1, re2, im2 = ops.unstack(spectrogram, 4, axis=-1)
        power1 = ops.square(re1) + ops.square(im1)
        power2 = ops.square(re2) + ops.square(im2)
        floor = self.epsilon**2
        ild = self._level_difference(power1, power2)  # (3)
        cross_re, cross_im = cross_spectrum(spectrogram)
        if self.ipd == "angle":
            # The cross-spectrum of two silent channels has no angle: it gets that of the number 1.
            cues = [_angle(cross_re, cross_im, floor**2), ild]
        elif self.ipd == "difference":
            cues = [_angle(re1, im1, floor**2) - _angle(re2, im2, floor**2), ild]  # (2)
        else:
            norm = ops.rsqrt((power1 + floor) * (power2 + floor))
            cues = [cross_re * norm, cross_im * norm, ild]
        if self.magnitude:
            cues.append(compressed_magnitude(spectrogram))
        return ops.stack(cues, axis=-1)

    def _level_difference(self, power1: Tensor, power2: Tensor) -> Tensor:
        """ILD of equation (3), scaled."""
        decibels = 10.0 / np.log(10.0) * self.ild_scale
        floor = self.epsilon**2
        if self.ild_epsilon == "both":
            return decibels * (ops.log(power1 + floor) - ops.log(power2 + floor))
        # The root of silence has no gradient.
        silent = power2 < _NO_POWER
        magnitude2 = ops.where(silent, 0.0, ops.sqrt(ops.where(silent, 1.0, power2)))
        log_power1 = ops.log(ops.maximum(power1, floor))
        return decibels * (log_power1 - 2.0 * ops.log(magnitude2 + self.epsilon))

    def _patches(self, cues: Tensor, width: int | None) -> Tensor:
        """Cuts (batch, T, F, C) into patches of a width: (batch, n, T, width, C)."""
        _, frames, num_bins, num_cues = ops.shape(cues)
        width = width or num_bins
        if num_bins < width:
            raise ValueError(
                f"`spectrogram` must have at least {width} bins. "
                f"Received: spectrogram with {num_bins} bins"
            )
        count = num_bins // width
        cues = cues[:, :, : count * width, :]
        cues = ops.reshape(cues, (-1, frames, count, width, num_cues))
        return ops.transpose(cues, (0, 2, 1, 3, 4))

    def compute_output_shape(self, input_shape: Shape) -> dict[str, Shape]:
        num_bins = known_size("input_shape", input_shape, 2, "bins")
        batch, frames = input_shape[:2]
        widths = {band: BAND_WIDTHS[band] or num_bins for band in self.bands}
        return {
            band: (batch, num_bins // width, frames, width, self.num_cues)
            for band, width in widths.items()
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ipd": self.ipd,
            "bands": list(self.bands),
            "ild_scale": self.ild_scale,
            "epsilon": self.epsilon,
            "magnitude": self.magnitude,
            "ild_epsilon": self.ild_epsilon,
        }


def _angle(real: Tensor, imaginary: Tensor, floor: float) -> Tensor:
    """Angle in radians; 0, with a gradient of 0, where the power is below `floor`."""
    silent = ops.square(real) + ops.square(imaginary) < floor
    return ops.arctan2(ops.where(silent, 0.0, imaginary), ops.where(silent, 1.0, real))
