"""BERT as an encoder of words and sentences."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.frozen_layers import KeepsFrozenLayers
from keras_avssan._internal.start_up.hub import keras_hub
from keras_avssan._internal.types import PathLike, Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.data_format import load_nested
from keras_avssan.encoders.presets import check_preset, reading_preset
from keras_avssan.encoders.text.word_piece_tokenizer import WordPieceTokenizer


@keras.saving.register_keras_serializable(package="keras_avssan")
class SentenceEncoder(KeepsFrozenLayers, FixedSettings, keras.layers.Layer):
    """Embeds texts by a BERT: the mean over the tokens of its last layer, of unit length.

    Frozen by default. Configuration and weights hold everything, the tokenizer included.

    Args:
        backbone: A `keras_hub.models.BertBackbone`.
        tokenizer: A `WordPieceTokenizer`.
        title: Name of the encoder, which tables of its embeddings state.
        trainable: Whether the backbone is trained with the task.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        token_ids: Token ids, integers of shape (batch, tokens), see `tokenize`.

    Returns:
        float32 embeddings of unit length, shape (batch, d).

    Raises:
        TypeError: If `backbone` is not a `BertBackbone` or `tokenizer` not a `WordPieceTokenizer`.
        ValueError: If the tokenizer has more tokens, or longer sequences, than the backbone.

    Example:
        >>> encoder = SentenceEncoder.from_preset("all-MiniLM-L6-v2")  # a folder
        >>> encoder.embed_text(["a dog", "a violin"]).shape
        (2, 384)

    Reference:
        Reimers and Gurevych, Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks, 2019.
    """

    also_fixed = ("dim",)

    def __init__(
        self,
        backbone: keras.Model | dict[str, Any],
        tokenizer: WordPieceTokenizer | dict[str, Any],
        title: str = "a sentence encoder",
        trainable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "autocast": False})
        backbone = load_nested(backbone)
        if isinstance(tokenizer, dict):
            tokenizer = keras.saving.deserialize_keras_object(tokenizer)
        _check_parts(backbone, tokenizer)
        self.backbone = backbone
        self.tokenizer = cast(WordPieceTokenizer, tokenizer)
        self.title = title
        self.dim = int(backbone.hidden_dim)
        self.trainable = trainable

    @classmethod
    def from_preset(
        cls,
        preset: PathLike,
        load_weights: bool = True,
        dtype: Any = None,
        title: str | None = None,
        sequence_length: int = 128,
        **kwargs: Any,
    ) -> "SentenceEncoder":
        """Loads a BERT with its tokenizer, without TensorFlow.

        Args:
            preset: Path of a folder, of a Hugging Face checkpoint of a BERT or of a KerasHub
                preset; or name or address of a BERT preset of KerasHub, such as
                `"bert_tiny_en_uncased"`.
            load_weights: Whether weights are loaded; they are random if `False`.
            dtype: Data type or precision policy of the backbone.
            title: Name of the encoder; by default the last part of `preset`.
            sequence_length: Most tokens of a text; longer ones are cut.
            **kwargs: Further arguments of `SentenceEncoder`.

        Returns:
            A `SentenceEncoder`.

        Raises:
            TypeError: If `preset` is not a string or a path.
            ValueError: If `preset` is neither a known name nor an address nor a folder, a file of
                it is missing or damaged, or `sequence_length` is not an integer of at least 3.

        Example:
            >>> encoder = SentenceEncoder.from_preset("all-MiniLM-L6-v2")
            >>> encoder.title
            'all-MiniLM-L6-v2'
        """
        preset = check_preset(preset, keras_hub.models.BertBackbone)
        sequence_length = check_integer("sequence_length", sequence_length, least=3)
        if dtype is not None:
            dtype = keras.dtype_policies.get(dtype)
        with reading_preset(preset):
            backbone = keras_hub.models.BertBackbone.from_preset(
                preset, load_weights=load_weights, dtype=dtype
            )
        length = min(sequence_length, backbone.max_sequence_length)
        tokenizer = WordPieceTokenizer.from_preset(preset, length)
        title = title or Path(preset).resolve().name if os.path.isdir(preset) else title or preset
        with reading_preset(preset, kwargs):
            return cls(backbone, tokenizer, title, **kwargs)

    def build(self, input_shape: Shape | None = None) -> None:
        self.built = True  # the backbone was built with its weights

    def call(self, token_ids: Tensor) -> Tensor:
        token_ids = ops.cast(token_ids, "int32")
        known = ops.not_equal(token_ids, self.tokenizer.pad_id)
        inputs = {
            "token_ids": token_ids,
            "segment_ids": ops.zeros_like(token_ids),
            "padding_mask": ops.cast(known, "int32"),
        }
        states = ops.cast(self.backbone(inputs, training=False)["sequence_output"], "float32")
        weights = ops.cast(known, "float32")[..., None]
        mean = ops.sum(states * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)
        if not self.trainable:
            mean = ops.stop_gradient(mean)
        return unit_length(mean)

    def tokenize(self, texts: str | Sequence[str]) -> np.ndarray:
        """Converts texts to token ids.

        Args:
            texts: A text or a list of texts.

        Returns:
            int32 array, shape (texts, tokens).

        Raises:
            ValueError: If there is no text.
            TypeError: If a text is not a string.
        """
        return self.tokenizer(texts)

    def embed_text(self, texts: str | Sequence[str], batch_size: int = 32) -> np.ndarray:
        """Computes the embeddings of texts.

        Args:
            texts: A text or a list of texts.
            batch_size: Number of texts per batch.

        Returns:
            float32 array of embeddings of unit length, shape (n, d).

        Raises:
            ValueError: If there is no text, or `batch_size` is not positive.
            TypeError: If a text is not a string.
        """
        return embed_tokens(self, self.tokenize(texts), batch_size)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "tokenizer": keras.saving.serialize_keras_object(self.tokenizer),
            "title": self.title,
        }


def embed_tokens(function: Any, token_ids: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """Embeds token ids batch by batch, to float32 (texts, d)."""
    batch_size = check_integer("batch_size", batch_size, least=1)
    parts = [
        ops.convert_to_numpy(function(ops.convert_to_tensor(token_ids[start : start + batch_size])))
        for start in range(0, len(token_ids), batch_size)
    ]
    return np.concatenate(parts).astype("float32")


def _check_parts(backbone: Any, tokenizer: Any) -> None:
    for name, value, kind in (
        ("backbone", backbone, keras_hub.models.BertBackbone),
        ("tokenizer", tokenizer, WordPieceTokenizer),
    ):
        if not isinstance(value, kind):
            raise TypeError(
                f"`{name}` must be a `{kind.__name__}`. "
                f"Received: {name} of type {type(value).__name__}"
            )
    tokens, length = len(tokenizer.vocabulary), tokenizer.sequence_length
    if tokens > backbone.vocabulary_size or length > backbone.max_sequence_length:
        raise ValueError(
            f"`tokenizer` must fit the backbone's {backbone.vocabulary_size} tokens and its "
            f"longest sequence of {backbone.max_sequence_length}. "
            f"Received: tokenizer with {tokens} tokens and sequences of {length}"
        )
