"""Front end of YAMNet: magnitudes of the short-time Fourier transform, and their log-mel bands."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_integer, check_positive_number
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.log_mel_encoder import mel_matrix
from keras_avssan.encoders.short_time_transform import check_implementation, transform_frames
from keras_avssan.layers.sizes import at_least, divide_up

SAMPLING_RATE = 16000  # hertz
FRAME_LENGTH = 400  # samples: 25 ms
HOP_LENGTH = 160  # samples: 10 ms
FFT_LENGTH = 512
NUM_BINS = FFT_LENGTH // 2 + 1
NUM_MELS = 64

_LOWEST_HERTZ = 125.0
_HIGHEST_HERTZ = 7500.0
LOG_OFFSET = 0.001
_OVERHANG = FRAME_LENGTH - HOP_LENGTH  # by which the last frame exceeds the hops
# Under the root, so that silence has a gradient; it changes no logarithm by more than 1e-6.
_EPSILON = 1e-20


@keras.saving.register_keras_serializable(package="keras_avssan")
class YAMNetSpectrogram(FixedSettings, keras.layers.Layer):
    """Computes the magnitudes of the transform that YAMNet starts from.

    Frames of 400 samples (25 ms) start every 160 samples (10 ms), so frame j is centred on
    0.0125 + 0.01 j seconds; they pass a periodic Hann window and a transform of 512 points. A
    recording has as many frames as it takes to cover every sample, and is continued with zeros.
    `YAMNetLogMel` makes the network's input of these magnitudes. Computed in float32 under every
    precision policy.

    Args:
        gain: Factor on the audio. The published weights were trained on audio within ±1.
        implementation: `"fft"`, or `"conv"`, which computes the transform by a convolution: slower,
            but available in every export format.
        least_frames: Smallest number of frames.
        step_frames: The number of frames is `least_frames` and a multiple of this one.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        audio: Mono audio at 16 kHz, shape (batch, samples).

    Returns:
        float32 tensor of shape (batch, frames, 257).

    Raises:
        ValueError: If `gain` is not positive, `implementation` is unknown, or `least_frames` or
            `step_frames` is not a positive integer.

    Example:
        >>> YAMNetSpectrogram()(keras.ops.ones((1, 15600))).shape
        (1, 96, 257)

    Reference:
        Plakal and Ellis, YAMNet, https://github.com/tensorflow/models, 2019.
    """

    settable = ("implementation",)  # exports switch it for a while

    hop_seconds = HOP_LENGTH / SAMPLING_RATE  # between frames
    offset_seconds = 0.5 * FRAME_LENGTH / SAMPLING_RATE  # centre of the first

    def __init__(
        self,
        gain: float = 1.0,
        implementation: str = "fft",
        least_frames: int = 1,
        step_frames: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False, "autocast": False})
        check_positive_number("gain", gain)
        self.gain = gain
        self.implementation = check_implementation(implementation)
        self.least_frames = check_integer("least_frames", least_frames, least=1)
        self.step_frames = check_integer("step_frames", step_frames, least=1)
        self._window = np.hanning(FRAME_LENGTH + 1)[:-1].astype("float32")
        self.built = True  # no weights: a whole model need not be run to build it

    def num_frames(self, samples: Tensor) -> Tensor:
        """Computes the number of frames of a recording.

        Args:
            samples: Length of the recording in samples, an int or an integer tensor.

        Returns:
            The number, of the same type.
        """
        # The frames that cover every sample.
        count = divide_up(samples - _OVERHANG, HOP_LENGTH)
        return fitting(count, self.least_frames, self.step_frames)

    def call(self, audio: Tensor) -> Tensor:
        frames = self.num_frames(ops.shape(audio)[1])
        audio = self.gain * ops.cast(audio, "float32")
        # More zeros than needed, then cut: the same code for short and long recordings.
        most = (self.least_frames + self.step_frames) * HOP_LENGTH + _OVERHANG
        audio = ops.pad(audio, [[0, 0], [0, most]])
        audio = audio[:, : HOP_LENGTH * frames + _OVERHANG]
        real, imaginary = transform_frames(
            audio, self._window, HOP_LENGTH, FFT_LENGTH, self.implementation
        )
        return ops.sqrt(ops.square(real) + ops.square(imaginary) + _EPSILON)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, samples = input_shape
        return (batch, None if samples is None else self.num_frames(samples), NUM_BINS)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "gain": self.gain,
            "implementation": self.implementation,
            "least_frames": self.least_frames,
            "step_frames": self.step_frames,
        }


@keras.saving.register_keras_serializable(package="keras_avssan")
class YAMNetLogMel(FixedSettings, keras.layers.Layer):
    """Computes the log-mel bands that are the input of YAMNet's network, from magnitudes.

    64 triangular filters over mel from 125 to 7500 Hz sum the magnitudes of each frame; the
    logarithm is taken of the sum plus 0.001. Differentiable, so that magnitudes may have passed a
    mask that is being learned. Computed in float32 under every precision policy.

    Args:
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        magnitudes: Magnitudes as of `YAMNetSpectrogram`, shape (batch, frames, 257).

    Returns:
        float32 tensor of shape (batch, frames, 64).

    Raises:
        ValueError: If the last axis of `magnitudes` is not 257 bins.

    Example:
        >>> magnitudes = YAMNetSpectrogram()(keras.ops.ones((1, 15600)))
        >>> YAMNetLogMel()(0.5 * magnitudes).shape
        (1, 96, 64)

    Reference:
        Plakal and Ellis, YAMNet, https://github.com/tensorflow/models, 2019.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False, "autocast": False})
        self._mel = mel_matrix(NUM_BINS, NUM_MELS, SAMPLING_RATE, _LOWEST_HERTZ, _HIGHEST_HERTZ)
        self.built = True  # no weights: a whole model need not be run to build it

    def call(self, magnitudes: Tensor) -> Tensor:
        if magnitudes.shape[-1] != NUM_BINS:
            raise ValueError(
                f"`magnitudes` must have {NUM_BINS} bins on their last axis. "
                f"Received: magnitudes.shape={tuple(magnitudes.shape)}"
            )
        mel = ops.matmul(ops.cast(magnitudes, "float32"), ops.convert_to_tensor(self._mel))
        return ops.log(mel + LOG_OFFSET)

    def compute_output_shape(self, magnitudes_shape: Shape) -> Shape:
        return (*magnitudes_shape[:-1], NUM_MELS)


def fitting(count: Tensor, least: int, step: int) -> Tensor:
    """Smallest of `least`, `least + step`, … that is `count` or more; of a size."""
    return least + step * at_least(divide_up(count - least, step), 0)
