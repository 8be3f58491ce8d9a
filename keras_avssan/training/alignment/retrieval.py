"""Retrieval of sounds by prompts, which measures how well the two are aligned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats
from keras import ops

from keras_avssan.data.scenes.scene import PROMPT_KINDS
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.models.prompt_embeddings import embed_pictures
from keras_avssan.training.alignment.examples import (
    check_alignable,
    check_plan,
    check_vectors,
    embed_recordings,
    embed_words,
    rows_of,
)

if TYPE_CHECKING:
    from keras_avssan.data.catalogs.catalog import Clip, Picture

RANKS = (1, 5)


@dataclass(frozen=True, eq=False)
class Items:
    """Embeddings (n, d) before the bridge, with classes (n,) and instances (n,), "" for words.

    Sentences are those before the projection of a `PictureTextEncoder`, which is trained too.
    """

    vectors: np.ndarray
    classes: np.ndarray
    instances: np.ndarray
    are_sentences: bool = False


@dataclass(frozen=True, eq=False)
class RetrievalItems:
    """Sounds of a plan, which are retrieved, and prompts by kind; classes are rows of `names`."""

    names: tuple[str, ...]
    sounds: Items
    prompts: Mapping[str, Items]

    def scores(self, model: Any) -> dict[str, dict[str, np.ndarray]]:
        """Scores by kind of prompt and name: mean over the prompts of each class, (classes,)."""
        sounds = _project(model, self.sounds, "recording")
        return {
            kind: _by_class(
                _project(model, prompts, kind) @ sounds.T,
                prompts,
                self.sounds,
                len(self.names),
            )
            for kind, prompts in self.prompts.items()
        }


def retrieval_items(
    model: Any,
    plan: ScenePlan,
    kinds: Sequence[str] | None = None,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> RetrievalItems:
    """Embeds recordings and prompts of a plan; by default of all kinds that the model takes."""
    check_alignable(model)
    check_plan(plan)
    encoder = model.backbone.image_encoder
    takes = {
        "picture": encoder is not None or prompt_embeddings is not None,
        "text": model.backbone.reads_words or text_embeddings is not None,
        "recording": True,
    }
    kinds = tuple(kind for kind in PROMPT_KINDS if takes[kind]) if kinds is None else tuple(kinds)
    unknown = [kind for kind in kinds if not takes.get(kind)]
    if unknown or not kinds:
        raise ValueError(
            "`kinds` must be of those that the model takes, "
            f"{[kind for kind in takes if takes[kind]]}. Received: kinds={kinds!r}"
        )
    numbers = {name: number for number, name in enumerate(plan.classes)}

    def items(vectors: np.ndarray, of: "Sequence[Clip | Picture]") -> Items:
        classes = np.array([numbers[one.class_name] for one in of])
        return Items(vectors, classes, np.array([one.instance for one in of]))

    sounds = items(embed_recordings(model, plan.catalog, plan.clips, progress), plan.clips)
    check_vectors("sounds", sounds.vectors)
    prompts = {}
    if "picture" in kinds:
        by_id = prompt_embeddings
        if by_id is None:
            by_id = embed_pictures(model, plan, progress=progress)
        ids = [picture.id for picture in plan.pictures]
        vectors = rows_of("prompt_embeddings", by_id, ids)
        prompts["picture"] = items(check_vectors("pictures", vectors), plan.pictures)
    if "text" in kinds:
        vectors, projected = embed_words(model, plan, text_embeddings)
        classes = np.arange(len(plan.classes))
        prompts["text"] = Items(vectors, classes, np.array([""] * len(classes)), projected)
    if "recording" in kinds:
        prompts["recording"] = sounds
    return RetrievalItems(plan.classes, sounds, prompts)


def _project(model: Any, items: Items, kind: str) -> np.ndarray:
    """Embeddings in the common space of the bridge, of unit length, (n, D)."""
    bridge = model.backbone.bridge
    tensor = ops.convert_to_tensor(items.vectors.astype("float32"))
    if items.are_sentences:
        tensor = model.backbone.image_encoder.project_text(tensor)
    if kind == "recording":
        projected = bridge.project_audio(tensor[:, None, :])
    else:
        projected = bridge.project_prompt(tensor)
    array = np.asarray(ops.convert_to_numpy(ops.cast(projected, "float32")), "float64")
    return array / np.maximum(np.linalg.norm(array, axis=-1, keepdims=True), 1e-12)


def _by_class(
    similarity: np.ndarray, prompts: Items, sounds: Items, classes: int
) -> dict[str, np.ndarray]:
    """Scores (classes,) of a similarity (prompts, sounds); NaN without a prompt or a sound."""
    names = ("order", *(f"recall_at_{rank}" for rank in RANKS))
    names += tuple(f"chance_at_{rank}" for rank in RANKS)
    rows: dict[str, np.ndarray] = {name: np.full(len(similarity), np.nan) for name in names}
    for number, row in enumerate(similarity):
        other = sounds.instances != prompts.instances[number]  # never its own recording
        right = sounds.classes[other] == prompts.classes[number]
        count, total = int(right.sum()), len(right)
        if not 0 < count < total:
            continue
        ranks = scipy.stats.rankdata(row[other])[right]
        rows["order"][number] = (ranks.sum() - count * (count + 1) / 2) / (count * (total - count))
        nearest = right[np.argsort(-row[other], kind="stable")]
        for rank in RANKS:
            rows[f"recall_at_{rank}"][number] = nearest[:rank].any()
            missed = (total - count - np.arange(min(rank, total))) / (
                total - np.arange(min(rank, total))
            )
            rows[f"chance_at_{rank}"][number] = 1.0 - np.prod(np.maximum(missed, 0.0))
    return {name: _class_means(values, prompts.classes, classes) for name, values in rows.items()}


def _class_means(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Means of the values of each class that are not NaN, (classes,)."""
    known = ~np.isnan(values)
    counts = np.bincount(labels[known], minlength=classes)
    sums = np.bincount(labels[known], values[known], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def class_mean(values: np.ndarray) -> float | None:
    """Mean of the values (classes,) that are not NaN; `None` if there is no such value."""
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if known.size else None
