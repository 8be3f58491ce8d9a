"""Log-mel spectrogram on which the sound-effects network was trained."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.log_mel_encoder import mel_matrix
from keras_avssan.encoders.short_time_transform import check_implementation, transform_frames
from keras_avssan.layers.sizes import divide_up

SAMPLING_RATE = 44100  # hertz
FRAME_LENGTH = 2048  # samples
HOP_LENGTH = 1024  # samples
NUM_MELS = 96
# Factor on the power before its logarithm, and the largest value in the training data.
_POWER_SCALE = 1e4
_LARGEST_VALUE = 9.457798957824707


@keras.saving.register_keras_serializable(package="keras_avssan")
class SoundEffectsSpectrogram(FixedSettings, keras.layers.Layer):
    """Computes the log-mel spectrogram that `SoundEffectsCNN` takes, of audio at 44.1 kHz.

    Frames of 2048 samples under a symmetric Hann window with a peak of one, every 1024 samples;
    frame k is centred on sample 1024 k, beyond both ends there are zeros, and the last frame is
    the first one whose centre has reached the end. The power is summed in 96 bands from 0 to
    22050 Hz, triangles over mel whose weights add up to one, compressed by log10(1 + 10⁴ x) and
    divided by the largest value of the training data. Silence becomes zero. No value depends on
    other frames or recordings. Computed in float32 under every precision policy.

    Args:
        implementation: `"fft"`, or `"conv"`, which computes the transform by a convolution: slower,
            but available in every export format.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        audio: Mono audio at 44.1 kHz, shape (batch, samples).

    Returns:
        float32 tensor of shape (batch, 1 + ceil(samples / 1024), 96).

    Raises:
        ValueError: If `implementation` is unknown.

    Example:
        >>> SoundEffectsSpectrogram()(keras.ops.ones((1, 44100))).shape
        (1, 45, 96)

    Reference:
        Ma and Lerch, "Representation Learning for the Automatic Indexing of Sound Effects
        Libraries", ISMIR 2022.
    """

    settable = ("implementation",)  # exports switch it for a while

    def __init__(self, implementation: str = "fft", **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.implementation = check_implementation(implementation)
        self._window = np.hanning(FRAME_LENGTH).astype("float32")
        mel = mel_matrix(FRAME_LENGTH // 2 + 1, NUM_MELS, SAMPLING_RATE, 0.0, SAMPLING_RATE / 2)
        self._mel = mel / mel.sum(axis=0)
        self.built = True  # no weights: a whole model need not be run to build it

    def call(self, audio: Tensor) -> Tensor:
        half = FRAME_LENGTH // 2
        signal = ops.pad(audio, [[0, 0], [half, half + HOP_LENGTH - 1]])
        real, imaginary = transform_frames(
            signal, self._window, HOP_LENGTH, FRAME_LENGTH, self.implementation
        )
        power = ops.square(real) + ops.square(imaginary)
        bands = ops.matmul(power, ops.convert_to_tensor(self._mel))
        return ops.log10(1.0 + _POWER_SCALE * bands) / _LARGEST_VALUE

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, samples = input_shape
        return (batch, None if samples is None else num_frames(samples), NUM_MELS)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "implementation": self.implementation}


def num_frames(samples: int) -> int:
    """Number of frames of a recording, 1 + ceil(samples / 1024)."""
    return 1 + divide_up(samples, HOP_LENGTH)
