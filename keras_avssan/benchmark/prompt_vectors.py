"""Prompt embeddings that all systems share."""

import os
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_avssan._internal.atomic_files import write_whole
from keras_avssan._internal.start_up.keras_tensorflow import set_random_seed
from keras_avssan._internal.types import PathLike
from keras_avssan.data import ScenePlan, SegmentPrompts
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder
from keras_avssan.models.av_ssan.av_ssan import AVSSAN
from keras_avssan.models.prompt_embeddings import embed_plan


def default_image_encoder(seed: int) -> keras.Layer:
    """A small frozen image encoder with random weights, for pictures that differ plainly."""
    set_random_seed(seed)
    encoder = ConvImageEncoder()
    encoder.build((None, *encoder.image_size, 3))
    encoder.trainable = False
    return encoder


class PromptVectors:
    """Embeds pictures and class names with one frozen image encoder for all systems.

    Example:
        >>> vectors = PromptVectors(default_image_encoder(seed=0))
        >>> pictures, names = vectors.embed([train_plan, test_plan])
    """

    def __init__(self, image_encoder: keras.Layer) -> None:
        # Only the image encoder of this network is used.
        self._model = AVSSAN(
            image_encoder=image_encoder,
            audio_encoder=LogMelEncoder(4, (4,), num_mels=16),
            dim=8,
            mlp_dim=8,
            num_heads=2,
            bridge_layers=1,
            compile=False,
        )
        encoder: Any = self._model.backbone.image_encoder
        encoder.trainable = False

    @property
    def encoder(self) -> keras.Layer:
        """The image encoder."""
        return self._model.backbone.image_encoder

    @property
    def prompt_dim(self) -> int:
        """Dimension of the embeddings."""
        return self._model.backbone.prompt_dim

    @property
    def reads_words(self) -> bool:
        """Whether the encoder reads words."""
        return self._model.backbone.reads_words

    def embed(
        self,
        plans: Iterable[ScenePlan | SegmentPrompts],
        path: PathLike | None = None,
        progress: bool = True,
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Embeds pictures by id, and class names unless the encoder reads no words.

        The file at `path` keeps the embeddings, of shape (prompt_dim,), for later calls.
        """
        pictures, names = _read(path)
        kinds = ("picture", "text") if self.reads_words else ("picture",)
        for plan in plans:
            known = {picture.id for picture in plan.pictures} <= pictures.keys()
            named = set(plan.classes) <= names.keys()
            vectors, words = embed_plan(
                self._model,
                plan,
                kinds,
                pictures=pictures if known else None,
                texts=names if named else None,
                progress=progress,
            )
            pictures |= vectors
            names |= words or {}
        if path is not None:
            _write(path, pictures, names)
        return pictures, names


def _read(path: PathLike | None) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    if path is None or not os.path.exists(path):
        return {}, {}
    with np.load(path, allow_pickle=False) as file:
        pictures, names = (
            dict(zip(file[f"{kind}_ids"].tolist(), file[f"{kind}_vectors"], strict=True))
            for kind in ("picture", "name")
        )
    return pictures, names


def _write(path: PathLike, pictures: dict[str, np.ndarray], names: dict[str, np.ndarray]) -> None:
    arrays: dict[str, Any] = {}
    for kind, vectors in (("picture", pictures), ("name", names)):
        arrays[f"{kind}_ids"] = np.array(list(vectors), "U")
        arrays[f"{kind}_vectors"] = np.array(list(vectors.values()), "float32")
    write_whole(path, lambda file: np.savez(file, **arrays))
