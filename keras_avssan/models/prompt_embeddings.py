"""Prompt embeddings of a plan, computed once: pictures of a catalog and names of its classes."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

import keras
import numpy as np
from tqdm import tqdm

from keras_avssan._internal.atomic_files import sha256, write_whole
from keras_avssan._internal.types import PathLike

if TYPE_CHECKING:
    from keras_avssan.data.catalogs.catalog import Catalog, Picture
    from keras_avssan.data.scenes.scene_plan import ScenePlan
    from keras_avssan.data.starss23.segment_prompts import SegmentPrompts

    Plan = ScenePlan | SegmentPrompts


def embed_plan(
    model: Any,
    plan: "Plan",
    kinds: Collection[str] = ("picture",),
    *,
    pictures: Mapping[str, np.ndarray] | None = None,
    texts: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray] | None]:
    """Embeds the prompts of a plan as far as they are not given: by picture id and by class name.

    The kind `"constant"` replaces each picture by their mean; promptless models get placeholders.
    """
    if not takes_prompt(model):
        return blank_prompts(plan), None
    if set(kinds) == {"text"}:
        pictures = {}
    elif pictures is None:
        pictures = embed_pictures(model, plan, progress=progress)
    elif isinstance(pictures, Mapping):
        _check_pictures(pictures, plan)
    if "constant" in kinds:
        mean = np.mean([pictures[picture.id] for picture in plan.pictures], axis=0)
        pictures = {picture.id: mean for picture in plan.pictures}
    if "text" in kinds and texts is None:
        texts = embed_class_names(model, plan)
    return pictures, texts


def _check_pictures(embeddings: Mapping[str, np.ndarray], plan: "Plan") -> None:
    """Refuses embeddings that lack a picture of a plan."""
    missing = [picture.id for picture in plan.pictures if picture.id not in embeddings]
    if missing:
        raise ValueError(
            f"`prompt_embeddings` must hold all {len(plan.pictures)} pictures of the plan, and "
            f"lacks {missing[0]!r}. Received: len(prompt_embeddings)={len(embeddings)}"
        )


def embed_pictures(
    model: Any,
    plan: "Plan",
    batch_size: int = 32,
    progress: bool = True,
    store: PathLike | Literal[False] | None = None,
    mirrored: bool = False,
) -> dict[str, np.ndarray]:
    """Embeds all pictures of a plan, each once: a dict from picture id to embedding (d_V,).

    `store`, by default `Catalog.store`, keeps those of frozen encoders; `False` keeps none.
    `mirrored` embeds the mirror images, left and right exchanged.
    """
    encoder = model.backbone.image_encoder
    if encoder is None:
        raise ValueError(
            "`model` must have an image encoder to embed pictures; otherwise give "
            f"`prompt_embeddings`. Received: model={model!r}"
        )
    if store is None:
        store = plan.catalog.store
    if not store or encoder.trainable:
        return _embed(model, plan.catalog, plan.pictures, batch_size, progress, mirrored)
    kept = EmbeddingStore(store, _pictures_fingerprint(encoder))
    keys = {picture.id: f"{picture.id}{' mirrored' * mirrored}" for picture in plan.pictures}
    contents = {keys[one.id]: plan.catalog.fingerprint(one) for one in plan.pictures}
    known = kept.load(contents)
    missing = [picture for picture in plan.pictures if keys[picture.id] not in known]
    if missing:
        vectors = _embed(model, plan.catalog, missing, batch_size, progress, mirrored)
        known |= {keys[name]: vector for name, vector in vectors.items()}
        kept.add(known, contents)
    return {picture.id: known[keys[picture.id]] for picture in plan.pictures}


def _pictures_fingerprint(encoder: Any) -> str:
    """Fingerprint of what embeds pictures; that of words may change without effect on them."""
    part = getattr(encoder, "image_encoder", None)
    if part is None:
        return encoder_fingerprint(encoder)
    return sha256(type(encoder).__name__, encoder_fingerprint(part))


def _embed(
    model: Any,
    catalog: "Catalog",
    pictures: "Sequence[Picture]",
    batch_size: int,
    progress: bool,
    mirrored: bool = False,
) -> dict[str, np.ndarray]:
    size = model.backbone.image_size
    embeddings: dict[str, np.ndarray] = {}
    starts = range(0, len(pictures), batch_size)
    for start in tqdm(starts, desc="pictures", unit="batch", disable=not progress):
        chunk = pictures[start : start + batch_size]
        images = np.stack([catalog.load_image(picture, size) for picture in chunk])
        if mirrored:
            images = np.ascontiguousarray(images[:, :, ::-1])
        vectors = model.embed_prompts(images, batch_size)
        embeddings.update({p.id: v for p, v in zip(chunk, vectors, strict=True)})
    return embeddings


def embed_class_names(model: Any, plan: "Plan", template: str = "{}") -> dict[str, np.ndarray]:
    """Embeds the class names of a plan as text prompts: a dict from class to embedding (d_V,).

    `template` is the text around a name, such as `"a photo of a {}"`.
    """
    texts = [template.format(name.replace("_", " ")) for name in plan.classes]
    return dict(zip(plan.classes, model.embed_texts(texts), strict=True))


def takes_prompt(model: Any) -> bool:
    """Whether a prompt decides what a model localises; classical methods take none."""
    return getattr(getattr(model, "backbone", None), "visual_prompt", False)


def blank_prompts(plan: "Plan") -> dict[str, np.ndarray]:
    """Placeholder embeddings (1,) by picture id, for promptless models."""
    return {picture.id: np.zeros(1, "float32") for picture in plan.pictures}


def encoder_fingerprint(encoder: keras.Layer) -> str:
    """SHA-256 of a built encoder's configuration and weights, the same under every backend."""
    config = _without_names(keras.saving.serialize_keras_object(encoder))
    weights = map(keras.ops.convert_to_numpy, encoder.weights)
    return sha256(json.dumps(config, sort_keys=True, default=str), *weights)


def _without_names(config: Any) -> Any:
    """A configuration without names that Keras numbers, and other entries that vary by process."""
    if isinstance(config, dict):
        ignored = ("name", "build_config", "registered_name", "shared_object_id")
        return {k: _without_names(v) for k, v in config.items() if k not in ignored}
    if isinstance(config, (list, tuple)):
        return [_without_names(value) for value in config]
    return config


class EmbeddingStore:
    """Embeddings of one encoder on disk, each with the fingerprint of what was embedded.

    One file an encoder, `<fingerprint of the encoder>.npz`, written atomically. An entry whose
    content has changed counts as absent.

    Args:
        folder: Folder of the store; made when something is added.
        encoder: Fingerprint of the encoder, see `encoder_fingerprint`.

    Example:
        ```python
        store = EmbeddingStore("data/.embeddings", encoder_fingerprint(encoder))
        store.add({"dog/a.jpg": vector}, {"dog/a.jpg": "8c1f…"})
        store.load({"dog/a.jpg": "8c1f…"})["dog/a.jpg"].shape  # (1280,)
        ```
    """

    def __init__(self, folder: PathLike, encoder: str) -> None:
        self.path = Path(folder) / f"{encoder[:32]}.npz"

    def load(self, contents: Mapping[str, str]) -> dict[str, np.ndarray]:
        """Embeddings by id, of those ids whose stored fingerprint is that of `contents`."""
        entries = self._read()
        return {
            name: entries[name][1]
            for name, content in contents.items()
            if name in entries and entries[name][0] == content
        }

    def add(self, vectors: Mapping[str, np.ndarray], contents: Mapping[str, str]) -> None:
        """Stores embeddings by id, with the fingerprints of `contents`, beside those of others."""
        entries = {**self._read(), **{name: (contents[name], v) for name, v in vectors.items()}}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {
            "ids": np.array(list(entries)),
            "contents": np.array([content for content, _ in entries.values()]),
            "vectors": np.stack([vector for _, vector in entries.values()]),
        }
        write_whole(self.path, lambda file: np.savez(file, **arrays))

    def _read(self) -> dict[str, tuple[str, np.ndarray]]:
        """Dict from id to (content, vector); empty where the file is absent or damaged."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                columns = (file["ids"], file["contents"], file["vectors"])
                rows = zip(*columns, strict=True)
                return {str(name): (str(content), vector) for name, content, vector in rows}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return {}
