"""Short-time Fourier transform of a microphone pair."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_choice, check_integer, known_size, transpose_hint
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings

_IMPLEMENTATIONS = ("fft", "conv")
# Peaks of recordings whose power float32 holds as it is.
LEAST_PEAK, GREATEST_PEAK = 1e-3, 1e6
_QUIETEST = 1e-30  # peaks below it count as silence


def level_gain(audio: Tensor) -> Tensor:
    """Gain (batch, 1, 1) to a root mean square of one over time and channels; finite for silence.

    Peaks may be from 1e-30 to 1e37: audio whose peak is far from one is scaled by it first.
    """
    audio = ops.cast(audio, "float32")
    peak = ops.max(ops.abs(audio), axis=(1, 2), keepdims=True)
    quiet = ops.logical_and(peak > 0, peak < LEAST_PEAK)
    unusual = ops.logical_or(quiet, peak > GREATEST_PEAK)
    scale = ops.where(unusual, ops.maximum(peak, _QUIETEST), 1.0)
    power = ops.mean(ops.square(audio / scale), axis=(1, 2), keepdims=True)
    return ops.rsqrt(power + 1e-10) / scale


def cross_spectrum(spectrogram: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of X₁X₂*, (batch, T, F); the phase is positive if channel 0 leads."""
    # The gradient of four slices would be four spectrograms of zeros.
    re1, im1, re2, im2 = ops.unstack(spectrogram, 4, axis=-1)
    return re1 * re2 + im1 * im2, im1 * re2 - re1 * im2


def compressed_magnitude(spectrogram: Tensor, exponent: float = 0.3) -> Tensor:
    """Magnitude of every bin (..., F), the root mean square of both channels, raised to a power.

    Compressed, so that quiet bins count too.
    """
    power = 0.5 * ops.sum(ops.square(spectrogram), axis=-1)
    return ops.power(power + 1e-6, 0.5 * exponent)


def convolve_frames(
    signal: Tensor, window: np.ndarray, hop_length: int, fft_length: int
) -> tuple[Tensor, Tensor]:
    """Short-time Fourier transform of mono signals as a convolution, which every export format has.

    The first frame starts at the first sample. Real and imaginary part: (batch, frames, bins).
    """
    bins = fft_length // 2 + 1
    turns = np.outer(np.arange(len(window)), np.arange(bins)) % fft_length
    phase = 2 * np.pi * turns / fft_length
    kernel = np.concatenate([np.cos(phase), -np.sin(phase)], axis=1) * window[:, None]
    kernel = ops.convert_to_tensor(kernel[:, None, :].astype("float32"))
    parts = ops.conv(signal[..., None], kernel, strides=hop_length, data_format="channels_last")
    return parts[..., :bins], parts[..., bins:]


@keras.saving.register_keras_serializable(package="keras_avssan")
class StereoSTFT(FixedSettings, keras.layers.Layer):
    """Computes the short-time Fourier transform of every channel, as real numbers.

    Frame t is centred on sample `t * hop_length`; the signal is continued with zeros at both
    ends, so there are `1 + samples // hop_length` frames for any length. The periodic Hann
    window is scaled to unit energy, so that white noise of unit variance has unit mean power in
    every bin. Computed in float32 under every precision policy.

    Args:
        frame_length: Length of a frame and of its transform, in samples; even.
        hop_length: Distance between frames, in samples.
        implementation: `"fft"`, or `"conv"`, which computes the transform by a convolution: slower,
            but available in every export format.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        audio: Audio, shape (batch, samples, channels).

    Returns:
        float32 tensor of shape (batch, T, frame_length // 2 + 1, 2 * channels); the last axis is
        re1, im1, re2, im2, …

    Raises:
        ValueError: If a length is not an integer of at least 1, `frame_length` is odd, or
            `implementation` is unknown; or if `audio` has another shape.

    Example:
        >>> StereoSTFT()(keras.ops.ones((1, 16000, 2))).shape
        (1, 32, 513, 4)

    Reference:
        AV-SSAN, "Training and Evaluation": frames of 64 ms, a hop of 32 ms.
    """

    settable = ("implementation",)  # exports switch it for a while

    def __init__(
        self,
        frame_length: int = 1024,
        hop_length: int = 512,
        implementation: str = "fft",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        frame_length = check_integer("frame_length", frame_length, least=1)
        hop_length = check_integer("hop_length", hop_length, least=1)
        if frame_length % 2:
            raise ValueError(
                "`frame_length` must be even, so that frames have a centre. "
                f"Received: frame_length={frame_length}"
            )
        check_choice("implementation", implementation, _IMPLEMENTATIONS)
        self.frame_length = frame_length
        self.hop_length = hop_length
        self.implementation = implementation
        window = np.hanning(frame_length + 1)[:-1]
        self._window = (window / np.sqrt(np.sum(window**2))).astype("float32")
        self.built = True  # no weights: a whole model need not be run to build it

    @property
    def num_bins(self) -> int:
        """Number of frequency bins, F."""
        return self.frame_length // 2 + 1

    def call(self, audio: Tensor) -> Tensor:
        hint = transpose_hint(audio.shape, "channels")
        if len(audio.shape) != 3 or hint:
            raise ValueError(
                f"`audio` must have shape (batch, samples, channels).{hint} "
                f"Received: audio.shape={tuple(audio.shape)}"
            )
        _, samples, channels = ops.shape(audio)
        signal = ops.reshape(ops.transpose(audio, (0, 2, 1)), (-1, samples))
        half = self.frame_length // 2
        signal = ops.pad(signal, [[0, 0], [half, half]])
        transform = self._fft if self.implementation == "fft" else self._convolve
        frames = 1 + samples // self.hop_length
        real, imaginary = (
            ops.reshape(part, (-1, channels, frames, self.num_bins)) for part in transform(signal)
        )
        # One pass over the spectrogram: nothing is stacked and then transposed.
        parts = [part[:, i] for i in range(channels) for part in (real, imaginary)]
        return ops.stack(parts, axis=-1)

    def _fft(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        return ops.stft(
            signal,
            self.frame_length,
            self.hop_length,
            self.frame_length,
            window=self._window,
            center=False,
        )

    def _convolve(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        return convolve_frames(signal, self._window, self.hop_length, self.frame_length)

    def inverse(self, spectrogram: Tensor, samples: int) -> np.ndarray:
        """Computes the signal of a spectrogram.

        Of a modified spectrogram, which may be that of no signal, the nearest one in least
        squares. Computed in NumPy, for playback or storage.

        Args:
            spectrogram: Array of shape (batch, T, F, 2 * channels), as the layer returns it.
            samples: Length of the signal, such that it has T frames.

        Returns:
            float32 array of shape (batch, samples, channels). Samples in no frame are zero.

        Raises:
            ValueError: If `samples` does not fit the number of frames.

        Example:
            >>> stft = StereoSTFT()
            >>> audio = stft.inverse(stft(keras.ops.ones((1, 16000, 2))), 16000)

        Reference:
            Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984.
        """
        parts = ops.convert_to_numpy(spectrogram)
        frames = parts.shape[1]
        if 1 + samples // self.hop_length != frames:
            raise ValueError(
                f"`samples` must fit the {frames} frames of `spectrogram`. "
                f"Received: samples={samples}"
            )
        half, window = self.frame_length // 2, self._window[:, None].astype("float64")
        pieces = np.fft.irfft(parts[..., 0::2] + 1j * parts[..., 1::2], axis=2) * window
        length = max(samples, (frames - 1) * self.hop_length + half) + half
        signal = np.zeros((len(parts), length, pieces.shape[-1]))
        weight = np.zeros((length, 1))
        for t in range(frames):
            reach = slice(t * self.hop_length, t * self.hop_length + self.frame_length)
            signal[:, reach] += pieces[:, t]
            weight[reach] += window**2
        signal /= np.where(weight > 1e-10, weight, 1.0)
        return signal[:, half : half + samples].astype("float32")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        channels = known_size("input_shape", input_shape, 2, "channels")
        batch, samples = input_shape[:2]
        frames = None if samples is None else 1 + samples // self.hop_length
        return (batch, frames, self.num_bins, 2 * channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "frame_length": self.frame_length,
            "hop_length": self.hop_length,
            "implementation": self.implementation,
        }
