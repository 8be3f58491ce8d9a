"""Steered response power with phase transform (SRP-PHAT)."""

import keras
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.classical.classical_localizer import ClassicalLocalizer
from keras_avssan.doa.steering import phase_transform, steered_response
from keras_avssan.layers.stereo_stft import cross_spectrum


@keras.saving.register_keras_serializable(package="keras_avssan")
class SRPPHAT(ClassicalLocalizer):
    """Localises by the steered response power with phase transform, SRP-PHAT.

    Both channels of every frame and bin are scaled to magnitude one and steered to each
    direction; the power of their sum is averaged over frames and bins. For a pair that is
    1 + Re Σ G(t, f) exp(-j 2π f τ(θ)) / (T F), G being the cross-spectrum of magnitude one, up to
    a factor.

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
        >>> float(SRPPHAT(microphone_spacing=0.2).localize(audio)[0])
        58.0

    Reference:
        DiBiase et al., "Robust localization in reverberant rooms", 2001.
    """

    def spectrum(self, spectrogram: Tensor, phase: Tensor) -> Tensor:
        whitened = phase_transform(*cross_spectrum(spectrogram))
        real, imaginary = (ops.mean(part, axis=1) for part in whitened)
        return ops.relu(1.0 + steered_response(real, imaginary, phase))
