"""Steered response power with phase transform (SRP-PHAT) of an array."""

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.classical.arrays.classical_array_localizer import ClassicalArrayLocalizer
from keras_avssan.doa.steering import phase_transform

_SILENCE = 1e-10  # squared magnitude, 100 dB below a recording of unit power


@keras.saving.register_keras_serializable(package="keras_avssan")
class ArraySRPPHAT(ClassicalArrayLocalizer):
    """Localises with an array by the steered response power with phase transform, SRP-PHAT.

    Every channel of every frame and bin is scaled to magnitude one, all are steered to each
    direction, and the power of their sum is averaged over frames and bins:
    1 + 2 Σ Re Σ G_ij(t, f) exp(-j(φ_i - φ_j)) / (T F M), summed over the pairs i < j of the M
    microphones, up to a factor. G_ij is the cross-spectrum of magnitude one, φ_i the phase of a
    wave from the direction at microphone i. With two microphones it is that of `SRPPHAT`.

    Args:
        array: The array, a `keras_avssan.arrays.MicrophoneArray` whose microphone k is channel k.
        sampling_rate: Sampling rate in hertz.
        frame_length: Length of a frame and of its transform in samples; even.
        hop_length: Distance between frames in samples.
        frequency_range: Lowest and highest frequency in hertz.
        grid: Grid of directions, a `keras_avssan.arrays.DirectionGrid`; 360 level ones if not
            given.
        num_sources: Number of sources, whose directions `localize` returns.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, M). Other inputs are ignored.

    Returns:
        Dict with `doa`: float32 spectrum of shape (batch, *grid.shape), not negative and of sum
        one, each direction weighted by its solid angle. Uniform for silence.

    Raises:
        ValueError: If an argument is out of range, no bin lies within `frequency_range`, the array
            cannot distinguish the directions of the grid, or an input has a wrong shape or is
            shorter than a frame.
        TypeError: If `array` or `grid` is of another kind, or `inputs` is not a dict with `audio`.

    Example:
        >>> array = MicrophoneArray([(0.1, 0.0), (0.0, 0.1), (-0.1, 0.0), (0.0, -0.1)])
        >>> mono = np.random.default_rng(0).normal(size=16000)
        >>> delays = (9, 5, 0, 5)  # samples; it comes from behind, over the third microphone
        >>> audio = np.stack([np.roll(mono, delay) for delay in delays], axis=1)
        >>> bool(abs(ArraySRPPHAT(array).localize(audio)[0] - 180.0) <= 2.0)
        True

    Reference:
        DiBiase et al., "Robust localization in reverberant rooms", 2001.
    """

    def _prepare(self) -> None:
        real, imaginary = self.steering
        magnitude = np.maximum(np.hypot(real, imaginary), 1e-12)
        waves = (real + 1j * imaginary) / magnitude  # (F, M, K)
        first, second = np.triu_indices(len(self.array), k=1)
        across = waves[:, first] * waves[:, second].conj()
        across = across.reshape(-1, across.shape[-1])  # (F P, K)
        self._pairs = first, second
        self._waves = across.real.astype("float32"), across.imag.astype("float32")

    def spectrum(self, spectrogram: Tensor) -> Tensor:
        real, imaginary = phase_transform(
            spectrogram[..., 0::2], spectrogram[..., 1::2], silence=_SILENCE
        )
        first, second = (ops.convert_to_tensor(part) for part in self._pairs)
        re1, im1 = (ops.take(part, first, axis=-1) for part in (real, imaginary))
        re2, im2 = (ops.take(part, second, axis=-1) for part in (real, imaginary))
        # Cross-spectra X_i X_j*, (batch, F, P), whose phase is positive if i leads.
        of_pairs = (re1 * re2 + im1 * im2, im1 * re2 - re1 * im2)
        _, _, bins, microphones = real.shape
        count = bins * len(self._pairs[0])
        response = 0.0
        for part, wave in zip(of_pairs, self._waves, strict=True):
            flat = ops.reshape(ops.mean(part, axis=1), (-1, count))
            response = response + ops.matmul(flat, ops.convert_to_tensor(wave))
        return ops.relu(1.0 + 2.0 * response / (bins * microphones))
