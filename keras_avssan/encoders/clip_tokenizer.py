"""CLIP's text tokenizer, with or without TensorFlow."""

import json
import os
import pathlib
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Self, cast

import keras
import numpy as np
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from keras_avssan._internal.one_line import one_line
from keras_avssan._internal.types import PathLike

START_TOKEN = "<|startoftext|>"
END_TOKEN = "<|endoftext|>"
VOCABULARY_FILE = "vocabulary.json"
MERGES_FILE = "merges.txt"
_END_OF_WORD = "</w>"
_PAD_ID = 0
# Words of CLIP before any merge: specials, English contractions, runs of letters,
# single digits, runs of anything else that is not a space.
_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


@keras.saving.register_keras_serializable(package="keras_avssan")
class CLIPTextTokenizer:
    """Converts texts to the token ids that CLIP's text encoder takes.

    Texts are lower-cased and split into words; white space only separates them. The UTF-8 bytes
    of a word are merged by byte-pair encoding. A sequence is the start token, the text, the end
    token and zeros; CLIP takes the embedding at the first end token, so the zeros have no
    influence.

    Args:
        merges: Merge rules from the first to the last, list of strings such as `"d o"` and
            `"do g</w>"`, or one string with a rule per line.
        vocabulary: Dict from token to id, or list of tokens in the order of their ids. If not
            given, that of CLIP: the 256 bytes, the 256 bytes at the end of a word, a token for
            each merge rule, start and end token.
        sequence_length: Length of the sequences, start and end token included.

    Call arguments:
        texts: A text or a list of texts.

    Returns:
        int32 array of token ids, shape (texts, sequence_length).

    Raises:
        ValueError: If merge rules and vocabulary do not fit each other, or there is no text.
        TypeError: If a text is not a string.

    Example:
        >>> tokenizer = CLIPTextTokenizer(["d o", "do g</w>"], sequence_length=6)
        >>> tokenizer("A DOG").tolist()
        [[514, 320, 513, 515, 0, 0]]

    Reference:
        Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
        2021.
    """

    def __init__(
        self,
        merges: str | Sequence[str],
        vocabulary: dict[str, int] | Sequence[str] | None = None,
        sequence_length: int = 77,
    ) -> None:
        if sequence_length < 3:
            raise ValueError(
                "`sequence_length` must be at least 3: start token, text and end token. "
                f"Received: sequence_length={sequence_length!r}"
            )
        self.merges = _split_merges(merges)
        self.sequence_length = int(sequence_length)
        default = _default_vocabulary(self.merges)
        self.vocabulary = default if vocabulary is None else _as_ids(vocabulary)
        self._vocabulary_is_default = self.vocabulary == default
        _check_vocabulary(self.vocabulary, default)
        self.start_id = self.vocabulary[START_TOKEN]
        self.end_id = self.vocabulary[END_TOKEN]
        self._tokenizer = _make_tokenizer(self.vocabulary, self.merges)

    def __repr__(self) -> str:
        tokens = f"{len(self.vocabulary)} tokens"
        return one_line(self, tokens, f"sequences of {self.sequence_length}")

    @classmethod
    def from_files(cls, vocabulary: PathLike, merges: PathLike, sequence_length: int = 77) -> Self:
        """Reads vocabulary and merge rules as CLIP checkpoints hold them.

        Args:
            vocabulary: Path of a JSON file, a dict from token to id.
            merges: Path of a text file with one merge rule per line.
            sequence_length: Length of the sequences.

        Returns:
            A `CLIPTextTokenizer`.

        Raises:
            ValueError: If a file is missing or cannot be read in its format.
        """
        for name, path in (("vocabulary", vocabulary), ("merges", merges)):
            if not os.path.isfile(path):
                raise ValueError(
                    f"`{name}` must be the path of a file. Received: {name}={os.fspath(path)!r}"
                )
        try:
            ids = json.loads(pathlib.Path(vocabulary).read_text(encoding="utf-8"))
            rules = pathlib.Path(merges).read_text(encoding="utf-8")
        except ValueError as error:
            raise ValueError(
                "`vocabulary` must be a JSON file and `merges` a text file, both in UTF-8 "
                f"({error}). Received: vocabulary={os.fspath(vocabulary)!r}, "
                f"merges={os.fspath(merges)!r}"
            ) from error
        return cls(rules, ids, sequence_length)

    def save_assets(self, folder: PathLike) -> None:
        """Writes `vocabulary.json` and `merges.txt`, the files of a KerasHub preset.

        Args:
            folder: Path of an existing folder.
        """
        vocabulary = json.dumps(self.vocabulary, ensure_ascii=False)
        pathlib.Path(folder, VOCABULARY_FILE).write_text(vocabulary, encoding="utf-8")
        merges = "\n".join(self.merges) + "\n"
        pathlib.Path(folder, MERGES_FILE).write_text(merges, encoding="utf-8")

    def __call__(self, texts: str | Sequence[str]) -> np.ndarray:
        texts = as_texts(texts)
        token_ids = np.full((len(texts), self.sequence_length), _PAD_ID, "int32")
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        room = self.sequence_length - 2
        for row, text, encoding in zip(token_ids, texts, encodings, strict=True):
            if len(encoding.ids) > room:
                _warn_of_truncation(text, len(encoding.ids), room)
            sequence = [self.start_id, *encoding.ids[:room], self.end_id]
            row[: len(sequence)] = sequence
        return token_ids

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments; a vocabulary that follows from the merges is left out."""
        tokens = None if self._vocabulary_is_default else list(self.vocabulary)
        return {
            "merges": "\n".join(self.merges),
            "vocabulary": tokens,
            "sequence_length": self.sequence_length,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Creates a tokenizer from its configuration."""
        return cls(**config)


def as_texts(texts: str | Iterable[str], name: str = "texts") -> list[str]:
    """Returns a text or several, the argument `name`, as a list.

    Raises a ValueError if there is no text, and a TypeError if one is not a string.
    """
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        texts = [texts]
    texts = list(texts)
    if not texts:
        raise ValueError(f"`{name}` must hold at least one text. Received: {name}={texts!r}")
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(
                f"`{name}` must be a string or a list of strings. "
                f"Received: text of type {type(text).__name__}"
            )
    return texts


def _split_merges(merges: str | Sequence[str]) -> list[str]:
    rules = merges.split("\n") if isinstance(merges, str) else list(merges)
    rules = [rule.strip("\r") for rule in rules if rule and not rule.startswith("#version:")]
    wrong = [rule for rule in rules if rule.count(" ") != 1 or len(rule.split()) != 2]
    if wrong:
        raise ValueError(
            "`merges` must be rules of two tokens with a space between them. "
            f"Received: merges with {wrong[:3]}"
        )
    return rules


def _default_vocabulary(merges: Sequence[str]) -> dict[str, int]:
    """CLIP's numbering: bytes in the order of the letters that represent them, then merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    endings = [letter + _END_OF_WORD for letter in letters]
    merged = [rule.replace(" ", "") for rule in merges]
    return _as_ids([*letters, *endings, *merged, START_TOKEN, END_TOKEN])


def _as_ids(vocabulary: dict[str, int] | Sequence[str]) -> dict[str, int]:
    """Converts a vocabulary to a dict from token to id, in the order of the ids."""
    if not isinstance(vocabulary, dict):
        return {token: i for i, token in enumerate(vocabulary)}
    vocabulary = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    if list(vocabulary.values()) != list(range(len(vocabulary))):
        raise ValueError(
            "`vocabulary` must number its tokens from 0 on, without gaps. "
            f"Received: vocabulary with other ids for its {len(vocabulary)} tokens"
        )
    return vocabulary


def _check_vocabulary(vocabulary: dict[str, int], needed: Iterable[str]) -> None:
    missing = [token for token in needed if token not in vocabulary]
    if missing:
        raise ValueError(
            "`vocabulary` must hold all bytes, the tokens that `merges` give, and start and end "
            f"token. Received: vocabulary without {len(missing)} of them: {missing[:5]}"
        )
    # The text encoder finds the end of a text as the largest id.
    largest = max(vocabulary.values())
    if vocabulary[END_TOKEN] != largest:
        raise ValueError(
            f"`vocabulary` must have {END_TOKEN} as its last token. "
            f"Received: vocabulary with id {vocabulary[END_TOKEN]} of it, and ids up to {largest}"
        )


def _make_tokenizer(vocabulary: dict[str, int], merges: Sequence[str]) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=[cast(tuple[str, str], tuple(rule.split(" "))) for rule in merges],
            end_of_word_suffix=_END_OF_WORD,
            unk_token=END_TOKEN,
        )
    )
    tokenizer.add_special_tokens([START_TOKEN, END_TOKEN])
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def _warn_of_truncation(text: str, count: int, room: int) -> None:
    start = textwrap.shorten(text, width=60, placeholder="…")
    warnings.warn(
        f"A text of {count} tokens was cut to the {room} that fit: {start!r}",
        UserWarning,
        stacklevel=3,
    )
