"""Directions of prompted sounds: what the tasks do with recordings and prompts of users."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast, overload

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import gives_presence, refuse_presence
from keras_avssan.arrays.microphone_array import MicrophoneArray
from keras_avssan.data.media.channel_pair import confidence
from keras_avssan.data.media.recordings import spacing_input
from keras_avssan.doa.grid import GRID_DEGREES, check_finite
from keras_avssan.models.fitting.task_mixin import TaskMixin
from keras_avssan.models.localization.array_localizer import ArrayLocalizer
from keras_avssan.models.localization.several_prompts import answer_prompts, shares_recordings
from keras_avssan.models.microphones import check_spacing
from keras_avssan.models.prompting import check_prompt
from keras_avssan.tracking.array_pairs import refuse_spacing

_BATCH_SIZE = 32
_Two: TypeAlias = tuple[np.ndarray, np.ndarray]
_Three: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


class LocalizesSounds(TaskMixin):
    """Adds `localize` to `Localizer`, which brings the network and its preprocessor."""

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any = ...,
        sampling_rate: int | None = ...,
        return_confidence: Literal[False] = ...,
        channels: tuple[int, ...] | None = ...,
        microphone_spacing: float | ArrayLike | None = ...,
        *,
        return_presence: Literal[False] = ...,
        array: MicrophoneArray | None = ...,
    ) -> np.ndarray: ...

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any = ...,
        sampling_rate: int | None = ...,
        *,
        return_confidence: Literal[True],
        channels: tuple[int, ...] | None = ...,
        microphone_spacing: float | ArrayLike | None = ...,
        return_presence: Literal[False] = ...,
        array: MicrophoneArray | None = ...,
    ) -> _Two: ...

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any,
        sampling_rate: int | None,
        return_confidence: Literal[True],
        channels: tuple[int, ...] | None = ...,
        microphone_spacing: float | ArrayLike | None = ...,
        *,
        return_presence: Literal[False] = ...,
        array: MicrophoneArray | None = ...,
    ) -> _Two: ...

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any = ...,
        sampling_rate: int | None = ...,
        return_confidence: Literal[False] = ...,
        channels: tuple[int, ...] | None = ...,
        microphone_spacing: float | ArrayLike | None = ...,
        *,
        return_presence: Literal[True],
        array: MicrophoneArray | None = ...,
    ) -> _Two: ...

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any = ...,
        sampling_rate: int | None = ...,
        *,
        return_confidence: Literal[True],
        channels: tuple[int, ...] | None = ...,
        microphone_spacing: float | ArrayLike | None = ...,
        return_presence: Literal[True],
        array: MicrophoneArray | None = ...,
    ) -> _Three: ...

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any,
        sampling_rate: int | None,
        return_confidence: Literal[True],
        channels: tuple[int, ...] | None = ...,
        microphone_spacing: float | ArrayLike | None = ...,
        *,
        return_presence: Literal[True],
        array: MicrophoneArray | None = ...,
    ) -> _Three: ...

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any = ...,
        sampling_rate: int | None = ...,
        return_confidence: bool = ...,
        channels: tuple[int, ...] | None = ...,
        microphone_spacing: float | ArrayLike | None = ...,
        *,
        return_presence: Literal[False] = ...,
        array: MicrophoneArray | None = ...,
    ) -> np.ndarray | _Two: ...

    @overload
    def localize(
        self,
        audio: Any,
        prompt: Any = ...,
        sampling_rate: int | None = ...,
        return_confidence: bool = ...,
        channels: tuple[int, ...] | None = ...,
        microphone_spacing: float | ArrayLike | None = ...,
        *,
        return_presence: bool = ...,
        array: MicrophoneArray | None = ...,
    ) -> np.ndarray | _Two | _Three: ...

    def localize(
        self,
        audio: Any,
        prompt: Any = None,
        sampling_rate: int | None = None,
        return_confidence: bool = False,
        channels: tuple[int, ...] | None = None,
        microphone_spacing: float | ArrayLike | None = None,
        *,
        return_presence: bool = False,
        array: MicrophoneArray | None = None,
    ) -> np.ndarray | _Two | _Three:
        """Estimates the direction of the prompted sound.

        Args:
            audio: Two-microphone recording: a file, an array (samples, 2) or (batch, samples, 2),
                or a list of files or arrays. A file is its path, its bytes, or the file opened in
                binary mode.
            prompt: The sound to localise: a picture (file or array), words (where the image
                encoder has a text side), another recording of the sound (file or array), an
                embedding, a `Prompt` that averages several of them, a batch, or a list. One prompt
                may serve several recordings, and one recording several prompts, which share what
                the network computes of the recording alone. Promptless networks ignore it.
            sampling_rate: Sampling rate in hertz of arrays, of `audio` and of recordings as
                `prompt`; the model's if not given.
            return_confidence: Whether the confidence is returned too.
            channels: Which two channels of recordings with more of them are microphone 1 and
                microphone 2, counted from 0; with `array`, which are its M microphones.
            microphone_spacing: Distance between the microphones in metres, one for all recordings
                or one for each; the model's own if not given. Networks without an input for the
                spacing refuse any but that of their training. One of 1 m or more that is five times
                that of the training or more leads to a `UserWarning`: it is likely in centimetres.
            return_presence: Whether the presence is returned too; for networks with candidates
                (`AVSSAN(num_candidates=...)`).
            array: Array of M microphones with which `audio` was recorded, (samples, M) or (batch,
                samples, M), in place of two microphones. `keras_avssan.models.ArrayLocalizer` has
                more settings, such as elevations.

        Returns:
            float32 array of azimuths in degrees, shape (batch,): 0° beside microphone 1
            (its channel leads), 90° broadside, 180° beside microphone 2. With
            `return_confidence`, a tuple of it and the posterior probability within 5° of it; 0
            for a recording whose channels are copies of each other, after a warning. The
            probability measures how sharp the posterior is; it is a poor measure of whether the
            prompted sound is present: see `keras_avssan.evaluation.evaluate_presence`. With
            `return_presence`, the last of the tuple is the presence, the probability that the
            prompted sound is in the recording, shape (batch,): below 0.5 it probably is not, and
            the azimuth means nothing.
            With `array`, azimuths are all around, from 0° to 359° counter-clockwise from the x axis
            of the array; the confidence is that of the fused posterior, the presence the mean of
            the pairs.

        Raises:
            ValueError: If a recording or prompt is unusable, or one channel of a recording is
                silent; the message names it. If the spacing is not positive, or the network cannot
                take it. If the posterior is not finite. If `return_presence` is true and the
                network has no candidates. If the array has no pair of a spacing that the network
                accepts, or all its pairs are along one axis, or `array` comes with
                `microphone_spacing`.
            TypeError: If a recording, a prompt or the array is of another kind.

        Example:
            >>> theta = model.localize("mix.wav", "dog.jpg")
            >>> theta = model.localize("mix.wav", "dog.jpg", microphone_spacing=0.12)
            >>> theta = model.localize("mix.wav", Prompt(texts=["a dog"], recordings=["bark.wav"]))
            >>> theta = model.localize("array.wav", "dog.jpg", channels=(0, 2))  # of four channels
            >>> theta, presence = model.localize("mix.wav", "dog.jpg", return_presence=True)
            >>> square = MicrophoneArray([(0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1)])
            >>> theta = model.localize("array.wav", "dog.jpg", array=square)  # 0 to 359 degrees
        """
        if array is not None:
            refuse_spacing(microphone_spacing)
            return ArrayLocalizer(self, array).localize(
                audio,
                prompt,
                sampling_rate,
                return_confidence,
                channels,
                return_presence=return_presence,
            )
        if return_presence and not gives_presence(self):
            refuse_presence(self)
        pair = cast(tuple[int, int] | None, channels)
        outputs, recordings = self._answer(audio, prompt, sampling_rate, pair, microphone_spacing)
        posterior = outputs["doa"]
        azimuth: np.ndarray = GRID_DEGREES[np.argmax(posterior, axis=-1)]
        if not return_confidence:
            return (azimuth, outputs["presence"]) if return_presence else azimuth
        sure = confidence(posterior, recordings)
        return (azimuth, sure, outputs["presence"]) if return_presence else (azimuth, sure)

    def _answer(
        self,
        audio: Any,
        prompt: Any,
        sampling_rate: int | None,
        channels: tuple[int, int] | None,
        microphone_spacing: float | ArrayLike | None,
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Outputs of the network for each scene, and the recordings: one, or one for each scene."""
        check_spacing(self, microphone_spacing)
        check_prompt(self, prompt)
        if shares_recordings(self):
            return answer_prompts(self, audio, prompt, sampling_rate, channels, microphone_spacing)
        inputs = self._preprocess(audio, prompt, sampling_rate, channels, microphone_spacing)
        return self._predict(inputs), inputs["audio"]

    def _predict(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the network batch by batch; returns its outputs as NumPy arrays, `doa` finite."""
        count = len(inputs["audio"])
        parts = [
            self.predict_on_batch(
                {key: value[start : start + _BATCH_SIZE] for key, value in inputs.items()}
            )
            for start in range(0, count, _BATCH_SIZE)
        ]
        outputs = keras.tree.map_structure(
            lambda *arrays: np.concatenate([np.asarray(array) for array in arrays]), *parts
        )
        check_finite(outputs["doa"], [f"`audio[{k}]`" for k in range(count)])
        return outputs

    def _preprocess(
        self,
        audio: Any,
        prompt: Any,
        sampling_rate: int | None = None,
        channels: tuple[int, int] | None = None,
        microphone_spacing: float | ArrayLike | None = None,
    ) -> dict[str, np.ndarray]:
        """Brings recordings, prompts and the spacing to the network's form."""
        check_spacing(self, microphone_spacing)
        check_prompt(self, prompt)
        if self.backbone.visual_prompt:
            # Not through `__call__`, which would bury the message of an error under its arguments.
            inputs = self.preprocessor.call(
                {
                    "audio": audio,
                    "prompt": prompt,
                    "sampling_rate": sampling_rate,
                    "channels": channels,
                    "model": self,
                }
            )
        else:
            inputs = self.preprocessor.without_prompt(audio, sampling_rate, channels)
        check_spacing(self, inputs.get("microphone_spacing"))
        return {**inputs, **spacing_input(microphone_spacing, len(inputs["audio"]))}
