"""Resampling of audio inside a model."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.sizes import divide_up

# Half the length of the filter in samples of the lower rate, and the shape of its Kaiser window:
# together 100 dB from 1.0 of the lower Nyquist frequency on, and a passband up to 0.9 of it.
_HALF_WIDTH = 64
_KAISER_BETA = 10.0
_CUTOFF = 0.95  # middle of the transition, as a share of the lower Nyquist frequency
_LARGEST_KERNEL = 2**22


@keras.saving.register_keras_serializable(package="keras_avssan")
class Resampler(FixedSettings, keras.layers.Layer):
    """Resamples audio from one rate to another by a polyphase filter.

    The two rates are to each other as two integers M and L without a common divisor. Every block
    of M samples becomes L samples, each from a windowed sinc of its own, so that the whole is one
    convolution of stride M with L filters. What lies below 0.9 of the lower of the two Nyquist
    frequencies keeps its level and phase within −80 dB; what lies above that Nyquist frequency
    is removed. The signal is continued with zeros at both ends. Computed in float32 under every
    precision policy.

    Args:
        source_rate: Sampling rate of the input in hertz.
        target_rate: Sampling rate of the output in hertz.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        audio: Mono audio, shape (batch, samples), of any duration.

    Returns:
        float32 tensor of shape (batch, ceil(samples * target_rate / source_rate)); its sample n
        is taken at n / target_rate seconds.

    Raises:
        ValueError: If a rate is not an integer of at least 1, or the ratio of the rates is of
            integers so large that the filters would not fit into memory.

    Example:
        >>> Resampler(16000, 44100)(keras.ops.ones((2, 16000))).shape
        (2, 44100)
    """

    def __init__(self, source_rate: int, target_rate: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.source_rate = source_rate = check_integer("source_rate", source_rate, least=1)
        self.target_rate = target_rate = check_integer("target_rate", target_rate, least=1)
        divisor = math.gcd(source_rate, target_rate)
        self._inputs = source_rate // divisor
        self._outputs = target_rate // divisor
        # In input samples; a lower target rate needs a longer filter.
        reach = _HALF_WIDTH * max(1.0, source_rate / target_rate)
        self._reach = math.ceil(reach)
        if (self._inputs + 2 * self._reach) * self._outputs > _LARGEST_KERNEL:
            raise ValueError(
                "`source_rate` and `target_rate` must have a ratio of smaller integers than "
                f"{self._inputs} to {self._outputs}. "
                f"Received: source_rate={source_rate}, target_rate={target_rate}"
            )
        self._kernel = self._make_kernel(reach)
        self.built = True  # no weights: a whole model need not be run to build it

    def _make_kernel(self, reach: float) -> np.ndarray:
        """Filters as the kernel of a convolution, shape (M + 2 reach, 1, L)."""
        cutoff = _CUTOFF * min(1.0, self.target_rate / self.source_rate)
        taps = np.arange(self._inputs + 2 * self._reach) - self._reach
        times = np.arange(self._outputs) * self._inputs / self._outputs
        distance = times[None, :] - taps[:, None]
        inside = np.clip(1.0 - np.square(distance / reach), 0.0, None)
        window = np.where(np.abs(distance) < reach, np.i0(_KAISER_BETA * np.sqrt(inside)), 0.0)
        kernel = np.sinc(cutoff * distance) * window
        kernel /= kernel.sum(axis=0)  # a constant keeps its value in every phase
        return kernel[:, None, :].astype("float32")

    def call(self, audio: Tensor) -> Tensor:
        audio = ops.cast(audio, "float32")
        if self._inputs == self._outputs:
            return audio
        samples = ops.shape(audio)[1]
        blocks = divide_up(samples, self._inputs)
        signal = ops.pad(audio, [[0, 0], [self._reach, self._reach + self._inputs - 1]])
        x = ops.conv(
            signal[..., None],
            ops.convert_to_tensor(self._kernel),
            strides=self._inputs,
            data_format="channels_last",
        )
        x = ops.reshape(x, (-1, blocks * self._outputs))
        return x[:, : self._num_outputs(samples)]

    def _num_outputs(self, samples: Tensor) -> Tensor:
        """Rounds `samples` * L / M up, without the large products of long recordings."""
        blocks = divide_up(samples, self._inputs)
        surplus = blocks * self._inputs - samples
        return blocks * self._outputs - surplus * self._outputs // self._inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, samples = input_shape
        return (batch, None if samples is None else self._num_outputs(samples))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "source_rate": self.source_rate,
            "target_rate": self.target_rate,
        }
