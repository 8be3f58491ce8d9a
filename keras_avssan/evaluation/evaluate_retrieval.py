"""Retrieval of recordings by prompts: how well the two are aligned."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.evaluation.scoring import check_bootstrap, score_with_interval
from keras_avssan.training.alignment.retrieval import RANKS, class_mean, retrieval_items


def evaluate_retrieval(
    model: keras.Model,
    plan: ScenePlan,
    *,
    kinds: Sequence[str] | None = None,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    progress: bool = True,
) -> dict[str, Any]:
    """Measures how well the prompts of a plan retrieve its recordings, without any scene.

    Prompts and recordings are compared by the cosine that is the model's output `similarity`, each
    recording alone and as it is. A prompt is not compared with a sound of its own instance, such
    as a frame of a video with its sound. Every class has the same weight, and the interval is
    that of a bootstrap over the classes.

    Args:
        model: `keras_avssan.models.AVSSAN` with `visual_prompt`, `semantic_audio` and frozen
            encoders.
        plan: `keras_avssan.data.ScenePlan`, of a split unseen in training.
        kinds: Kinds of prompts, of `"picture"`, `"text"` and `"recording"`; by default all that
            the model takes. Words are the names of the classes.
        prompt_embeddings: Dict from picture id to embedding (d_V,), for models without an image
            encoder.
        text_embeddings: Dict from class to the embedding of its name, likewise.
        confidence: Coverage of the intervals.
        resamples: Number of resamples of the bootstrap.
        progress: Whether progress bars are shown.

    Returns:
        Dict with `recordings` and `classes`, their numbers, and for each kind of prompt a dict of
        `order`, the share of (prompt, recording of its class, recording of another class) in which
        the first recording is nearer to the prompt, and `recall_at_1` and `recall_at_5`, the
        share of prompts that have a recording of their class among the nearest one or five. Each
        is a dict of `mean`, `interval`, `chance`, the value of a random order, and `by_class`, a
        dict from class to value.

    Raises:
        ValueError: If the model compares no prompts with sounds or has an encoder that is not
            frozen, or does not take a kind of prompt.

    Example:
        ```python
        scores = evaluate_retrieval(model, ScenePlan(catalog, bank, split="val"))
        print(scores["picture"]["order"]["mean"], scores["picture"]["order"]["interval"])
        ```
    """
    resamples = check_bootstrap(confidence, resamples)
    items = retrieval_items(model, plan, kinds, prompt_embeddings, text_embeddings, progress)
    results: dict[str, Any] = {
        "recordings": len(items.sounds.vectors),
        "classes": len(items.names),
    }
    for kind, scores in items.scores(model).items():
        chances: dict[str, float | None] = {"order": 0.5}
        chances |= {f"recall_at_{k}": class_mean(scores[f"chance_at_{k}"]) for k in RANKS}
        results[kind] = {
            name: {
                **_with_interval(scores[name], confidence, resamples),
                "chance": chance,
                "by_class": {
                    one: float(value)
                    for one, value in zip(items.names, scores[name], strict=True)
                    if not np.isnan(value)
                },
            }
            for name, chance in chances.items()
        }
    return results


def _with_interval(values: np.ndarray, confidence: float, resamples: int) -> dict[str, Any]:
    """Mean and interval; `None` where no class has a prompt and a recording that fit."""
    score = score_with_interval(values, confidence, resamples)
    return {"mean": None, "interval": None} if score is None else score
