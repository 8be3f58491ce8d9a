"""Prompts embedded once: pictures of a catalog and names of its classes."""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from tqdm import tqdm

from keras_avssan._internal.atomic_files import write_whole
from keras_avssan._internal.types import PathLike


def embed_plan(
    model: Any,
    plan: Any,
    kinds: Collection[str] = ("picture",),
    *,
    pictures: Mapping[str, np.ndarray] | None = None,
    texts: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray] | None]:
    """Embeds what a plan prompts a model with, as far as the embeddings are not given.

    Args:
        model: A `Localizer`, or anything else that localises; one that takes no prompt gets
            placeholders, see `blank_prompts`.
        plan: `keras_avssan.data.ScenePlan`, or `keras_avssan.data.SegmentPrompts`.
        kinds: Kinds of the prompts, as `ScenePlan.prompt_kinds` has them; `"constant"` puts the
            mean of all pictures in place of each. Pictures are embedded unless there is `"text"`
            alone, words where there is `"text"`.
        pictures: Dict from the id of every picture of the plan to its embedding, where they are
            known.
        texts: Dict from class to the embedding of its name, likewise.
        progress: Whether a progress bar is shown.

    Returns:
        Tuple of a dict from picture id to embedding, empty for words alone, and one from class to
        embedding, `texts` where there are no words, as `data.make_dataset` takes them.

    Raises:
        ValueError: If a picture's embedding is missing, or the model has no image encoder, or one
            without a text side, and embeddings are needed.

    Example:
        >>> pictures, texts = embed_plan(model, plan, plan.prompt_kinds)
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


def _check_pictures(embeddings: Mapping[str, np.ndarray], plan: Any) -> None:
    """Refuses embeddings that lack a picture of a plan."""
    missing = [picture.id for picture in plan.pictures if picture.id not in embeddings]
    if missing:
        raise ValueError(
            "`prompt_embeddings` must hold every picture of the plan. "
            f"Received: {len(embeddings)} embeddings, none for '{missing[0]}'"
        )


def embed_pictures(
    model: Any, plan, batch_size: int = 32, progress: bool = True, store: Any = None
):
    """Embeds every picture that a plan may ask with, once.

    Args:
        model: An `AVSSAN` with an image encoder.
        plan: `keras_avssan.data.ScenePlan`.
        batch_size: Pictures a run.
        progress: Whether a progress bar is shown.
        store: Folder that keeps the embeddings of frozen encoders between runs, see
            `EmbeddingStore`. By default a folder beside the data, where the catalog has one
            (`Catalog.store`); `False` keeps nothing.

    Returns:
        Dict from picture id to embedding (d_V,), as `data.make_dataset` takes it.

    Raises:
        ValueError: If the model has no image encoder.
    """
    encoder = model.backbone.image_encoder
    if encoder is None:
        raise ValueError(
            "`model` has no image encoder, so that pictures cannot ask: prompts must be embedded "
            "elsewhere."
        )
    if store is None:
        store = plan.catalog.store
    if not store or encoder.trainable:
        return _embed(model, plan.catalog, plan.pictures, batch_size, progress)
    kept = EmbeddingStore(store, encoder_fingerprint(encoder))
    contents = {picture.id: plan.catalog.fingerprint(picture) for picture in plan.pictures}
    known = kept.load(contents)
    missing = [picture for picture in plan.pictures if picture.id not in known]
    if missing:
        known |= _embed(model, plan.catalog, missing, batch_size, progress)
        kept.add(known, contents)
    return {picture.id: known[picture.id] for picture in plan.pictures}


def _embed(model: Any, catalog: Any, pictures: Any, batch_size: int, progress):
    size = model.backbone.image_size
    embeddings = {}
    starts = range(0, len(pictures), batch_size)
    for start in tqdm(starts, desc="pictures", unit="batch", disable=not progress):
        chunk = pictures[start : start + batch_size]
        images = np.stack([catalog.load_image(picture, size) for picture in chunk])
        vectors = model.embed_prompts(images, batch_size)
        embeddings.update({p.id: v for p, v in zip(chunk, vectors, strict=True)})
    return embeddings


def embed_class_names(model: Any, plan, template: str = "{}"):
    """Embeds the names of a plan's classes, as words that ask for them.

    Args:
        model: An `AVSSAN` whose image encoder has a text side.
        plan: `keras_avssan.data.ScenePlan`.
        template: Text around a name, such as `"a photo of a {}"`.

    Returns:
        Dict from class name to embedding (d_V,), as `data.make_dataset` takes it.

    Raises:
        ValueError: If the image encoder has no text side.
    """
    texts = [template.format(name.replace("_", " ")) for name in plan.classes]
    return dict(zip(plan.classes, model.embed_texts(texts), strict=True))


def takes_prompt(model: Any):
    """Whether a prompt decides what a model finds.

    Args:
        model: A `Localizer`, or anything else that localises, such as a classical method.

    Returns:
        Bool.
    """
    return getattr(getattr(model, "backbone", None), "visual_prompt", False)


def blank_prompts(plan):
    """Placeholder embeddings, for models that take no prompt.

    Args:
        plan: `keras_avssan.data.ScenePlan`.

    Returns:
        Dict from picture id to an array of shape (1,), as `data.make_dataset` takes it.
    """
    return {picture.id: np.zeros(1, "float32") for picture in plan.pictures}


def encoder_fingerprint(encoder: Any):
    """Tells encoders apart: by their configuration and by every weight.

    Args:
        encoder: A built Keras layer.

    Returns:
        Str of 64 hexadecimal digits, the same under every backend.
    """
    digest = hashlib.sha256()
    config = keras.saving.serialize_keras_object(encoder)
    digest.update(json.dumps(_without_names(config), sort_keys=True, default=str).encode())
    for weight in encoder.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()


def _without_names(config: Mapping[str, Any]):
    """A configuration without the names that Keras counts up, and without what tells nothing."""
    if isinstance(config, dict):
        ignored = ("name", "build_config", "registered_name", "shared_object_id")
        return {k: _without_names(v) for k, v in config.items() if k not in ignored}
    if isinstance(config, (list, tuple)):
        return [_without_names(value) for value in config]
    return config


class EmbeddingStore:
    """Embeddings of one encoder on disk, each with the fingerprint of what was embedded.

    One file an encoder, `<fingerprint of the encoder>.npz`, written whole or not at all. An entry
    whose content has changed is as good as absent.

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

    def __init__(self, folder: PathLike, encoder: Any) -> None:
        self.path = Path(folder) / f"{encoder[:32]}.npz"

    def load(self, contents):
        """The embeddings that are still right.

        Args:
            contents: Dict from id to the fingerprint of its content now.

        Returns:
            Dict from id to float32 vector; ids that are unknown or have changed are left out.
        """
        entries = self._read()
        return {
            name: entries[name][1]
            for name, content in contents.items()
            if name in entries and entries[name][0] == content
        }

    def add(self, vectors, contents) -> None:
        """Keeps embeddings beside those of other ids.

        Args:
            vectors: Dict from id to vector.
            contents: Dict from id to the fingerprint of its content.
        """
        entries = {**self._read(), **{name: (contents[name], v) for name, v in vectors.items()}}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {
            "ids": np.array(list(entries)),
            "contents": np.array([content for content, _ in entries.values()]),
            "vectors": np.stack([vector for _, vector in entries.values()]),
        }
        write_whole(self.path, lambda file: np.savez(file, **arrays))

    def _read(self):
        """Dict from id to (content, vector); empty where the file is absent or damaged."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                columns = (file["ids"], file["contents"], file["vectors"])
                rows = zip(*columns, strict=True)
                return {str(name): (str(content), vector) for name, content, vector in rows}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return {}
