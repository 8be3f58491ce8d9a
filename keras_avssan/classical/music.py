"""Multiple signal classification (MUSIC) over a wide band."""

import keras
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.classical.classical_localizer import ClassicalLocalizer
from keras_avssan.layers.stereo_stft import cross_spectrum

_SILENCE = 1e-24  # squared power of a bin, 120 dB below a recording of unit power
_FLOOR = 1e-10  # resolution of a distance from the signal subspace in float32


@keras.saving.register_keras_serializable(package="keras_avssan")
class MUSIC(ClassicalLocalizer):
    """Localises by multiple signal classification, MUSIC, normalised and over a wide band.

    With two microphones there is room for one source per bin. The covariance of a bin over the
    frames has a noise subspace of one dimension; the pseudospectrum is one over the squared length
    of a direction's steering vector in it. Each bin's pseudospectrum is divided by its maximum,
    and their mean is taken. For the covariance with powers p₁, p₂ and cross-spectrum g, and
    λ₁ - λ₂ = √((p₁ - p₂)² + 4|g|²), the squared length is, without an eigenvalue routine,

        1 - 2 Re(g exp(-jφ(θ))) / (λ₁ - λ₂).

    Args:
        microphone_spacing: Distance between the microphones in metres.
        sampling_rate: Sampling rate in hertz.
        frame_length: Length of a frame and of its transform in samples; even.
        hop_length: Distance between frames in samples.
        frequency_range: Lowest and highest frequency in hertz.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2), and optionally `microphone_spacing`
            (batch,) in metres, in place of the layer's own. Other inputs are ignored.

    Returns:
        Dict with `doa`: float32 spectrum of shape (batch, 180), not negative and of sum one; index
        k is the direction of k + 1 degrees. Uniform for silence.

    Raises:
        ValueError: If an argument is out of range, no bin lies within `frequency_range`, or an
            input has a wrong shape or is shorter than a frame.
        TypeError: If `inputs` is not a dict with `audio`.

    Example:
        >>> mono = np.random.default_rng(0).normal(size=16000)
        >>> audio = np.stack([mono, np.roll(mono, 5)], axis=1)  # channel 0 leads by 5 samples
        >>> float(MUSIC(microphone_spacing=0.2).localize(audio)[0])
        58.0

    Reference:
        Schmidt, "Multiple emitter location and signal parameter estimation", 1986; Salvati et al.,
        "Incoherent frequency fusion for broadband steered response power algorithms in noisy
        environments", 2014, for the division by each bin's maximum.
    """

    def spectrum(self, spectrogram: Tensor, phase: Tensor) -> Tensor:
        distance = _noise_distance(spectrogram, phase)
        pseudospectrum = 1.0 / (distance + _FLOOR)
        pseudospectrum = pseudospectrum / ops.max(pseudospectrum, axis=-1, keepdims=True)
        return ops.mean(pseudospectrum, axis=1)


def _noise_distance(spectrogram: Tensor, phase: Tensor) -> Tensor:
    """Squared length of the steering vectors in the noise subspaces, (batch, F, 180)."""
    # The difference in the class's docstring cancels at the source, where accuracy matters. Here it
    # is a sum of two terms that are not negative, from the difference of powers and that of phases.
    real, imaginary = (ops.mean(part, axis=1) for part in cross_spectrum(spectrogram))
    power = ops.mean(ops.square(spectrogram), axis=1)  # (batch, F, 4)
    difference = power[..., 0] + power[..., 1] - power[..., 2] - power[..., 3]
    unequal = ops.square(difference) + _SILENCE
    coherent = 2.0 * ops.sqrt(ops.square(real) + ops.square(imaginary))
    gap = ops.sqrt(unequal + ops.square(coherent))  # between the eigenvalues
    deviation = ops.arctan2(imaginary, real)[..., None] - phase
    by_power = (unequal / (gap * (gap + coherent)))[..., None]
    by_phase = (2.0 * coherent / gap)[..., None] * ops.square(ops.sin(0.5 * deviation))
    return by_power + by_phase
