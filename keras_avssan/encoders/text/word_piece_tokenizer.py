"""BERT's tokenizer, with or without TensorFlow."""

import json
import os
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tokenizers

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import one_line
from keras_avssan._internal.start_up.hub import keras_hub
from keras_avssan._internal.types import PathLike
from keras_avssan.encoders.clip_tokenizer import as_texts
from keras_avssan.encoders.presets import check_preset, reading_preset

UNKNOWN, START, END, PAD = "[UNK]", "[CLS]", "[SEP]", "[PAD]"
_LEAST_LENGTH = 8


@keras.saving.register_keras_serializable(package="keras_avssan")
class WordPieceTokenizer:
    """Converts texts to the token ids that BERT takes.

    Texts are split at white space and punctuation, and each word into the longest pieces of the
    vocabulary. A sequence is the start token, the text, the end token and padding, to a power of
    two of tokens that is the same for all texts of a call.

    Args:
        vocabulary: List of tokens in the order of their ids, or one string with a token per line;
            with `[UNK]`, `[CLS]`, `[SEP]` and `[PAD]`.
        lowercase: Whether texts are lower-cased and lose their accents.
        sequence_length: Most tokens of a sequence, start and end token included.

    Call arguments:
        texts: A text or a list of texts. A text that exceeds the longest sequence is cut, with a
            warning.

    Returns:
        int32 array of token ids, shape (texts, tokens).

    Raises:
        ValueError: If the vocabulary lacks a special token, `sequence_length` is less than 3, or
            there is no text.
        TypeError: If a text is not a string.

    Example:
        >>> tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "dog", "##s"])
        >>> tokenizer("Dogs").tolist()
        [[2, 4, 5, 3, 0, 0, 0, 0]]

    Reference:
        Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers for Language
        Understanding, 2019.
    """

    def __init__(
        self,
        vocabulary: str | Sequence[str],
        lowercase: bool = True,
        sequence_length: int = 128,
    ) -> None:
        tokens = vocabulary.split("\n") if isinstance(vocabulary, str) else list(vocabulary)
        missing = [token for token in (UNKNOWN, START, END, PAD) if token not in tokens]
        if missing:
            raise ValueError(
                f"`vocabulary` must hold the special tokens of BERT, and lacks {missing}. "
                f"Received: vocabulary of {len(tokens)} tokens"
            )
        self.vocabulary = tokens
        self.lowercase = bool(lowercase)
        self.sequence_length = check_integer("sequence_length", sequence_length, least=3)
        self.pad_id = tokens.index(PAD)
        ids = {token: number for number, token in enumerate(tokens)}
        self._tokenizer = tokenizers.BertWordPieceTokenizer(ids, lowercase=self.lowercase)

    def __repr__(self) -> str:
        return one_line(
            self, f"{len(self.vocabulary)} tokens", f"sequences of up to {self.sequence_length}"
        )

    @classmethod
    def from_preset(cls, preset: PathLike, sequence_length: int = 128) -> Self:
        """Reads the tokenizer of a BERT preset of KerasHub or of a Hugging Face checkpoint.

        Args:
            preset: Name, address or folder, see `SentenceEncoder.from_preset`.
            sequence_length: Most tokens of a sequence.

        Returns:
            A `WordPieceTokenizer`.

        Raises:
            TypeError: If `preset` is not a string or a path.
            ValueError: If there is no such preset, its vocabulary is missing or damaged, or
                `sequence_length` is not an integer of at least 3.
        """
        preset = check_preset(preset, keras_hub.models.BertBackbone)
        sequence_length = check_integer("sequence_length", sequence_length, least=3)
        with reading_preset(preset):
            return cls(*_read_vocabulary(preset), sequence_length)

    def __call__(self, texts: str | Sequence[str]) -> np.ndarray:
        texts = as_texts(texts)
        encodings = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        longest = max(map(len, encodings))
        length = _LEAST_LENGTH
        while length < longest:
            length *= 2
        token_ids = np.full((len(texts), min(length, self.sequence_length)), self.pad_id, "int32")
        for row, text, ids in zip(token_ids, texts, encodings, strict=True):
            if len(ids) > len(row):
                _warn_of_truncation(text, len(ids), len(row))
                ids = [*ids[: len(row) - 1], ids[-1]]
            row[: len(ids)] = ids
        return token_ids

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, the vocabulary as one string."""
        return {
            "vocabulary": "\n".join(self.vocabulary),
            "lowercase": self.lowercase,
            "sequence_length": self.sequence_length,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Creates a tokenizer from its configuration."""
        return cls(**config)


def _read_vocabulary(preset: str) -> tuple[str, bool]:
    """The tokens of a preset, a line each, and whether texts are lower-cased."""
    if os.path.isfile(os.path.join(preset, "vocab.txt")):
        lowercase = _read_json(Path(preset, "tokenizer_config.json")).get("do_lower_case", True)
        path = os.path.join(preset, "vocab.txt")
    else:
        # KerasHub has no public name for this, and its own tokenizer needs TensorFlow.
        from keras_hub.src.utils.preset_utils import get_file

        path = get_file(preset, "assets/tokenizer/vocabulary.txt")
        config = _read_json(Path(get_file(preset, "tokenizer.json")))
        lowercase = config.get("config", {}).get("lowercase", False)
    return Path(path).read_text(encoding="utf-8").rstrip("\n"), lowercase


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON file as a dict; empty without the file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _warn_of_truncation(text: str, count: int, room: int) -> None:
    start = textwrap.shorten(text, width=60, placeholder="…")
    warnings.warn(
        f"A text of {count} tokens was cut to the {room} that fit: {start!r}",
        UserWarning,
        stacklevel=3,
    )
