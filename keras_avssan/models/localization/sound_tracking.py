"""Directions of a prompted sound over time: what the tasks do with long recordings."""

from collections.abc import Mapping
from typing import Any, Literal, overload

import numpy as np

from keras_avssan._internal.checks import check_flag, check_integer
from keras_avssan.arrays.microphone_array import MicrophoneArray
from keras_avssan.data.media.recordings import spacing_input
from keras_avssan.models.fitting.task_mixin import TaskMixin
from keras_avssan.models.localization.array_localizer import ArrayLocalizer
from keras_avssan.models.localization.several_prompts import (
    answer_projected,
    project_prompts,
    shares_recordings,
)
from keras_avssan.models.microphones import check_spacing
from keras_avssan.models.prompting import check_prompt, embedded_once, read_prompts
from keras_avssan.tracking.array_pairs import ArrayPairs, find_pairs, without_spacing
from keras_avssan.tracking.motion_model import MotionModel
from keras_avssan.tracking.track import Track, make_tracks, one_prompt


class TracksSounds(TaskMixin):
    """Adds `track` and `prompt_inputs` to `Localizer`."""

    @overload
    def track(
        self,
        recording: Any,
        prompt: list[Any] | tuple[Any, ...],
        window: float = ...,
        hop: float = ...,
        *,
        smoothing: Literal["online", "offline"] | None = ...,
        motion: MotionModel | None = ...,
        min_presence: float | None = ...,
        sampling_rate: int | None = ...,
        channels: tuple[int, ...] | None = ...,
        microphone_spacing: float | None = ...,
        batch_size: int = ...,
        progress: bool = ...,
        array: MicrophoneArray | None = ...,
    ) -> list[Track]: ...

    @overload
    def track(
        self,
        recording: Any,
        prompt: Any = ...,
        window: float = ...,
        hop: float = ...,
        *,
        smoothing: Literal["online", "offline"] | None = ...,
        motion: MotionModel | None = ...,
        min_presence: float | None = ...,
        sampling_rate: int | None = ...,
        channels: tuple[int, ...] | None = ...,
        microphone_spacing: float | None = ...,
        batch_size: int = ...,
        progress: bool = ...,
        array: MicrophoneArray | None = ...,
    ) -> Track: ...

    def track(
        self,
        recording: Any,
        prompt: Any = None,
        window: float = 1.0,
        hop: float = 0.25,
        *,
        smoothing: Literal["online", "offline"] | None = None,
        motion: MotionModel | None = None,
        min_presence: float | None = 0.5,
        sampling_rate: int | None = None,
        channels: tuple[int, ...] | None = None,
        microphone_spacing: float | None = None,
        batch_size: int = 32,
        progress: bool = False,
        array: MicrophoneArray | None = None,
    ) -> Track | list[Track]:
        """Estimates the direction of the prompted sound over time.

        The recording is cut into windows that overlap, and each of them is localised. Files are
        read in blocks and may last for hours. The prompt is embedded once. Several prompts share
        one pass over the recording, and what the network computes of it alone. Samples after the
        last complete window are not used.

        Args:
            recording: Recording of two microphones: a file (its path, its bytes, or the file opened
                in binary mode) or an array (samples, channels).
            prompt: The sound to localise, as in `localize`; or a list of them.
            window: Duration of a window in seconds.
            hop: Time from one window to the next in seconds.
            smoothing: `None` for each window alone; `"online"` for the posterior given all windows
                up to it, as in a stream; `"offline"` for the posterior given all windows, and the
                most probable path as azimuth.
            motion: How the source is expected to move, for the smoothing; `MotionModel()` if not
                given.
            min_presence: Presence below which a window has no direction; `None` for no such
                threshold. Without effect for networks that do not estimate the presence.
            sampling_rate: Sampling rate in hertz of arrays, of `recording` and as `prompt`; the
                model's if not given.
            channels: Which two channels of a recording with more of them are microphone 1 and
                microphone 2, counted from 0; with `array`, which are its M microphones.
            microphone_spacing: Distance between the microphones in metres; the model's own if not
                given.
            batch_size: Rows per run of the network: windows, times the pairs of an array.
            progress: Whether a progress bar is shown.
            array: Array of M microphones with which the recording was made, in place of two
                microphones, as in `localize`. Azimuths are then from 0° to 359°, and posteriors
                have 360 numbers.

        Returns:
            A `keras_avssan.tracking.Track`; for a list of prompts a list of them, equal to those of
            single calls. Windows without a direction are gaps, with NaN as
            azimuth: those in which a channel is silent, the channels are copies of each other or
            samples are not finite, and those in which the sound is absent.

        Raises:
            ValueError: If the recording is unreadable, shorter than a window, or has another number
                of channels; if a prompt is unusable, or another argument out of range; if `array`
                does not fit, see `localize`.
            TypeError: If an argument is of another kind.

        Example:
            >>> track = model.track("mix.wav", "dog.jpg", window=0.5, smoothing="online")
            >>> track.posteriors.shape
            (1, 180)
            >>> dog, bell = model.track("mix.wav", ["dog.jpg", "bell.jpg"], window=0.5)
            >>> len(dog) == len(bell) == 1
            True

        Reference:
            Beyond the paper, which localises single recordings. The smoothing is a hidden Markov
            model: L. R. Rabiner, A tutorial on hidden Markov models and selected applications in
            speech recognition, Proceedings of the IEEE 77, 1989.
        """
        batch_size = check_integer("batch_size", batch_size, least=1)
        check_flag("progress", progress)
        pairs = find_pairs(self, array, microphone_spacing)
        several = isinstance(prompt, (list, tuple))
        given = list(prompt) if several else [prompt]
        if not given:
            raise ValueError(f"`prompt` must hold at least one prompt. Received: prompt={prompt!r}")
        inputs = [
            without_spacing(one_prompt(self, one, sampling_rate, microphone_spacing), pairs)
            for one in given
        ]
        tracks = make_tracks(
            self,
            recording,
            # All prompts are one to a network that takes none.
            inputs if self.backbone.visual_prompt else inputs[:1],
            window=window,
            hop=hop,
            smoothing=smoothing,
            motion=motion,
            min_presence=min_presence,
            sampling_rate=sampling_rate,
            channels=channels,
            batch_size=batch_size,
            progress=progress,
            pairs=pairs,
        )
        if len(tracks) < len(inputs):
            tracks *= len(inputs)
        return tracks if several else tracks[0]

    def prompt_inputs(
        self,
        prompt: Any = None,
        sampling_rate: int | None = None,
        microphone_spacing: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Brings prompts to inputs of the network that serve for many recordings.

        Pictures and words are embedded, so that the image encoder runs once. With `audio` added,
        `predict_on_batch` takes them.

        Args:
            prompt: A prompt or several, as in `localize`; promptless networks ignore it.
            sampling_rate: Sampling rate in hertz of arrays that are recordings; the model's if not
                given.
            microphone_spacing: Distance between the microphones in metres; the model's own if not
                given.

        Returns:
            Dict of arrays, a row each prompt: `prompt_embedding` (prompts, d_V), or `prompt_audio`
            (prompts, samples), or both with `prompt_audio_weight` (prompts,); with
            `microphone_spacing` (prompts,) if one is given.

        Raises:
            ValueError: If a prompt is unusable, or the network cannot take the spacing.
            TypeError: If a prompt is of another kind.

        Example:
            >>> inputs = model.prompt_inputs("dog.jpg")
            >>> list(inputs)
            ['prompt_embedding']
        """
        check_spacing(self, microphone_spacing)
        check_prompt(self, prompt)
        if not self.backbone.visual_prompt:
            return spacing_input(microphone_spacing, 1)
        inputs = read_prompts(prompt, self.preprocessor, sampling_rate, self)
        check_spacing(self, inputs.get("microphone_spacing"))
        inputs = embedded_once(self.backbone, inputs)
        count = len(next(iter(inputs.values())))
        return {**inputs, **spacing_input(microphone_spacing, count)}

    def _array_pairs(self, array: MicrophoneArray) -> ArrayPairs:
        """The pairs of an array that the network is used with, as in `localize`."""
        return ArrayLocalizer(self, array)._pairs

    def _project_prompt(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Projection (1, D) of a prompt, of its inputs; `None` where prompts share no run."""
        if not shares_recordings(self):
            return None
        own = {name: value for name, value in inputs.items() if name != "microphone_spacing"}
        return project_prompts(self, [own])

    def _answer_projected(
        self, recording: np.ndarray, projected: np.ndarray, spacing: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Outputs for one recording (1, samples, 2) and prompts by their projections."""
        parts = answer_projected(self, recording, projected, spacing)
        return {
            name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]
        }
