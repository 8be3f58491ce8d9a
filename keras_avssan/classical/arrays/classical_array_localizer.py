"""Base class of the methods for arrays: frames, steering, `localize`."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import (
    check_has_audio,
    check_integer,
    check_positive_number,
    transpose_hint,
)
from keras_avssan._internal.one_line import count, one_line, span
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import WriteOnce
from keras_avssan.arrays.direction_grid import DirectionGrid
from keras_avssan.arrays.microphone_array import MicrophoneArray
from keras_avssan.arrays.pair_fusion import check_resolves
from keras_avssan.classical.frequency_bins import checked_range, choose_bins
from keras_avssan.data.media.channel_pair import find_copies
from keras_avssan.data.media.recordings import read_recordings
from keras_avssan.layers.stereo_stft import StereoSTFT, level_gain

_BATCH_SIZE = 8
_MAX_DURATION = 3600.0  # seconds of a recording; longer ones exhaust the memory
_FLOOR = 1e-9  # added to values of the order of one: a spectrum of zeros becomes uniform


@keras.saving.register_keras_serializable(package="keras_avssan")
class ClassicalArrayLocalizer(keras.layers.Layer):
    """Base of the methods that localise the strongest sounds with an array, without training.

    All microphones are steered together, to directions all around. The methods have no weights and
    count as built. A subclass implements `spectrum`. Prompts and the loudness of a recording have
    no influence. Computed in float32 under every precision policy.

    Args:
        array: The array, a `keras_avssan.arrays.MicrophoneArray` whose microphone k is channel k.
        sampling_rate: Sampling rate in hertz.
        frame_length: Length of a frame and of its transform in samples; even.
        hop_length: Distance between frames in samples.
        frequency_range: Lowest and highest frequency in hertz.
        grid: Grid of directions, a `keras_avssan.arrays.DirectionGrid`; 360 level ones if not
            given.
        num_sources: Number of sources, whose directions `localize` returns.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, M). Other inputs are ignored.

    Returns:
        Dict with `doa`: float32 spectrum of shape (batch, *grid.shape), not negative and of sum
        one, each direction weighted by its solid angle. Uniform for silence.

    Raises:
        ValueError: If an argument is out of range, no bin lies within `frequency_range`, the array
            cannot distinguish the directions of the grid, or an input has a wrong shape or is
            shorter than a frame.
        TypeError: If `array` or `grid` is of another kind, or `inputs` is not a dict with `audio`.

    Example:
        >>> class DelayAndSum(ClassicalArrayLocalizer):  # without phase transform
        ...     def spectrum(self, spectrogram):
        ...         real, imaginary = spectrogram[..., 0::2], spectrogram[..., 1::2]
        ...         cosine, sine = (keras.ops.convert_to_tensor(part) for part in self.steering)
        ...         equation = "btfm,fmk->btfk"
        ...         first = keras.ops.einsum(equation, real, cosine)
        ...         first = first + keras.ops.einsum(equation, imaginary, sine)
        ...         second = keras.ops.einsum(equation, imaginary, cosine)
        ...         second = second - keras.ops.einsum(equation, real, sine)
        ...         return keras.ops.mean(first**2 + second**2, axis=(1, 2))
        >>> square = MicrophoneArray([(0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1)])
        >>> DelayAndSum(square)({"audio": keras.random.normal((1, 16000, 4))})["doa"].shape
        (1, 360)
    """

    array = WriteOnce()
    grid = WriteOnce()
    sampling_rate = WriteOnce()
    frequency_range = WriteOnce()
    num_sources = WriteOnce()

    def __init__(
        self,
        array: MicrophoneArray,
        sampling_rate: int = 16000,
        frame_length: int = 1024,
        hop_length: int = 512,
        frequency_range: Sequence[float] = (500.0, 4000.0),
        grid: DirectionGrid | None = None,
        num_sources: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        if not isinstance(array, MicrophoneArray):
            raise TypeError(
                "`array` must be a `keras_avssan.arrays.MicrophoneArray`. "
                f"Received: array={type(array).__name__}"
            )
        if grid is not None and not isinstance(grid, DirectionGrid):
            raise TypeError(f"`grid` must be a `DirectionGrid`. Received: grid={grid!r}")
        check_positive_number("sampling_rate", sampling_rate, "number of hertz")
        self.array = array
        self.grid = DirectionGrid() if grid is None else grid
        self.sampling_rate = sampling_rate
        self.frequency_range = checked_range(frequency_range, sampling_rate)
        self.num_sources = check_integer("num_sources", num_sources, 1)
        check_resolves(array, array.pairs(), self.grid)
        self.stft = StereoSTFT(frame_length, hop_length, name="stft")
        self._bins = choose_bins(self.stft, sampling_rate, self.frequency_range)
        hertz = np.arange(self._bins.start, self._bins.stop) * sampling_rate / frame_length
        waves = np.moveaxis(array.responses(self.grid.directions, hertz), 0, 2).swapaxes(0, 1)
        # Unit power at all microphones together, as for microphones in free air.
        waves = waves / np.sqrt(np.mean(np.abs(waves) ** 2, axis=1, keepdims=True))
        self.steering = waves.real.astype("float32"), waves.imag.astype("float32")
        self._prepare()
        self.built = True  # no weights: a whole model need not be run to build it

    def _prepare(self) -> None:
        """Computes from `steering` what a subclass needs in every call."""

    def __repr__(self) -> str:
        return one_line(
            self,
            self.array.name,
            count(len(self.array), "microphone"),
            f"{self.sampling_rate} Hz",
            f"frequencies {span(self.frequency_range, ' Hz', 5)}",
        )

    def call(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        check_has_audio(inputs)
        self._check_shape(tuple(inputs["audio"].shape))
        audio = ops.cast(inputs["audio"], "float32")
        spectrogram = self.stft(audio * level_gain(audio))[:, :, self._bins]
        # Scores are a density: each direction counts by the solid angle that it stands for.
        share = ops.convert_to_tensor(self.grid.solid_angles.astype("float32"))
        spectrum = (self.spectrum(spectrogram) + _FLOOR) * share
        spectrum = spectrum / ops.sum(spectrum, axis=-1, keepdims=True)
        return {"doa": ops.reshape(spectrum, (-1, *self.grid.shape))}

    def spectrum(self, spectrogram: Tensor) -> Tensor:
        """Scores the directions; subclasses implement it.

        `self.steering` holds real and imaginary part of the responses of the microphones to waves
        from each direction, shape (F, M, K) each, their mean squared magnitude over M being one.

        Args:
            spectrogram: Frames of the recordings scaled to unit power, within the frequency
                range: shape (batch, T, F, 2 M) as re1, im1, re2, im2, …

        Returns:
            Spectrum of shape (batch, K) over the K directions of the grid, not negative, of the
            order of one.
        """
        raise NotImplementedError

    def _check_shape(self, audio: Shape) -> None:
        if len(audio) != 3 or audio[-1] != len(self.array):
            raise ValueError(
                f"`audio` must have shape (batch, samples, {len(self.array)}), the microphones of "
                f"the array last.{transpose_hint(audio)} Received: audio.shape={audio}"
            )
        if isinstance(audio[1], int) and audio[1] < self.stft.frame_length:
            raise ValueError(
                f"`audio` must be at least as long as a frame, {self.stft.frame_length} samples. "
                f"Received: audio.shape={audio}"
            )

    def predict_on_batch(self, inputs: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
        """Scores the directions of one batch of arrays.

        Args:
            inputs: Dict of arrays, as in a call.

        Returns:
            Dict with `doa`: float32 NumPy array of shape (batch, *grid.shape).

        Raises:
            ValueError: If an input has a wrong shape.
            TypeError: If `inputs` is not a dict with `audio`.
        """
        if isinstance(inputs, dict) and "audio" in inputs:
            audio = ops.convert_to_tensor(np.asarray(inputs["audio"], "float32"))
            inputs = {"audio": audio}
        # Not by `__call__`, which would append its arguments to the message of an error.
        return {key: ops.convert_to_numpy(value) for key, value in self.call(inputs).items()}

    def localize(
        self,
        audio: Any,
        prompt: Any = None,
        sampling_rate: int | None = None,
        return_confidence: bool = False,
        channels: Sequence[int] | None = None,
    ) -> Any:
        """Finds the directions of the strongest sounds.

        Args:
            audio: Recording of the M microphones, of at least one frame and at most an hour: a
                file (its path, its bytes, or opened in binary mode), an array (samples, M) or
                (batch, samples, M), or a list of files or arrays of equal duration.
            prompt: Ignored; prompted models take one here.
            sampling_rate: Sampling rate of arrays in hertz; the layer's if not given.
            return_confidence: Whether the confidence is returned too.
            channels: Which channels of recordings with more of them are the M microphones, in
                their order, counted from 0.

        Returns:
            float32 array of azimuths in degrees, counter-clockwise from the x axis, shape
            (batch,), or (batch, num_sources), the highest peak first, with NaN in place of peaks
            that there are not; on a grid with elevations a last axis of azimuth and elevation.
            With `return_confidence`, a tuple of it and the share of the spectrum within 5° of it;
            0 for a recording in which two channels are copies of each other, after a warning.

        Raises:
            ValueError: If a recording is unusable, has another number of channels, or one of them
                is constant.
            TypeError: If `audio` is of another type.
        """
        audio = read_recordings(
            audio,
            self.sampling_rate,
            channels=channels,
            source_rate=sampling_rate,
            min_duration=self.stft.frame_length / self.sampling_rate,
            max_duration=_MAX_DURATION,
            num_channels=len(self.array),
        )
        parts = [
            self.predict_on_batch({"audio": audio[start : start + _BATCH_SIZE]})["doa"]
            for start in range(0, len(audio), _BATCH_SIZE)
        ]
        spectrum = np.concatenate(parts)
        found = self.grid.peaks(spectrum, self.num_sources)
        found = found[:, 0] if self.num_sources == 1 else found
        if not return_confidence:
            return found
        share = self.grid.near(spectrum, found)
        copies = find_copies(audio).reshape(-1, *[1] * (share.ndim - 1))
        return found, np.where(copies, np.float32(0), share)

    def compute_output_shape(self, inputs_shape: Mapping[str, Shape]) -> dict[str, Shape]:
        self._check_shape(inputs_shape["audio"])
        return {"doa": (inputs_shape["audio"][0], *self.grid.shape)}

    def get_config(self) -> dict[str, Any]:
        array, grid = self.array, self.grid
        elevations = None if grid.elevations is None else grid.elevations.tolist()
        return {
            **super().get_config(),
            "array": {
                "positions": array.positions.tolist(),
                "name": array.name,
                "baffle": array.baffle,
            },
            "sampling_rate": self.sampling_rate,
            "frame_length": self.stft.frame_length,
            "hop_length": self.stft.hop_length,
            "frequency_range": self.frequency_range,
            "grid": {"azimuths": grid.azimuths.tolist(), "elevations": elevations},
            "num_sources": self.num_sources,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        array, grid = MicrophoneArray(**config["array"]), DirectionGrid(**config["grid"])
        return cls(**{**config, "array": array, "grid": grid})
