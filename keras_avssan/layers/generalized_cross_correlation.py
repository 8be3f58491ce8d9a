"""Generalised cross-correlation with phase transform (GCC-PHAT) at given lags."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.doa.steering import phase_transform, steering_phases
from keras_avssan.layers.stereo_stft import cross_spectrum


@keras.saving.register_keras_serializable(package="keras_avssan")
class GeneralizedCrossCorrelation(FixedSettings, keras.layers.Layer):
    """Computes the correlation of both microphones after the phase transform, frame by frame.

    Each bin of a frame's cross-spectrum is brought to magnitude one; the inverse transform is
    evaluated at the given lags, whole samples or fractions. A source at angle θ has its peak at
    the lag `spacing * cos(θ) / c`, in samples: channel 0 leads at positive lags. Computed in
    float32 under every precision policy.

    Args:
        lags: Lags in samples, a sequence of numbers.
        epsilon: Magnitude of a cross-spectrum far below which a bin, such as one of silence, has
            no influence.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        spectrogram: Shape (batch, T, F, 4) as re1, im1, re2, im2.

    Returns:
        float32 tensor of shape (batch, T, lags), within [-1, 1].

    Raises:
        ValueError: If `lags` is empty or not finite.

    Example:
        >>> layer = GeneralizedCrossCorrelation(range(-10, 11))
        >>> layer(keras.ops.ones((2, 9, 513, 4))).shape
        (2, 9, 21)

    Reference:
        Knapp and Carter, "The generalized correlation method for estimation of time delay", 1976.
    """

    def __init__(self, lags: Iterable[float], epsilon: float = 1e-8, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.lags = [float(lag) for lag in lags]
        if not self.lags or not np.isfinite(self.lags).all():
            raise ValueError(
                f"`lags` must hold finite numbers of samples, at least one. Received: lags={lags!r}"
            )
        self.epsilon = epsilon

    def build(self, spectrogram_shape: Shape) -> None:
        bins = known_size("spectrogram_shape", spectrogram_shape, 2, "bins")
        cycles = np.arange(bins) / (2 * (bins - 1))  # a sample
        phase = steering_phases(cycles, self.lags)
        # The inverse transform of a real signal: bins between 0 and Nyquist count twice.
        weight = np.full((bins, 1), 2.0)
        weight[[0, -1]] = 1.0
        weight /= weight.sum()
        self._cosine = (weight * np.cos(phase)).astype("float32")
        self._sine = (weight * np.sin(phase)).astype("float32")
        self.built = True

    def call(self, spectrogram: Tensor) -> Tensor:
        real, imaginary = cross_spectrum(spectrogram)
        real, imaginary = phase_transform(real, imaginary, silence=self.epsilon**2)
        # Channel 0 leads by τ: its phase is ahead by ωτ, so exp(-jωτ) brings the product to zero.
        cosine = ops.matmul(real, ops.convert_to_tensor(self._cosine))
        return cosine + ops.matmul(imaginary, ops.convert_to_tensor(self._sine))

    def compute_output_shape(self, spectrogram_shape: Shape) -> Shape:
        return (*spectrogram_shape[:2], len(self.lags))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "lags": self.lags, "epsilon": self.epsilon}
