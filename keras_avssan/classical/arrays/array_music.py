"""Multiple signal classification (MUSIC) of an array over a wide band."""

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.classical.arrays.classical_array_localizer import ClassicalArrayLocalizer

_SILENCE = 1e-12  # power of a bin, 120 dB below a recording of unit power
_FLOOR = 1e-10  # resolution of a distance from the signal subspace in float32


@keras.saving.register_keras_serializable(package="keras_avssan")
class ArrayMUSIC(ClassicalArrayLocalizer):
    """Localises with an array by multiple signal classification, MUSIC, over a wide band.

    The covariance of the M microphones in a bin over the frames has a signal subspace of
    `num_sources` dimensions and a noise subspace of the others. The pseudospectrum is one over the
    squared length of a direction's steering vector in the noise subspace. Each bin's
    pseudospectrum is divided by its maximum, and their mean is taken. The eigenvectors of the
    Hermitian covariance A + jB are those of the symmetric matrix [[A, -B], [B, A]].

    Args:
        array: The array, a `keras_avssan.arrays.MicrophoneArray` whose microphone k is channel k.
        sampling_rate: Sampling rate in hertz.
        frame_length: Length of a frame and of its transform in samples; even.
        hop_length: Distance between frames in samples.
        frequency_range: Lowest and highest frequency in hertz.
        grid: Grid of directions, a `keras_avssan.arrays.DirectionGrid`; 360 level ones if not
            given.
        num_sources: Number of sources, of dimensions of the signal subspace and of directions that
            `localize` returns; below M.
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
        >>> bool(abs(ArrayMUSIC(array).localize(audio)[0] - 180.0) <= 2.0)
        True

    Reference:
        Schmidt, "Multiple emitter location and signal parameter estimation", 1986; Salvati et al.,
        "Incoherent frequency fusion for broadband steered response power algorithms in noisy
        environments", 2014, for the division by each bin's maximum.
    """

    def _prepare(self) -> None:
        if self.num_sources >= len(self.array):
            raise ValueError(
                f"`num_sources` must be below the number of microphones, {len(self.array)}. "
                f"Received: num_sources={self.num_sources}"
            )
        vectors = np.concatenate(self.steering, axis=1) / np.sqrt(len(self.array))
        self._vectors = vectors.astype("float32")

    def spectrum(self, spectrogram: Tensor) -> Tensor:
        real, imaginary = spectrogram[..., 0::2], spectrogram[..., 1::2]
        frames = ops.cast(ops.shape(spectrogram)[1], "float32")
        equation = "btfi,btfj->bfij"
        symmetric = ops.einsum(equation, real, real) + ops.einsum(equation, imaginary, imaginary)
        skew = ops.einsum(equation, imaginary, real) - ops.einsum(equation, real, imaginary)
        symmetric, skew = symmetric / frames, skew / frames
        rows = (
            ops.concatenate([symmetric, -skew], axis=-1),
            ops.concatenate([skew, symmetric], axis=-1),
        )
        _, vectors = ops.linalg.eigh(ops.concatenate(rows, axis=-2))
        # In order of the eigenvalues, each of which comes twice.
        noise = vectors[..., : 2 * (len(self.array) - self.num_sources)]
        along = ops.einsum("bfdn,fdk->bfnk", noise, ops.convert_to_tensor(self._vectors))
        distance = ops.sum(ops.square(along), axis=2)
        power = ops.trace(symmetric, axis1=-2, axis2=-1)[..., None]
        pseudospectrum = 1.0 / (ops.where(power > _SILENCE, distance, 1.0) + _FLOOR)
        pseudospectrum = pseudospectrum / ops.max(pseudospectrum, axis=-1, keepdims=True)
        return ops.mean(pseudospectrum, axis=1)
