"""`ArrayLocalizer`: a trained localiser of pairs, used with an array of microphones."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_positive_number, gives_presence, refuse_presence
from keras_avssan._internal.one_line import count, one_line, span
from keras_avssan.arrays.direction_grid import DirectionGrid
from keras_avssan.arrays.microphone_array import MicrophoneArray
from keras_avssan.arrays.pair_fusion import check_resolves, fuse_posteriors, pair_weights
from keras_avssan.data.media.channel_pair import find_copies
from keras_avssan.data.media.recordings import read_recordings
from keras_avssan.models.localization.array_answer import ArrayAnswer
from keras_avssan.models.localization.pair_answers import answer_pairs
from keras_avssan.models.microphones import SAME_SPACING, own_spacing, takes_spacing
from keras_avssan.models.prompting import check_prompt
from keras_avssan.tracking.array_pairs import ArrayPairs

# Spacings that a network that takes the spacing as an input is used with, unless others are given:
# from a fifth of that of its training, which reaches pairs of small boards, to one and a half of
# it, beyond which no score has been measured.
_LEAST, _MOST = 0.2, 1.5


class ArrayLocalizer:
    """Localises prompted sounds all around with an array of microphones.

    A network for two microphones answers for every chosen pair of the array, all of them in one
    batch, and `keras_avssan.arrays.fuse_posteriors` fuses the posteriors. Two microphones cannot
    distinguish front from back; pairs along different axes do. No training is needed.

    Args:
        model: A trained `Localizer`.
        array: The array, a `keras_avssan.arrays.MicrophoneArray` whose microphone k is channel k.
        grid: Grid of directions, a `keras_avssan.arrays.DirectionGrid`; 360 level ones if not
            given.
        min_spacing: Least spacing in metres of the pairs that are used; a fifth of the spacing of
            the model's training if not given.
        max_spacing: Greatest spacing in metres; one and a half of that of the model's training if
            not given. A network that takes no other spacing than that of its training uses pairs
            of that spacing alone.
        weights: Weights of the pairs, as in `fuse_posteriors`: `"uniform"`, `"spacing"`, or a
            number for each of the pairs.

    Raises:
        ValueError: If the array has no pair of a spacing that the model accepts, or its pairs
            cannot distinguish the directions of the grid; if `weights` do not fit the pairs.
        TypeError: If `model`, `array` or `grid` is of another kind.

    Example:
        >>> from keras_avssan.arrays import MicrophoneArray
        >>> square = MicrophoneArray([(0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1)])
        >>> localizer = ArrayLocalizer(model, square)
        >>> localizer.pairs.shape
        (6, 2)
        >>> recording = 0.1 * np.random.default_rng(0).normal(size=(16000, 4))
        >>> localizer.localize(recording, "dog.jpg").shape
        (1,)

    Reference:
        Beyond the paper, which has two microphones.
    """

    def __init__(
        self,
        model: Any,
        array: MicrophoneArray,
        grid: DirectionGrid | None = None,
        *,
        min_spacing: float | None = None,
        max_spacing: float | None = None,
        weights: str | ArrayLike = "uniform",
    ) -> None:
        check_array(array)
        if not hasattr(model, "_predict"):
            raise TypeError(
                "`model` must be a `Localizer`; `keras_avssan.classical.ArraySRPPHAT` and "
                f"`ArrayMUSIC` take an array themselves. Received: model={model!r}"
            )
        if grid is not None and not isinstance(grid, DirectionGrid):
            raise TypeError(f"`grid` must be a `DirectionGrid`. Received: grid={grid!r}")
        self.model = model
        self.array = array
        self.grid = DirectionGrid() if grid is None else grid
        self.pairs = _choose_pairs(model, array, min_spacing, max_spacing)
        self.spacings = array.spacings(self.pairs)
        self.weights = pair_weights(weights, array, self.pairs)
        check_resolves(array, self.pairs[self.weights > 0], self.grid)

    def __repr__(self) -> str:
        pairs = f"{count(len(self.pairs), 'pair')} {span(self.spacings, ' m')} apart"
        return one_line(self, type(self.model).__name__, self.array.name, pairs)

    def localize(
        self,
        audio: Any,
        prompt: Any = None,
        sampling_rate: int | None = None,
        return_confidence: bool = False,
        channels: tuple[int, ...] | None = None,
        *,
        return_presence: bool = False,
    ) -> Any:
        """Estimates the directions of prompted sounds.

        Args:
            audio: Recording of the M microphones: a file, an array (samples, M) or
                (batch, samples, M), or a list of files or arrays.
            prompt: The sound to localise, as in `Localizer.localize`. One prompt may serve several
                recordings, and one recording several prompts.
            sampling_rate: Sampling rate in hertz of arrays; the model's if not given.
            return_confidence: Whether the confidence is returned too.
            channels: Which channels of recordings with more of them are the M microphones, in
                their order, counted from 0.
            return_presence: Whether the presence is returned too; for networks with candidates.

        Returns:
            float32 array of azimuths in degrees, counter-clockwise from the x axis of the array,
            shape (batch,); on a grid with elevations, of azimuths and elevations, (batch, 2). With
            `return_confidence`, a tuple of it and the posterior probability within 5° of it; 0 for
            recordings in which two channels are copies of each other, after a warning. With
            `return_presence`, the last of the tuple is the presence, the mean of those of the
            pairs, shape (batch,).

        Raises:
            ValueError: If a recording or prompt is unusable, a recording has another number of
                channels than the array has microphones, or one of its channels is silent. If
                `return_presence` is true and the network has no candidates.
            TypeError: If a recording or prompt is of another kind.
        """
        if return_presence and not gives_presence(self.model):
            refuse_presence(self.model)
        answer = self.answer(audio, prompt, sampling_rate, channels)
        result: list[Any] = [answer.directions]
        if return_confidence:
            result.append(answer.confidence)
        if return_presence:
            result.append(answer.presence)
        return tuple(result) if len(result) > 1 else result[0]

    def answer(
        self,
        audio: Any,
        prompt: Any = None,
        sampling_rate: int | None = None,
        channels: tuple[int, ...] | None = None,
    ) -> ArrayAnswer:
        """Estimates the directions of prompted sounds, with all that led to them.

        Args:
            audio: Recordings as in `localize`.
            prompt: Prompts as in `localize`.
            sampling_rate: Sampling rate in hertz of arrays.
            channels: The channels that are the microphones, as in `localize`.

        Returns:
            An `ArrayAnswer`: directions, confidence, presence, posterior, and the posteriors of the
            pairs.
        """
        check_prompt(self.model, prompt)
        preprocessor = self.model.preprocessor
        recordings = read_recordings(
            audio,
            preprocessor.sampling_rate,
            channels=channels,
            source_rate=sampling_rate,
            resample=preprocessor.resample,
            min_duration=preprocessor.min_duration,
            max_duration=preprocessor.max_duration,
            num_channels=len(self.array),
        )
        spacings = self._pairs.spacings
        outputs = answer_pairs(self.model, recordings, self.pairs, spacings, prompt, sampling_rate)
        return self._fuse(outputs, find_copies(recordings))

    @property
    def _pairs(self) -> ArrayPairs:
        """What directions over time need of it."""
        spacings = self.spacings if takes_spacing(self.model) else None
        return ArrayPairs(self.array, self.pairs, spacings, self.weights)

    def _fuse(self, outputs: dict[str, np.ndarray], copies: np.ndarray) -> ArrayAnswer:
        """The answer from the outputs of the pairs, each (scenes, P, …)."""
        posterior = fuse_posteriors(outputs["doa"], self.array, self.pairs, self.grid, self.weights)
        directions = self.grid.peak(posterior)
        presences = outputs.get("presence")
        return ArrayAnswer(
            directions=directions,
            confidence=np.where(copies, np.float32(0), self.grid.near(posterior, directions)),
            presence=None if presences is None else presences.mean(axis=1),
            posterior=posterior,
            pair_posteriors=outputs["doa"],
            pair_presences=presences,
            pairs=self.pairs,
            grid=self.grid,
        )


def check_array(array: Any) -> None:
    """Refuses anything but a `MicrophoneArray`."""
    if not isinstance(array, MicrophoneArray):
        raise TypeError(
            "`array` must be a `keras_avssan.arrays.MicrophoneArray`. "
            f"Received: array={type(array).__name__}"
        )


def _choose_pairs(
    model: Any, array: MicrophoneArray, least: float | None, most: float | None
) -> np.ndarray:
    """The pairs of spacings that the model accepts, within the limits that are given."""
    for name, value in (("min_spacing", least), ("max_spacing", most)):
        if value is not None:
            check_positive_number(name, value, "distance in metres")
    own = own_spacing(model)
    if own is not None and not takes_spacing(model):
        low, high = own - SAME_SPACING, own + SAME_SPACING
        low, high = max(low, least or 0.0), min(high, most or np.inf)
        reason = f"This network takes no other spacing than the {own:g} m of its training"
    else:
        usual = (0.0, np.inf) if own is None else (_LEAST * own, _MOST * own)
        low = usual[0] if least is None else least
        high = usual[1] if most is None else most
        reason = "`min_spacing` and `max_spacing` of `ArrayLocalizer` choose other pairs"
    pairs = array.pairs(low, high)
    if not len(pairs):
        raise ValueError(
            f"`array` must have pairs of microphones {low:.3g} to {high:.3g} m apart. {reason}; "
            "positions are in metres. Received: array with pairs "
            f"{span(array.spacings(array.pairs()), ' m')} apart"
        )
    return pairs
