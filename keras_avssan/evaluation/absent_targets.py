"""Detection of absent targets."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_choice, check_integer
from keras_avssan._internal.types import DirectionModel
from keras_avssan.data.scenes.scene import PROMPT_KINDS
from keras_avssan.data.scenes.scene_batches import SceneBatches
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.doa.grid import posterior_confidence
from keras_avssan.evaluation.evaluate_localizer import run_batches, scene_batches
from keras_avssan.evaluation.scoring import check_bootstrap
from keras_avssan.evaluation.training_overlap import scene_overlap
from keras_avssan.models.microphones import match_scenes
from keras_avssan.models.prompt_embeddings import takes_prompt


def auroc(
    present: ArrayLike,
    absent: ArrayLike,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Area under the ROC curve of a score that is to be higher where something is present.

    It is the probability that the score of a scene in which it is present exceeds that of a scene
    in which it is absent; ties count half. A score without information has 0.5. For the interval,
    scenes are drawn, each with both of its scores.

    Args:
        present: Scores of scenes, each prompted with what is present, shape (scenes,).
        absent: Scores of the same scenes, each prompted with what is absent, shape (scenes,).
        confidence: Probability that the interval is to cover.
        resamples: Number of resamples of the bootstrap.
        seed: Seed of the resamples.

    Returns:
        Dict of `mean`, the area, and `interval`, a list of two bounds.

    Raises:
        ValueError: If the scores are no two lists of the same length, are empty or not finite, or
            `confidence` or `resamples` are out of range.

    Example:
        >>> auroc([0.9, 0.8, 0.4], [0.3, 0.5, 0.1])["mean"]
        0.888...
    """
    resamples = check_bootstrap(confidence, resamples)
    scores: list[np.ndarray] = []
    for name, values in (("present", present), ("absent", absent)):
        array = np.asarray(values, "float64")
        if array.ndim != 1 or not array.size or not np.isfinite(array).all():
            raise ValueError(
                f"`{name}` must be a non-empty list of finite scores. "
                f"Received: {name} of shape {array.shape}"
            )
        scores.append(array)
    if len(scores[0]) != len(scores[1]):
        raise ValueError(
            "`present` and `absent` must have the same length, that of the scenes. "
            f"Received: len(present)={len(scores[0])}, len(absent)={len(scores[1])}"
        )
    rng = np.random.default_rng(seed)
    count = len(scores[0])
    areas = []
    for _ in range(resamples):
        drawn = rng.integers(count, size=count)
        areas.append(_area(scores[0][drawn], scores[1][drawn]))
    tail = 50.0 * (1.0 - confidence)
    return {"mean": _area(*scores), "interval": np.percentile(areas, [tail, 100 - tail]).tolist()}


def _area(present: np.ndarray, absent: np.ndarray) -> float:
    """The area from the sum of ranks: Mann and Whitney's U over the number of pairs."""
    ranks = scipy.stats.rankdata(np.concatenate([present, absent]))
    count = len(present)
    return float((ranks[:count].sum() - count * (count + 1) / 2) / (count * len(absent)))


def posterior_entropy(posterior: ArrayLike) -> np.ndarray:
    """Entropy of posteriors over directions.

    Args:
        posterior: Posteriors, array of shape (batch, 180).

    Returns:
        Array of shape (batch,), in nats: from 0 where a single direction has all probability to
        ln 180 = 5.19 where all have the same.

    Example:
        >>> posterior_entropy(np.full((1, 180), 1 / 180))
        array([5.19...])
    """
    posterior = np.asarray(posterior, "float64")
    entropy: np.ndarray = -np.sum(posterior * np.log(np.maximum(posterior, 1e-300)), axis=-1)
    return entropy


def evaluate_presence(
    model: DirectionModel,
    plan: ScenePlan,
    num_scenes: int,
    *,
    start: int = 0,
    batch_size: int = 32,
    prompt: str = "picture",
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    microphone_spacing: float | None = None,
    on_overlap: str = "mark",
    progress: bool = True,
) -> dict[str, Any]:
    """Measures how well a model distinguishes absent targets from present ones.

    Every mixture is an input twice: prompted with its target, and prompted with a class that is not
    in it. If the model detects the absence, its posterior has less confidence and more entropy the
    second time, and prompt and mixture are less similar.

    Args:
        model: A `keras_avssan.models.Localizer` that takes a prompt.
        plan: `keras_avssan.data.ScenePlan`, whatever its `absent`.
        num_scenes: Number of scenes.
        start: Index of the first scene; this and the rest are as in `evaluate_localizer`.
        batch_size: Scenes a run.
        prompt: `"picture"`, `"text"` or `"recording"`.
        prompt_embeddings: Dict from picture id to embedding.
        text_embeddings: Dict from class to embedding.
        microphone_spacing: Distance between the microphones in metres.
        on_overlap: `"mark"` or `"error"`.
        progress: Whether progress bars are shown.

    Returns:
        Dict with `scenes`, their number, `training_overlap`, as among the settings of
        `evaluate_localizer`, and for `confidence` (the probability within 5° of the estimate),
        `entropy` (in nats) and, where the model's outputs have them, `similarity` (the cosine
        between prompt and mixture) and `presence` (of a network with candidates) a dict of `mean`,
        the area under the ROC curve (0.5: no information; 1: perfect detection), its 95 %
        `interval`, and the mean value where the class is `present` and where it is `absent`.

    Raises:
        ValueError: If the model takes no prompt, `prompt` is unknown, or the plan has too few
            classes for one to be absent; and as in `evaluate_localizer`.

    Example:
        ```python
        presence = evaluate_presence(model, plan, num_scenes=1000)
        print(presence["confidence"]["mean"], presence["confidence"]["interval"])
        ```
    """
    check_choice("prompt", prompt, PROMPT_KINDS)
    if not takes_prompt(model):
        raise ValueError(
            f"`model` must take a prompt, or nothing is absent. Received: model={model!r}"
        )
    match_scenes(model, plan, microphone_spacing)
    num_scenes = check_integer("num_scenes", num_scenes, least=1)
    plan = replace(plan, absent=False, prompt_kinds=(prompt,))
    scenes = [plan[index] for index in range(start, start + num_scenes)]
    overlap = scene_overlap(model, plan, scenes, prompt, on_overlap)
    batches = scene_batches(  # once, because it embeds the prompts
        model,
        plan,
        num_scenes,
        start=start,
        batch_size=batch_size,
        prompt=prompt,
        prompt_embeddings=prompt_embeddings,
        text_embeddings=text_embeddings,
        progress=progress,
    )
    present, absent = (
        _presence_scores(
            model,
            replace(batches, plan=replace(batches.plan, absent=absent)),
            microphone_spacing,
            progress,
        )
        for absent in (False, True)
    )
    results: dict[str, Any] = {"scenes": num_scenes, "training_overlap": overlap}
    for name, values in present.items():
        sign = -1 if name == "entropy" else 1
        results[name] = {
            **auroc(sign * values, sign * absent[name]),
            "present": float(np.mean(values)),
            "absent": float(np.mean(absent[name])),
        }
    return results


def _presence_scores(
    model: DirectionModel, batches: SceneBatches, microphone_spacing: float | None, progress: bool
) -> dict[str, np.ndarray]:
    """Maps the name of each score of presence to its value for every scene, (scenes,)."""
    scores: dict[str, list[np.ndarray]] = {"confidence": [], "entropy": []}
    for outputs, _ in run_batches(model, batches, microphone_spacing, progress):
        posterior = np.asarray(outputs["doa"])
        scores["confidence"].append(posterior_confidence(posterior))
        scores["entropy"].append(posterior_entropy(posterior))
        for name in {"similarity", "presence"} & set(outputs):
            scores.setdefault(name, []).append(np.asarray(outputs[name]))
    return {name: np.concatenate(values) for name, values in scores.items()}
