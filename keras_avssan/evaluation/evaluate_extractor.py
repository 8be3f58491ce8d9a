"""Scores of an extractor, and of the candidate directions that it leads to."""

from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from keras_avssan._internal.checks import check_flag, check_integer
from keras_avssan._internal.types import Tensor
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.data.scenes.scene import Scene
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.evaluation.breakdown import binned
from keras_avssan.evaluation.scoring import score_with_interval
from keras_avssan.evaluation.training_overlap import check_on_overlap, scene_overlap
from keras_avssan.layers.extraction.spatial_extractor import SpatialExtractor
from keras_avssan.layers.stereo_stft import StereoSTFT
from keras_avssan.models.microphones import match_scenes
from keras_avssan.training.alignment.examples import check_plan
from keras_avssan.training.extraction.extractor_model import decibels, power, scene_spectrograms
from keras_avssan.training.extraction.fit_extractor import (
    build_extractor,
    find_candidates,
    find_extractor,
)
from keras_avssan.training.extraction.fit_part import find_stft

SNR_BINS = (-float("inf"), -5.0, 0.0, 5.0, float("inf"))  # dB of the target above the interferer
_TOLERANCES = (5, 10)  # degrees


def evaluate_extractor(
    extractor: keras.layers.Layer,
    plan: ScenePlan,
    num_scenes: int,
    *,
    start: int = 0,
    batch_size: int = 8,
    microphone_spacing: float | None = None,
    stft: StereoSTFT | None = None,
    rivals: bool = True,
    on_overlap: str = "mark",
    progress: bool = True,
) -> dict[str, Any]:
    """Measures what an extractor's mask at the target's true azimuth does to the mixture.

    With candidates it also measures how often one of them is near the target, which bounds the
    accuracy of whatever chooses among them.

    Args:
        extractor: A `SpatialExtractor`, a `SourceCandidates`, or an `AVSSAN` or its backbone with
            `num_candidates` above 0.
        plan: `keras_avssan.data.ScenePlan`, best of recordings and rooms unseen in training.
        num_scenes: Number of scenes.
        start: Index of the first scene.
        batch_size: Scenes a run.
        microphone_spacing: Distance between the microphones in metres that is passed to the
            extractor. By default its own is used, which must be that of the plan's bank.
        stft: Spectrogram of the scenes, as in `keras_avssan.training.fit_extractor`.
        rivals: Whether the extractor is given the interferers' true azimuths as rivals, as it is
            given the other candidates' within a network; otherwise the target's azimuth alone.
        on_overlap: `"mark"` or `"error"`, see `evaluate_localizer`; for models alone.
        progress: Whether a progress bar is shown.

    Returns:
        Dict with `scenes`, their number; `training_overlap`, as among the settings of
        `evaluate_localizer`; and `scores`, a dict of scores with a `mean` and a 95 % bootstrap
        `interval` each: `gain_db`, by how many dB the mask, squared for power, raises the target
        above all else; `mixture_above` and `extracted_above`, the shares of scenes in which the
        target's power exceeds all else before and after; with candidates `recall_5deg` and
        `recall_10deg`, the shares of scenes with a candidate that near to the target. `by_snr` is a
        list of dicts with the same scores and `scenes` for ranges of the SNR in dB, `from` (or
        `None`) to `to` (or `None`).

    Raises:
        TypeError: If `plan` is not a `ScenePlan`, `stft` not a `StereoSTFT`, or `rivals` not a
            bool.
        ValueError: If there is no extractor, a number is out of range, extractor and plan differ in
            microphone spacing or sampling rate, or, with `on_overlap="error"`, the model was
            trained on the scenes.

    Example:
        ```python
        scores = evaluate_extractor(model, plan, num_scenes=500)["scores"]
        print(scores["gain_db"]["mean"], scores["recall_5deg"]["interval"])
        ```
    """
    layer, candidates = find_extractor(extractor), find_candidates(extractor)
    num_scenes = check_integer("num_scenes", num_scenes, least=1)
    check_integer("batch_size", batch_size, least=1)
    check_integer("start", start)
    check_on_overlap(on_overlap)
    check_plan(plan)
    match_scenes(layer, plan, microphone_spacing)
    check_flag("rivals", rivals)
    stft = find_stft(extractor, stft)
    build_extractor(layer, stft)
    scenes = [plan[index] for index in range(start, start + num_scenes)]
    # Neither pictures nor recordings are prompts here.
    overlap = scene_overlap(extractor, plan, scenes, "text", on_overlap)
    model = _Measured(layer, candidates, stft)
    chunks = [scenes[i : i + batch_size] for i in range(0, num_scenes, batch_size)]
    found = [
        model.predict_on_batch(_inputs(plan, chunk, microphone_spacing, rivals))
        for chunk in tqdm(chunks, desc="scenes", unit="batch", disable=not progress)
    ]
    outputs = {name: np.concatenate([np.asarray(one[name]) for one in found]) for name in found[0]}
    per_scene = _per_scene(outputs, scenes)
    snr = np.array([scene.snr for scene in scenes])
    return {
        "scenes": num_scenes,
        "training_overlap": overlap,
        "scores": {name: score_with_interval(values) for name, values in per_scene.items()},
        "by_snr": binned(per_scene, snr, SNR_BINS, tuple(per_scene)),
    }


class _Measured(keras.Model):
    """Levels of the target above all else, before and after the mask, and candidate azimuths."""

    def __init__(self, extractor: SpatialExtractor, candidates: Any, stft: StereoSTFT) -> None:
        super().__init__(name="measured", dtype="float32")
        self.extractor = extractor
        self.candidates = candidates
        self.stft = stft

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        mixture, target, other = scene_spectrograms(self.stft, inputs["audio"], inputs["target"])
        powers = power(target), power(other)
        spacing = inputs.get("microphone_spacing")
        mask = self.extractor(mixture, inputs["azimuth"], spacing, inputs.get("rivals"))[:, 0]
        outputs = {
            "before": decibels(*powers),
            "after": decibels(*powers, keras.ops.square(mask)),
        }
        if self.candidates is None:
            return outputs
        return {**outputs, "azimuths": self.candidates(mixture, spacing)[0]}


def _inputs(
    plan: ScenePlan, scenes: list[Scene], spacing: float | None, rivals: bool
) -> dict[str, np.ndarray]:
    """Inputs of `_Measured` for some scenes."""
    rendered = render_scenes(plan, scenes, interferer_alone=False)
    inputs = {name: rendered[name] for name in ("audio", "target")}
    inputs["azimuth"] = np.array([[scene.azimuth] for scene in scenes], "float32")
    if rivals:
        others = [[source.azimuth for source in scene.sources[1:]] for scene in scenes]
        inputs["rivals"] = np.array(others, "float32")[:, None]
    if spacing is not None:
        inputs["microphone_spacing"] = np.full(len(scenes), spacing, "float32")
    return inputs


def _per_scene(outputs: dict[str, np.ndarray], scenes: list[Scene]) -> dict[str, np.ndarray]:
    """Scores of every scene, (scenes,)."""
    before, after = (outputs[name].astype("float64") for name in ("before", "after"))
    scores = {
        "gain_db": after - before,
        "mixture_above": (before > 0).astype("float64"),
        "extracted_above": (after > 0).astype("float64"),
    }
    if "azimuths" in outputs:
        true = np.array([[scene.azimuth] for scene in scenes])
        error = np.abs(outputs["azimuths"] - true).min(axis=1)
        scores |= {f"recall_{t}deg": (error <= t).astype("float64") for t in _TOLERANCES}
    return scores
