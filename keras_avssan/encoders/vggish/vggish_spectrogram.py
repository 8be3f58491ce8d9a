"""Front end of VGGish: examples of a log-mel spectrogram."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_positive_number
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.log_mel_encoder import mel_matrix
from keras_avssan.encoders.short_time_transform import check_implementation, transform_frames
from keras_avssan.layers.sizes import at_least, divide_up

SAMPLING_RATE = 16000  # hertz
FRAME_LENGTH = 400  # samples: 25 ms
HOP_LENGTH = 160  # samples: 10 ms
FFT_LENGTH = 512
NUM_MELS = 64
NUM_FRAMES = 96  # of an example

_LOWEST_HERTZ = 125.0
_HIGHEST_HERTZ = 7500.0
_LOG_OFFSET = 0.01
_EXAMPLE_HOP = NUM_FRAMES * HOP_LENGTH  # samples
_OVERHANG = FRAME_LENGTH - HOP_LENGTH  # by which the last frame exceeds the hops
# Under the root, so that silence has a gradient; it changes no logarithm by more than 1e-5.
_EPSILON = 1e-16


@keras.saving.register_keras_serializable(package="keras_avssan")
class VGGishSpectrogram(FixedSettings, keras.layers.Layer):
    """Cuts recordings into the log-mel examples that are the input of VGGish.

    Frames of 400 samples start every 160 samples; the magnitudes of their transform (periodic Hann
    window, 512 points) pass 64 triangular mel filters from 125 to 7500 Hz; the logarithm is taken
    of the result plus 0.01. Each 96 frames make an example, so that an example covers 15600
    samples (0.975 s) and starts 15360 samples (0.96 s) after the one before.

    A recording has as many examples as it takes to cover every sample: n examples for
    `15360 * n + 240` samples, and one more for a longer recording. The last example is padded with
    zeros. Computed in float32 under every precision policy.

    Args:
        drop_remainder: Whether a last example that the recording does not fill is left out, as by
            the published code. A recording always has one example.
        gain: Factor on the audio. The published weights were trained on audio within ±1.
        implementation: `"fft"`, or `"conv"`, which computes the transform by a convolution: slower,
            but available in every export format.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        audio: Mono audio at 16 kHz, shape (batch, samples).

    Returns:
        float32 tensor of shape (batch, t, 96, 64): examples, frames, mel bands.

    Raises:
        ValueError: If `gain` is not positive or `implementation` is unknown.

    Example:
        >>> VGGishSpectrogram()(keras.ops.ones((1, 48000))).shape
        (1, 4, 96, 64)

    Reference:
        Hershey et al., CNN Architectures for Large-Scale Audio Classification, ICASSP 2017.
    """

    settable = ("implementation",)  # exports switch it for a while

    def __init__(
        self,
        drop_remainder: bool = False,
        gain: float = 1.0,
        implementation: str = "fft",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False, "autocast": False})
        check_positive_number("gain", gain)
        self.drop_remainder = drop_remainder
        self.gain = gain
        self.implementation = check_implementation(implementation)
        self._window = np.hanning(FRAME_LENGTH + 1)[:-1].astype("float32")
        self._mel = mel_matrix(
            FFT_LENGTH // 2 + 1, NUM_MELS, SAMPLING_RATE, _LOWEST_HERTZ, _HIGHEST_HERTZ
        )
        self.built = True  # no weights: a whole model need not be run to build it

    def num_examples(self, samples: Tensor) -> Tensor:
        """Computes the number of examples t of a recording.

        Args:
            samples: Length of the recording in samples, an int or an integer tensor.

        Returns:
            The number, at least one, of the same type.
        """
        if self.drop_remainder:
            count = (samples - _OVERHANG) // _EXAMPLE_HOP
        else:
            count = divide_up(samples - _OVERHANG, _EXAMPLE_HOP)
        return at_least(count, 1)

    def call(self, audio: Tensor) -> Tensor:
        examples = self.num_examples(ops.shape(audio)[1])
        audio = self.gain * ops.cast(audio, "float32")
        # More zeros than needed, then cut: the same code for short and long recordings.
        audio = ops.pad(audio, [[0, 0], [0, _EXAMPLE_HOP + _OVERHANG]])
        audio = audio[:, : _EXAMPLE_HOP * examples + _OVERHANG]
        real, imaginary = transform_frames(
            audio, self._window, HOP_LENGTH, FFT_LENGTH, self.implementation
        )
        magnitude = ops.sqrt(ops.square(real) + ops.square(imaginary) + _EPSILON)
        mel = ops.matmul(magnitude, ops.convert_to_tensor(self._mel))
        return ops.reshape(ops.log(mel + _LOG_OFFSET), (-1, examples, NUM_FRAMES, NUM_MELS))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, samples = input_shape
        examples = None if samples is None else self.num_examples(samples)
        return (batch, examples, NUM_FRAMES, NUM_MELS)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "drop_remainder": self.drop_remainder,
            "gain": self.gain,
            "implementation": self.implementation,
        }
