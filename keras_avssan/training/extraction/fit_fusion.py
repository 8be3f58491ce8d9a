"""Weights of candidates, and the presence of the prompted sound, fitted to scenes."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import scipy.optimize
from keras import ops
from tqdm import tqdm

from keras_avssan._internal.checks import check_integer
from keras_avssan.data.scenes.scene_batches import SceneBatches
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.layers.extraction.prompt_fusion import PromptFusion
from keras_avssan.layers.extraction.source_candidates import NEAR
from keras_avssan.models.fitting.recorded_training import describe_plan, one_training
from keras_avssan.models.fitting.training_record import join_records
from keras_avssan.models.microphones import match_scenes
from keras_avssan.models.prompt_embeddings import embed_plan

_BATCH_SIZE = 8
_LEAST_SCALE = 0.1  # of the evidence, by which the strength's factor is divided
_PENALTY = 1e-3  # on the squares of the numbers, so that they stay finite


def fit_fusion(
    model: keras.Model,
    plan: ScenePlan,
    absent_plan: ScenePlan,
    *,
    scenes: int = 400,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> dict[str, float]:
    """Fits the few numbers of a `PromptFusion` by maximum likelihood, last of all stages.

    The factors of evidence and prior and the biases of the ranks: the candidate nearest to the
    target, in the scenes where one is within 12 degrees of it, is to have the largest weight. The
    presence: a logistic regression that separates scenes with the prompted sound from scenes
    without. The other weights of the network do not change. Use scenes that it was not trained on,
    so that `presence` is calibrated for unseen sounds. The model gets a record of the training.

    Args:
        model: `keras_avssan.models.AVSSAN` with `num_candidates` above 0.
        plan: `keras_avssan.data.ScenePlan` whose prompts are in the mixture.
        absent_plan: The same with `absent=True`.
        scenes: Number of scenes of each plan.
        prompt_embeddings: Dict from picture id to embedding (d_V,), for models without an image
            encoder.
        text_embeddings: Dict from class to the embedding of its name, for plans with words.
        progress: Whether progress bars are shown.

    Returns:
        Dict of the mean losses: `selection`, in nats, and `presence`; and `found`, the share of the
        scenes with a candidate near the target.

    Raises:
        ValueError: If the model has no candidates, `absent_plan` has its prompts in the mixture, or
            `plan` has not; if model and plans differ in microphone spacing or sampling rate; if no
            scene has a candidate near its target, because the extractor is not trained.

    Example:
        >>> absent = dataclasses.replace(plan, absent=True)
        >>> fit_fusion(model, plan, absent, scenes=200)["found"]
        0.91
    """
    fusion = getattr(getattr(model, "backbone", None), "fusion", None)
    if not isinstance(fusion, PromptFusion):
        raise ValueError(
            f"`model` must be an AVSSAN with `num_candidates` above 0. Received: model={model!r}"
        )
    for name, one, wanted in (("plan", plan, False), ("absent_plan", absent_plan, True)):
        if getattr(one, "absent", None) is not wanted:
            raise ValueError(f"`{name}` must have absent={wanted}. Received: {name}={one!r}")
        match_scenes(model, one)
    scenes = check_integer("scenes", scenes, least=1)
    prompts = (prompt_embeddings, text_embeddings)
    present = _outputs(model, plan, scenes, prompts, progress)
    absent = _outputs(model, absent_plan, scenes, prompts, progress)
    azimuths = np.array([plan[index].azimuth for index in range(scenes)])
    selection, found, weights = _fit_selection(present, azimuths, fusion.use_strength)
    strength = float(weights.get("strength_scale", 0.0))
    presence, presence_weights = _fit_presence(present, absent, strength)
    for variable, value in (weights | presence_weights).items():
        getattr(fusion, variable).assign(value.astype("float32"))
    stages = [
        describe_plan(model, one, stage="fit_fusion", scenes=scenes) for one in (plan, absent_plan)
    ]
    model.training_record = join_records(model.training_record, one_training(stages))
    return {"selection": selection, "presence": presence, "found": found}


def _outputs(
    model: Any, plan: ScenePlan, scenes: int, prompts: tuple[Any, Any], progress: bool
) -> dict[str, np.ndarray]:
    """Outputs of the network that the fusion starts from, one row a scene."""
    pictures, texts = embed_plan(
        model, plan, plan.prompt_kinds, pictures=prompts[0], texts=prompts[1], progress=progress
    )
    batches = SceneBatches(
        plan,
        scenes,
        _BATCH_SIZE,
        prompt="embedding",
        prompt_embeddings=pictures,
        text_embeddings=texts,
    )
    rows: dict[str, list[np.ndarray]] = {}
    for index in tqdm(range(len(batches)), desc="scenes", unit="batch", disable=not progress):
        outputs = model.predict_on_batch(batches[index][0])
        azimuths = outputs["candidate_azimuths"]
        values = {
            "evidence": outputs["candidate_evidence"],
            "strengths": outputs["candidate_strengths"],
            "azimuths": azimuths,
            "share": model.backbone.fusion.share(
                ops.convert_to_tensor(outputs["mixture_doa"]), ops.convert_to_tensor(azimuths)
            ),
            "similarity": outputs["similarity"],
        }
        for name, value in values.items():
            rows.setdefault(name, []).append(ops.convert_to_numpy(value))
    return {name: np.concatenate(parts)[:scenes] for name, parts in rows.items()}


def _fit_selection(
    outputs: dict[str, np.ndarray], azimuths: np.ndarray, use_strength: bool
) -> tuple[float, float, dict[str, np.ndarray]]:
    """Loss, share of scenes with a candidate at the target, and weights by name."""
    distance = np.abs(outputs["azimuths"] - azimuths[:, None])
    right, near = distance.argmin(axis=1), distance.min(axis=1) <= NEAR
    if not near.any():
        raise ValueError(
            f"`model` must have an extractor that finds targets, see `fit_extractor`. Received: "
            f"{len(near)} scenes, none with a candidate within {NEAR:g} degrees of the target"
        )
    evidence, prior = outputs["evidence"][near], np.log(outputs["share"][near])
    strengths = outputs["strengths"][near] * float(use_strength)
    right, count = right[near], distance.shape[1]

    def loss(numbers: np.ndarray) -> float:
        logits = numbers[0] * evidence + numbers[1] * prior + numbers[2] * strengths + numbers[3:]
        logits = logits - logits.max(axis=1, keepdims=True)
        chosen = logits[np.arange(len(right)), right]
        value = np.mean(np.log(np.sum(np.exp(logits), axis=1)) - chosen)
        return float(value + _PENALTY * np.sum(numbers[3:] ** 2))

    start = np.concatenate([[10.0, 0.5, 1.0], np.zeros(count)])
    bounds = [(_LEAST_SCALE, 100), (0, 10), (0, 10), *([(-5, 5)] * count)]
    numbers = scipy.optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
    weights = {
        "evidence_scale": numbers[0],
        "prior_scale": numbers[1],
        "rank_bias": numbers[3:],
    }
    if use_strength:
        weights["strength_scale"] = numbers[2] / numbers[0]
    return loss(numbers), float(near.mean()), weights


def _fit_presence(
    present: dict[str, np.ndarray], absent: dict[str, np.ndarray], strength: float
) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and weights of the logistic regression."""
    rows = [
        np.stack(
            [(one["evidence"] + strength * one["strengths"]).max(axis=1), one["similarity"]], axis=1
        )
        for one in (present, absent)
    ]
    signs = np.concatenate([np.ones(len(rows[0])), -np.ones(len(rows[1]))])
    cosines = np.concatenate(rows)

    def loss(numbers: np.ndarray) -> float:
        margins = signs * (cosines @ numbers[:2] + numbers[2])
        return float(np.mean(np.logaddexp(0.0, -margins)) + _PENALTY * 0.1 * np.sum(numbers**2))

    bounds = [(0, 50), (0, 50), (-50, 50)]
    numbers = scipy.optimize.minimize(loss, [8.0, 4.0, -3.0], method="L-BFGS-B", bounds=bounds).x
    return loss(numbers), {"presence_scale": numbers[:2], "presence_bias": numbers[2]}
