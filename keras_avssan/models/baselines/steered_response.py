"""Steers a correlation curve to the directions of the grid."""

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.write_once import FixedSettings, WriteOnce
from keras_avssan.doa.grid import NUM_DIRECTIONS
from keras_avssan.doa.steering import SPEED_OF_SOUND, direction_delays


@keras.saving.register_keras_serializable(package="keras_avssan")
class SteeredResponse(FixedSettings, keras.layers.Layer):
    """Values of a correlation curve at the delays of the 180 directions, times a learnt sharpness.

    The curve is given at whole samples and band-limited, so that its value at the delay
    `spacing * cos(θ) / c` is a sum of shifted sincs: one matrix for all curves. Computed in
    float32 under every precision policy.

    Args:
        max_lag: Largest lag of the curve in samples; the curve has `2 * max_lag + 1` values.
        microphone_spacing: Distance between the microphones in metres.
        sampling_rate: Sampling rate in hertz.
        sharpness: Initial factor between the response and the logits.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        curve: Correlation at the lags from `-max_lag` to `max_lag`, shape (batch, lags).

    Returns:
        float32 logits of shape (batch, 180); index k is the direction of k + 1 degrees.

    Raises:
        ValueError: If the largest delay of the pair lies outside the curve.

    Example:
        >>> SteeredResponse()(keras.ops.ones((2, 51))).shape
        (2, 180)

    Reference:
        DiBiase et al., "Robust localization in reverberant rooms", 2001.
    """

    microphone_spacing = WriteOnce()
    sampling_rate = WriteOnce()
    max_lag = WriteOnce()

    def __init__(
        self,
        max_lag=25,
        microphone_spacing=0.2,
        sampling_rate=16000,
        sharpness=10.0,
        **kwargs,
    ):
        super().__init__(**{**kwargs, "dtype": "float32"})
        largest = microphone_spacing / SPEED_OF_SOUND * sampling_rate
        if not max_lag >= largest:
            raise ValueError(
                "`max_lag` must reach the largest delay of the pair, "
                f"{largest:.1f} samples. Received: max_lag={max_lag}"
            )
        self.max_lag = max_lag
        self.microphone_spacing = microphone_spacing
        self.sampling_rate = sampling_rate
        self.sharpness = sharpness
        delays = sampling_rate * direction_delays(microphone_spacing)
        lags = np.arange(-max_lag, max_lag + 1)
        self._matrix = np.sinc(lags[:, None] - delays[None, :]).astype("float32")

    def build(self, curve_shape):
        self.factor = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(self.sharpness), name="factor"
        )
        self.built = True

    def call(self, curve):
        return self.factor * ops.matmul(curve, ops.convert_to_tensor(self._matrix))

    def compute_output_shape(self, curve_shape):
        return (*curve_shape[:-1], NUM_DIRECTIONS)

    def get_config(self):
        return {
            **super().get_config(),
            "max_lag": self.max_lag,
            "microphone_spacing": self.microphone_spacing,
            "sampling_rate": self.sampling_rate,
            "sharpness": self.sharpness,
        }
