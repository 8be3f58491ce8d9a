"""Prototypes of known classes, from the prompts of a plan."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.unit_length import unit_length
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.layers.extraction.class_prototypes import ClassPrototypes
from keras_avssan.models.fitting.recorded_training import describe_plan
from keras_avssan.models.fitting.training_record import join_records
from keras_avssan.training.alignment.examples import check_plan, prompt_examples


def fit_prototypes(
    model: keras.Model,
    plan: ScenePlan,
    *,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> None:
    """Sets the prototypes of a network's `ClassPrototypes` to the classes of a plan.

    The prototype of a class is the projection of its name where the model reads words, else the
    mean of those of its pictures and their mirror images. Use it after `align_prompts`, which
    trains the projection, and before `fit_fusion`. The model gets a record of it.

    Args:
        model: `keras_avssan.models.AVSSAN` with `num_prototypes` above 0.
        plan: `keras_avssan.data.ScenePlan` with as many classes.
        prompt_embeddings: Dict from picture id to embedding (d_V,), for models without an image
            encoder.
        text_embeddings: Dict from class to the embedding of its name, likewise.
        progress: Whether progress bars are shown.

    Raises:
        TypeError: If `plan` is not a `ScenePlan`.
        ValueError: If the model has no prototypes, or another number than the plan has classes.

    Example:
        >>> align_prompts(model, plan)
        >>> fit_prototypes(model, plan)
    """
    layer = getattr(getattr(model, "backbone", None), "prototypes", None)
    if not isinstance(layer, ClassPrototypes):
        raise ValueError(
            f"`model` must be an AVSSAN with `num_prototypes` above 0. Received: model={model!r}"
        )
    check_plan(plan)
    if len(plan.classes) != layer.num_prototypes:
        raise ValueError(
            f"`plan` must have the {layer.num_prototypes} classes of the model's `num_prototypes`. "
            f"Received: len(plan.classes)={len(plan.classes)}"
        )
    layer.prototypes.assign(_prototypes(model, plan, prompt_embeddings, text_embeddings, progress))
    record = describe_plan(model, plan, stage="fit_prototypes")
    model.training_record = join_records(model.training_record, record)


def _prototypes(
    model: Any,
    plan: ScenePlan,
    pictures: Mapping[str, np.ndarray] | None,
    texts: Mapping[str, np.ndarray] | None,
    progress: bool,
) -> np.ndarray:
    """Unit vectors (classes, D)."""
    examples = prompt_examples(model, plan, pictures, texts, progress)
    if examples.words is not None:
        words = ops.convert_to_tensor(examples.words)
        if examples.words_are_projected:
            words = model.backbone.image_encoder.project_text(words)
        return _projected(model, words)
    projected = np.stack([_projected(model, view) for view in np.swapaxes(examples.pictures, 0, 1)])
    of_pictures = projected.mean(axis=0)
    means = [of_pictures[examples.classes == c].mean(axis=0) for c in range(len(plan.classes))]
    return ops.convert_to_numpy(unit_length(ops.convert_to_tensor(np.stack(means))))


def _projected(model: Any, embeddings: Any) -> np.ndarray:
    """Unit vectors (n, D) of prompt embeddings (n, d_V)."""
    projected = model.backbone.bridge.project_prompt(ops.convert_to_tensor(embeddings))
    return ops.convert_to_numpy(unit_length(ops.cast(projected, "float32")))
