"""Base class of the methods without training: frames, steering, `localize`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import (
    check_has_audio,
    check_integer,
    check_positive_number,
    refuse_presence,
    transpose_hint,
)
from keras_avssan._internal.one_line import one_line, span
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import WriteOnce
from keras_avssan.classical.frequency_bins import checked_range, choose_bins
from keras_avssan.classical.peaks import strongest_peaks
from keras_avssan.data.media.channel_pair import confidence
from keras_avssan.data.media.recordings import read_recordings, spacing_input
from keras_avssan.doa.grid import GRID_DEGREES, NUM_DIRECTIONS, check_finite
from keras_avssan.doa.steering import direction_delays, steering_phases
from keras_avssan.layers.stereo_stft import StereoSTFT, level_gain

_BATCH_SIZE = 32
_MAX_DURATION = 3600.0  # seconds of a recording; longer ones exhaust the memory
_INPUTS = ("audio", "microphone_spacing")
_FLOOR = 1e-9  # added to values of the order of one: a spectrum of zeros becomes uniform


@keras.saving.register_keras_serializable(package="keras_avssan")
class ClassicalLocalizer(keras.layers.Layer):
    """Base of the methods that localise the strongest sound of a recording, without training.

    They have no weights and count as built. A subclass implements `spectrum`, which scores the 180
    directions from the frames of a recording. `localize` and `predict_on_batch` take the arguments
    of those of `keras_avssan.models.Localizer`, so that the same evaluation runs both. Prompts and
    the loudness of a recording have no influence. Computed in float32 under every precision
    policy.

    Args:
        microphone_spacing: Distance between the microphones in metres.
        sampling_rate: Sampling rate in hertz.
        frame_length: Length of a frame and of its transform in samples; even.
        hop_length: Distance between frames in samples.
        frequency_range: Lowest and highest frequency in hertz; the bins between them, both ends
            included, are used. Bins 0 and F - 1 never are: they are real and have no phase.
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
        >>> from keras_avssan.doa.steering import steered_response
        >>> from keras_avssan.layers.stereo_stft import cross_spectrum
        >>> class SteeredPower(ClassicalLocalizer):  # without phase transform
        ...     def spectrum(self, spectrogram, phase):
        ...         cross = cross_spectrum(spectrogram)
        ...         real, imaginary = (keras.ops.mean(part, axis=1) for part in cross)
        ...         power = keras.ops.mean(keras.ops.square(spectrogram), axis=(1, 2, 3))
        ...         return power[:, None] + 0.5 * steered_response(real, imaginary, phase)
        >>> SteeredPower()({"audio": keras.ops.ones((1, 16000, 2))})["doa"].shape
        (1, 180)
    """

    microphone_spacing = WriteOnce()
    sampling_rate = WriteOnce()
    frequency_range = WriteOnce()

    def __init__(
        self,
        microphone_spacing: float = 0.2,
        sampling_rate: int = 16000,
        frame_length: int = 1024,
        hop_length: int = 512,
        frequency_range: Sequence[float] = (500.0, 4000.0),
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        check_positive_number("microphone_spacing", microphone_spacing, "distance in metres")
        check_positive_number("sampling_rate", sampling_rate, "number of hertz")
        self.microphone_spacing = float(microphone_spacing)
        self.sampling_rate = sampling_rate
        self.frequency_range = checked_range(frequency_range, sampling_rate)
        self.stft = StereoSTFT(frame_length, hop_length, name="stft")
        self._bins = choose_bins(self.stft, sampling_rate, self.frequency_range)
        hertz = np.arange(self._bins.start, self._bins.stop) * sampling_rate / frame_length
        phase = steering_phases(hertz, direction_delays())
        self._phase_a_metre = phase[None].astype("float32")  # (1, F, 180)
        self.built = True  # no weights: a whole model need not be run to build it

    def __repr__(self) -> str:
        return one_line(
            self,
            f"microphones {self.microphone_spacing:g} m apart",
            f"{self.sampling_rate} Hz",
            f"frequencies {span(self.frequency_range, ' Hz', 5)}",
        )

    def call(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        check_has_audio(inputs)
        self._check_shapes({key: tuple(inputs[key].shape) for key in _INPUTS if key in inputs})
        audio = ops.cast(inputs["audio"], "float32")
        spectrogram = self.stft(audio * level_gain(audio))[:, :, self._bins]
        phase = self._phase(inputs.get("microphone_spacing"))
        spectrum = self.spectrum(spectrogram, phase) + _FLOOR
        return {"doa": spectrum / ops.sum(spectrum, axis=-1, keepdims=True)}

    def spectrum(self, spectrogram: Tensor, phase: Tensor) -> Tensor:
        """Scores the directions; subclasses implement it.

        Args:
            spectrogram: Frames of the recordings scaled to unit power, within the frequency
                range: shape (batch, T, F, 4) as re1, im1, re2, im2.
            phase: Phase in radians by which channel 0 leads in a bin for sound from a direction:
                shape (batch, F, 180), or (1, F, 180) for all recordings.

        Returns:
            Spectrum of shape (batch, 180), not negative, of the order of one.
        """
        raise NotImplementedError

    def _check_shapes(self, shapes: Mapping[str, Shape]) -> None:
        audio, spacing = shapes["audio"], shapes.get("microphone_spacing")
        if len(audio) != 3 or audio[-1] != 2:
            raise ValueError(
                "`audio` must have shape (batch, samples, 2), the two microphones last."
                f"{transpose_hint(audio)} Received: audio.shape={audio}"
            )
        if isinstance(audio[1], int) and audio[1] < self.stft.frame_length:
            raise ValueError(
                f"`audio` must be at least as long as a frame, {self.stft.frame_length} samples. "
                f"Received: audio.shape={audio}"
            )
        if spacing is not None and not _same_batch(spacing, audio[:1]):
            raise ValueError(
                "`microphone_spacing` must have shape (batch,), one distance per recording. "
                f"Received: microphone_spacing.shape={spacing}, audio.shape={audio}"
            )

    def _phase(self, microphone_spacing: Tensor | None) -> Tensor:
        """Phases of the directions in radians, (batch, F, 180) or (1, F, 180)."""
        phase = ops.convert_to_tensor(self._phase_a_metre)
        if microphone_spacing is None:
            return self.microphone_spacing * phase
        return ops.cast(microphone_spacing, "float32")[:, None, None] * phase

    def predict_on_batch(self, inputs: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
        """Scores the directions of one batch of arrays.

        Args:
            inputs: Dict of arrays, as in a call.

        Returns:
            Dict with `doa`: float32 NumPy array of shape (batch, 180).

        Raises:
            ValueError: If an input has a wrong shape or a spacing is not positive.
            TypeError: If `inputs` is not a dict with `audio`.

        Example:
            >>> audio = np.random.default_rng(0).normal(size=(2, 16000, 2))
            >>> SRPPHAT().predict_on_batch({"audio": audio})["doa"].shape
            (2, 180)
        """
        if isinstance(inputs, dict):
            inputs = {key: np.asarray(inputs[key], "float32") for key in _INPUTS if key in inputs}
            spacing = inputs.get("microphone_spacing", np.ones(1))
            if not (np.isfinite(spacing).all() and np.all(np.asarray(spacing) > 0)):
                raise ValueError(
                    "`microphone_spacing` must hold positive distances in metres. "
                    f"Received: microphone_spacing={spacing}"
                )
        # Not by `__call__`, which would append its arguments to the message of an error.
        outputs = self.call(keras.tree.map_structure(ops.convert_to_tensor, inputs))
        return {key: ops.convert_to_numpy(value) for key, value in outputs.items()}

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any = ...,
        sampling_rate: int | None = ...,
        return_confidence: Literal[False] = ...,
        channels: Sequence[int] | None = ...,
        microphone_spacing: ArrayLike | None = ...,
        *,
        return_presence: bool = ...,
        num_sources: int = ...,
    ) -> np.ndarray: ...

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any = ...,
        sampling_rate: int | None = ...,
        *,
        return_confidence: Literal[True],
        channels: Sequence[int] | None = ...,
        microphone_spacing: ArrayLike | None = ...,
        return_presence: bool = ...,
        num_sources: int = ...,
    ) -> tuple[np.ndarray, np.ndarray]: ...

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any,
        sampling_rate: int | None,
        return_confidence: Literal[True],
        channels: Sequence[int] | None = ...,
        microphone_spacing: ArrayLike | None = ...,
        *,
        return_presence: bool = ...,
        num_sources: int = ...,
    ) -> tuple[np.ndarray, np.ndarray]: ...

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any = ...,
        sampling_rate: int | None = ...,
        return_confidence: bool = ...,
        channels: Sequence[int] | None = ...,
        microphone_spacing: ArrayLike | None = ...,
        *,
        return_presence: bool = ...,
        num_sources: int = ...,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]: ...

    def localize(
        self,
        audio: Any,
        prompt: Any = None,
        sampling_rate: int | None = None,
        return_confidence: bool = False,
        channels: Sequence[int] | None = None,
        microphone_spacing: ArrayLike | None = None,
        *,
        return_presence: bool = False,
        num_sources: int = 1,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Finds the direction of the strongest sound, or those of several.

        Args:
            audio: Two-microphone recording of at least one frame and at most an hour: a file (its
                path, its bytes, or opened in binary mode), an array (samples, 2) or (batch,
                samples, 2), or a list of files or arrays of equal duration.
            prompt: Ignored; prompted models take one here.
            sampling_rate: Sampling rate of arrays in hertz; the layer's if not given.
            return_confidence: Whether the confidence is returned too.
            microphone_spacing: Distance between the microphones in metres, one for all recordings
                or one for each; the layer's if not given.
            channels: Which two channels of a multichannel recording are microphone 1 and
                microphone 2, counted from 0.
            return_presence: Refused where it is true: without a prompt there is no presence.
            num_sources: Number of sources, whose directions are the highest peaks of the spectrum.

        Returns:
            float32 array of azimuths in degrees, shape (batch,): 0° beside microphone 1
            (its channel leads), 90° broadside, 180° beside microphone 2. With
            `return_confidence`, a tuple of it and the share of the spectrum within 5° of it, from
            0 to 1; it compares recordings under one method, and is not a probability. It is 0 for
            a recording whose channels are copies of each other, after a warning.
            With `num_sources` above one the shape is (batch, num_sources), the highest peak first,
            with NaN (and a share of 0) in place of peaks that a spectrum does not have. Peaks at
            the ends, 1° and 180°, count.

        Raises:
            ValueError: If a recording is unusable, one of its channels is constant,
                `return_presence` is true, or `num_sources` is not a positive integer.
            TypeError: If `audio` is of another type.

        Example:
            >>> source = np.random.default_rng(0).normal(size=16000)
            >>> audio = np.stack([source, np.roll(source, 5)], axis=1)  # channel 0 leads
            >>> float(SRPPHAT(microphone_spacing=0.2).localize(audio)[0])
            58.0
        """
        if return_presence:
            refuse_presence(self)
        num_sources = check_integer("num_sources", num_sources, 1)
        audio = read_recordings(
            audio,
            self.sampling_rate,
            channels=channels,
            source_rate=sampling_rate,
            min_duration=self.stft.frame_length / self.sampling_rate,
            max_duration=_MAX_DURATION,
        )
        inputs = {"audio": audio, **spacing_input(microphone_spacing, len(audio))}
        parts = [
            self.predict_on_batch(
                {key: value[start : start + _BATCH_SIZE] for key, value in inputs.items()}
            )["doa"]
            for start in range(0, len(audio), _BATCH_SIZE)
        ]
        spectrum = check_finite(np.concatenate(parts), [f"`audio[{k}]`" for k in range(len(audio))])
        azimuth: np.ndarray = GRID_DEGREES[np.argmax(spectrum, axis=-1)]
        if num_sources > 1:
            azimuth = strongest_peaks(spectrum, num_sources)
        return (azimuth, confidence(spectrum, audio, azimuth)) if return_confidence else azimuth

    def compute_output_shape(self, inputs_shape: Mapping[str, Shape]) -> dict[str, Shape]:
        self._check_shapes(inputs_shape)
        return {"doa": (inputs_shape["audio"][0], NUM_DIRECTIONS)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "microphone_spacing": self.microphone_spacing,
            "sampling_rate": self.sampling_rate,
            "frame_length": self.stft.frame_length,
            "hop_length": self.stft.hop_length,
            "frequency_range": self.frequency_range,
        }


def _same_batch(shape: Shape, expected: Shape) -> bool:
    """Whether two shapes of rank one agree, as far as they are known."""
    return len(shape) == 1 and (None in (*shape, *expected) or shape == expected)
