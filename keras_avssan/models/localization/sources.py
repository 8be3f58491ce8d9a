"""`sources`: the directions of the sounds in a recording without a prompt, and what each is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_integer, gives_presence
from keras_avssan._internal.one_line import one_line
from keras_avssan.classical.peaks import strongest_peaks
from keras_avssan.classical.srp_phat import SRPPHAT
from keras_avssan.data.media.recordings import spacing_input
from keras_avssan.doa.grid import GRID_DEGREES
from keras_avssan.encoders.clip_tokenizer import as_texts
from keras_avssan.layers.extraction.source_candidates import NEAR
from keras_avssan.models.fitting.task_mixin import TaskMixin
from keras_avssan.models.localization.several_prompts import Arrays, answer_each, network_part
from keras_avssan.models.microphones import check_spacing, own_spacing
from keras_avssan.models.prompting import check_preprocessor, read_prompts


@dataclass(frozen=True)
class Source:
    """Holds one sound of a recording, as `sources` finds it.

    Args:
        azimuth: Direction in degrees, 0 beside microphone 1.
        strength: Strength relative to the strongest sound of the recording, from 0 to 1.
        name: What it is, or `None` where that is not known.
        presence: Probability that the sound of this name is there: the network's own of the
            prompt, or the score of the class by YAMNet; `None` where there is neither.

    Example:
        >>> Source(50.0, 1.0, "dog", 0.93)
        <Source: 50°, strength 1.00, dog, presence 0.93>
    """

    azimuth: float
    strength: float
    name: str | None = None
    presence: float | None = None

    def __repr__(self) -> str:
        presence = "" if self.presence is None else f"presence {self.presence:.2f}"
        facts = (f"{self.azimuth:.0f}°", f"strength {self.strength:.2f}", self.name, presence)
        return one_line(self, *facts)


class ListsSources(TaskMixin):
    """Adds `sources` to `Localizer`."""

    def sources(
        self,
        audio: Any,
        max_sources: int = 3,
        prompts: Mapping[str, Any] | Sequence[str] | None = None,
        sampling_rate: int | None = None,
        channels: tuple[int, int] | None = None,
        microphone_spacing: float | None = None,
    ) -> list[Source]:
        """Lists the directions of the sounds in a recording, without a prompt.

        A network with candidates (`AVSSAN(num_candidates=...)`) gives these; their strength is the
        power that the mask of each keeps, times the probability that there is a source where the
        search is learned. Otherwise they are the peaks of the steered response
        (`keras_avssan.classical.SRPPHAT`), and their strength is the height of the peak above the
        lowest value.

        Args:
            audio: One two-microphone recording, see `localize`.
            max_sources: Largest number of sources. Candidates are listed whether there is a sound
                at them or not: the strength indicates it.
            prompts: What the sounds may be: a dict from name to prompt, see `localize`, or a list
                of words. Each prompt points at one source; of several that point at the same, the
                one that fits best gives the name. If not given, a network with candidates and a
                trained `YAMNet` gives the class of AudioSet with the highest score in the sound
                that is extracted, often a general one such as "Animal"; others give no names.
            sampling_rate: Sampling rate in hertz of arrays, see `localize`.
            channels: The two channels that are the microphones, see `localize`.
            microphone_spacing: Distance between the microphones in metres, see `localize`.

        Returns:
            List of `Source`, the strongest first; fewer than `max_sources` where there are fewer
            candidates or peaks.

        Raises:
            ValueError: If `max_sources` is not a positive integer, there is more than one
                recording, the recording or a prompt is unusable, or `prompts` is empty or given
                to a promptless network.
            TypeError: If the recording or a prompt is of another kind.

        Example:
            >>> for source in model.sources("mix.wav", prompts=["dog", "rain"]):
            ...     print(source.azimuth, source.strength, source.name)

        Reference:
            Beyond the paper.
        """
        max_sources = check_integer("max_sources", max_sources, 1)
        named = _named(self, prompts)
        check_spacing(self, microphone_spacing)
        check_preprocessor(self)
        recording = self.preprocessor.without_prompt(audio, sampling_rate, channels)["audio"]
        if len(recording) != 1:
            raise ValueError(
                f"`audio` must be one recording. Received: {len(recording)} recordings"
            )
        inputs = {"audio": recording, **spacing_input(microphone_spacing, 1)}
        azimuths, strengths, names, presences = _find(self, inputs, max_sources, not named)
        if named:
            names, presences = _name(self, inputs, azimuths, named, sampling_rate)
        order = np.argsort(-strengths, kind="stable")[:max_sources]
        return [
            Source(float(azimuths[k]), float(strengths[k]), names[k], presences[k]) for k in order
        ]


def _named(model: Any, prompts: Mapping[str, Any] | Sequence[str] | None) -> dict[str, Any]:
    """Prompts by name; empty where there are none."""
    if prompts is None:
        return {}
    if not isinstance(prompts, Mapping):
        prompts = {text: text for text in as_texts(prompts, "prompts")}
    if not prompts:
        raise ValueError("`prompts` must hold at least one prompt. Received: prompts={}")
    if not model.backbone.visual_prompt:
        raise ValueError(
            f"`prompts` must be `None`: {type(model).__name__} takes none. "
            f"Received: prompts with names {list(prompts)}"
        )
    return dict(prompts)


def _find(
    model: Any, inputs: Arrays, count: int, classes: bool
) -> tuple[np.ndarray, np.ndarray, list[str | None], list[float | None]]:
    """Azimuths, relative strengths and, if wanted and known, classes and scores of the sounds."""
    if not (gives_presence(model) and hasattr(model.backbone, "list_candidates")):
        azimuths, strengths = _peaks(model, inputs, count)
        return azimuths, strengths, [None] * len(azimuths), [None] * len(azimuths)
    class_names = _class_names(model.backbone.audio_encoder) if classes else []
    part = network_part(model, "list_candidates", scored=bool(class_names))
    found = {name: np.asarray(one)[0] for name, one in part.predict_on_batch(inputs).items()}
    strengths = found["power"] / max(float(found["power"].max()), 1e-9)
    names: list[str | None] = [None] * len(strengths)
    scores: list[float | None] = [None] * len(strengths)
    if class_names:
        names = [class_names[best] for best in np.argmax(found["scores"], axis=-1)]
        scores = np.max(found["scores"], axis=-1).tolist()
    return found["azimuths"], strengths, names, scores


def _class_names(encoder: Any) -> list[str]:
    """Names of the classes that an audio encoder scores; none where it never learnt to."""
    classifier = getattr(encoder, "classifier", None)
    if not hasattr(encoder, "score_log_mel") or classifier is None:
        return []
    # Zeros until weights are loaded: scores would be random.
    trained = np.any(ops.convert_to_numpy(classifier.bias))
    return list(encoder.class_names) if trained else []


def _peaks(model: Any, inputs: Arrays, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Azimuths and relative heights of the peaks of the steered response."""
    spacing = inputs.get("microphone_spacing", own_spacing(model))
    if spacing is None:
        raise ValueError(
            "`microphone_spacing` must be given where the network has none. "
            "Received: microphone_spacing=None"
        )
    localizer = SRPPHAT(float(np.ravel(spacing)[0]), model.backbone.sampling_rate)
    spectrum = localizer.predict_on_batch({"audio": inputs["audio"]})["doa"]
    (peaks,) = strongest_peaks(spectrum, count)
    azimuths = peaks[np.isfinite(peaks)]
    heights = spectrum[0, azimuths.astype(int) - 1] - spectrum.min()
    return azimuths, heights / max(float(heights.max()), 1e-9)


def _name(
    model: Any,
    inputs: Arrays,
    azimuths: np.ndarray,
    named: Mapping[str, Any],
    sampling_rate: int | None,
) -> tuple[list[str | None], list[float | None]]:
    """For each direction the name of the prompt that points at it and fits best, and presence."""
    texts = list(named)
    prompts = [
        read_prompts([prompt], model.preprocessor, sampling_rate, model)
        for prompt in named.values()
    ]
    spacing = inputs.get("microphone_spacing")
    spacing = None if spacing is None else np.repeat(spacing, len(prompts))
    outputs = answer_each(model, inputs["audio"], prompts, spacing)
    fits = outputs.get("candidate_evidence")
    points = outputs.get("candidate_weights")
    if fits is None or points is None:
        fits = points = _shares(outputs["doa"], azimuths)
    presence = outputs.get("presence")
    names: list[str | None] = [None] * len(azimuths)
    presences: list[float | None] = [None] * len(azimuths)
    target = np.where(points.max(axis=1) > 0, np.argmax(points, axis=1), -1)
    for k in range(len(azimuths)):
        pointing = np.flatnonzero(target == k)
        if pointing.size:
            best = int(pointing[np.argmax(fits[pointing, k])])
            names[k] = texts[best]
            presences[k] = None if presence is None else float(presence[best])
    return names, presences


def _shares(posterior: np.ndarray, azimuths: np.ndarray) -> np.ndarray:
    """Probability near each direction, (prompts, K); zero where the estimate is not near."""
    estimate = GRID_DEGREES[np.argmax(posterior, axis=-1)]
    near = np.abs(GRID_DEGREES - azimuths[:, None]) <= NEAR
    shares = posterior @ near.T.astype("float32")
    return np.where(np.abs(estimate[:, None] - azimuths) <= NEAR, shares, 0.0)
