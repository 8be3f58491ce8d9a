"""Log-mel spectrograms of a microphone pair, and its phase difference in the same bands."""

import keras
from keras import ops

from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.log_mel_encoder import mel_matrix

_POWER_FLOOR = 1e-3  # relative to recordings of unit power


@keras.saving.register_keras_serializable(package="keras_avssan")
class StereoLogMel(FixedSettings, keras.layers.Layer):
    """Log-mel spectrogram of each channel, and cosine and sine of the phase difference.

    The cross-spectrum passes the mel filters as the powers do and is divided by the root of both
    channels' power in the band: the phase difference averaged over the band, strong bins first.
    Computed in float32 under every precision policy.

    Args:
        num_mels: Number of mel bands, those of `keras_avssan.encoders.LogMelEncoder`.
        sampling_rate: Sampling rate in hertz.
        phase: Whether the phase difference is returned too.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        spectrogram: Shape (batch, T, F, 4) as re1, im1, re2, im2.

    Returns:
        float32 tensor of shape (batch, T, num_mels, 4), or 2 without phase: log power of channel
        1 and 2, cosine and sine within [-1, 1].

    Example:
        >>> StereoLogMel(64)(keras.ops.ones((1, 9, 513, 4))).shape
        (1, 9, 64, 4)
    """

    def __init__(self, num_mels=64, sampling_rate=16000, phase=True, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.num_mels = num_mels
        self.sampling_rate = sampling_rate
        self.phase = phase

    def build(self, spectrogram_shape):
        highest = 0.975 * self.sampling_rate / 2.0
        self._mel = mel_matrix(
            spectrogram_shape[2], self.num_mels, self.sampling_rate, 60.0, highest
        )
        self.built = True

    def call(self, spectrogram):
        mel = ops.convert_to_tensor(self._mel)
        re1, im1, re2, im2 = (spectrogram[..., i] for i in range(4))
        power1 = ops.matmul(ops.square(re1) + ops.square(im1), mel)
        power2 = ops.matmul(ops.square(re2) + ops.square(im2), mel)
        maps = [ops.log(power1 + _POWER_FLOOR), ops.log(power2 + _POWER_FLOOR)]
        if self.phase:
            gain = ops.rsqrt((power1 + _POWER_FLOOR) * (power2 + _POWER_FLOOR))
            maps.append(ops.matmul(re1 * re2 + im1 * im2, mel) * gain)
            maps.append(ops.matmul(im1 * re2 - re1 * im2, mel) * gain)
        return ops.stack(maps, axis=-1)

    def compute_output_shape(self, spectrogram_shape):
        return (*spectrogram_shape[:2], self.num_mels, 4 if self.phase else 2)

    def get_config(self):
        return {
            **super().get_config(),
            "num_mels": self.num_mels,
            "sampling_rate": self.sampling_rate,
            "phase": self.phase,
        }
