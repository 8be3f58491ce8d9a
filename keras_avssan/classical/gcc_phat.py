"""Generalised cross-correlation with phase transform (GCC-PHAT)."""

import keras
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.classical.classical_localizer import ClassicalLocalizer
from keras_avssan.doa.steering import phase_transform, steered_response
from keras_avssan.layers.stereo_stft import cross_spectrum


@keras.saving.register_keras_serializable(package="keras_avssan")
class GCCPHAT(ClassicalLocalizer):
    """Localises by the generalised cross-correlation with phase transform, GCC-PHAT.

    The cross-spectrum is averaged over the frames, each bin of the average is scaled to the
    magnitude one, and its inverse Fourier transform is the correlation over lags. It is evaluated
    at the exact lag τ = d cos θ / c of each direction, without rounding to samples; negative
    correlation counts as zero. Loud frames dominate the average, while `SRPPHAT` gives all frames
    equal weight.

    Args:
        microphone_spacing: Distance d between the microphones in metres.
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
        >>> float(GCCPHAT(microphone_spacing=0.2).localize(audio)[0])
        58.0

    Reference:
        Knapp and Carter, "The generalized correlation method for estimation of time delay", 1976.
    """

    def spectrum(self, spectrogram: Tensor, phase: Tensor) -> Tensor:
        real, imaginary = (ops.mean(part, axis=1) for part in cross_spectrum(spectrogram))
        real, imaginary = phase_transform(real, imaginary)
        return ops.relu(steered_response(real, imaginary, phase))
