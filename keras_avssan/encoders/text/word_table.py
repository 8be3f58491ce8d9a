"""Stored embeddings of words, in place of a sentence encoder."""

import difflib
import re
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.clip_tokenizer import as_texts
from keras_avssan.encoders.text.sentence_encoder import SentenceEncoder, embed_tokens

_NEAR_NAMES = 5
_ALIKE = 0.75  # of a text or word and that of a name, as `difflib` measures it
# Words that many texts have, whatever they are about.
_COMMON = frozenset("and the for with from etc other sound sounds noise noises".split())


@keras.saving.register_keras_serializable(package="keras_avssan")
class WordTable(FixedSettings, keras.layers.Layer):
    """Embeddings of names by a sentence encoder, stored, so that a model needs no such encoder.

    It takes the place of a `SentenceEncoder`, for the names that it has; `attach_text_encoder`
    replaces it by the encoder, for all words. The embeddings are stored in half precision.

    Args:
        names: List of names; letter case and underscores do not count.
        dim: Dimension d of the embeddings.
        encoder: Name of the sentence encoder that embedded them.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        token_ids: Rows of the table, integers of shape (batch, 1), see `tokenize`.

    Returns:
        float32 embeddings of unit length, shape (batch, d).

    Raises:
        TypeError: If a name or `encoder` is not a string.
        ValueError: If there is no name, one is blank, or two are the same.

    Example:
        >>> table = WordTable.from_vectors(["dog", "church_bell"], np.eye(2), "two words")
        >>> table.tokenize(["Church bell", "dog"]).tolist()
        [[1], [0]]
    """

    def __init__(
        self,
        names: Sequence[str],
        dim: int,
        encoder: str = "a sentence encoder",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "trainable": False, "autocast": False})
        self.names = _names(names)
        self.dim = check_integer("dim", dim, least=1)
        self.encoder = _title("encoder", encoder)
        self._rows = {_key(name): row for row, name in enumerate(self.names)}
        if len(self._rows) < len(self.names):
            double = next(n for i, n in enumerate(self.names) if self._rows[_key(n)] != i)
            raise ValueError(
                "`names` must differ in more than letter case and underscores. "
                f"Received: names with {double!r} twice"
            )
        self.table = self.add_weight(
            shape=(len(self.names), self.dim),
            initializer="zeros",
            dtype="float16",
            trainable=False,
            autocast=False,
            name="table",
        )
        self.built = True

    @classmethod
    def from_vectors(
        cls, names: Sequence[str], vectors: ArrayLike, encoder: str, **kwargs: Any
    ) -> Self:
        """Makes a table of embeddings.

        Args:
            names: List of names; of several that are the same, the first counts.
            vectors: Embeddings, shape (names, d).
            encoder: Name of the sentence encoder that embedded them.
            **kwargs: Arguments of `keras.layers.Layer`.

        Returns:
            A `WordTable`.

        Raises:
            TypeError: If a name or `encoder` is not a string.
            ValueError: If the two differ in length, or `vectors` are not numbers, zero or not
                finite.
        """
        names = _names(names)
        try:
            rows = np.asarray(vectors, "float32")
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`vectors` must be numbers of shape ({len(names)}, d). "
                f"Received: vectors={vectors!r:.80}"
            ) from error
        if rows.ndim != 2 or len(rows) != len(names):
            raise ValueError(
                f"`vectors` must have shape ({len(names)}, d), a row a name. "
                f"Received: vectors.shape={rows.shape}"
            )
        length = np.linalg.norm(rows, axis=1)
        if not np.isfinite(length).all() or not length.all():
            raise ValueError(
                "`vectors` must be finite and not zero. "
                f"Received: vectors with lengths from {length.min()} to {length.max()}"
            )
        first = list({_key(name): row for row, name in reversed(list(enumerate(names)))}.values())
        kept = sorted(first)
        table = cls([names[row] for row in kept], rows.shape[1], encoder, **kwargs)
        table.table.assign(rows[kept] / length[kept, None])
        return table

    @classmethod
    def from_encoder(cls, encoder: Any, names: Sequence[str], **kwargs: Any) -> Self:
        """Embeds names by a sentence encoder and stores them.

        Args:
            encoder: A `SentenceEncoder`.
            names: List of names, embedded with spaces for underscores.
            **kwargs: Arguments of `keras.layers.Layer`.

        Returns:
            A `WordTable`.

        Raises:
            TypeError: If `encoder` is no `SentenceEncoder`, or a name is not a string.
            ValueError: If there is no name, or one is blank.

        Example:
            >>> table = WordTable.from_encoder(encoder, ["dog", "church_bell"])
            >>> table.encoder
            'all-MiniLM-L6-v2'
        """
        if not isinstance(encoder, (SentenceEncoder, WordTable)):
            raise TypeError(
                "`encoder` must be a `SentenceEncoder`. "
                f"Received: encoder of type {type(encoder).__name__}"
            )
        names = _names(names)
        vectors = encoder.embed_text([name.replace("_", " ") for name in names])
        return cls.from_vectors(names, vectors, encoder.title, **kwargs)

    @property
    def title(self) -> str:
        """Name of the sentence encoder whose embeddings these are."""
        return self.encoder

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _key(name) in self._rows

    def tokenize(self, texts: str | Sequence[str]) -> np.ndarray:
        """Finds the rows of names.

        Args:
            texts: A name or a list of names of the table.

        Returns:
            int32 array, shape (texts, 1).

        Raises:
            ValueError: If there is no text, or one is not in the table; the message has similar
                names.
            TypeError: If a text is not a string.
        """
        texts = as_texts(texts)
        for text in texts:
            if _key(text) not in self._rows:
                raise ValueError(f"{self._unknown(text)} Received: text={text!r}")
        return np.array([[self._rows[_key(text)]] for text in texts], "int32")

    def _unknown(self, text: str) -> str:
        """What to do about a text that is not in the table."""
        near = self._near(text)
        start = "similar ones are" if near else "the first ones are"
        some = f"{start} {(near or self.names)[:_NEAR_NAMES]}"
        return (
            f"Words as prompt must be one of the {len(self.names)} names that this model has a "
            f"stored embedding of; {some}. For other words, attach the sentence encoder "
            f"{self.encoder!r}, of width {self.dim}: `keras_avssan.models.attach_text_encoder("
            "model, SentenceEncoder.from_preset(folder))`."
        )

    def _near(self, text: str) -> list[str]:
        """Names that are spelt like a text, the nearest first, then those that share a word."""
        key = _key(text)
        likeness = {other: _likeness(key, other) for other in self._rows}
        spelt = sorted(
            (other for other in likeness if likeness[other] >= _ALIKE),
            key=likeness.__getitem__,
            reverse=True,
        )
        by_word: dict[str, list[str]] = {}
        for name in self.names:
            for word in _distinct_words(name):
                by_word.setdefault(word, []).append(name)
        near = [self.names[self._rows[other]] for other in spelt]
        for word in _distinct_words(text):
            for close in difflib.get_close_matches(word, by_word, _NEAR_NAMES, _ALIKE):
                near += by_word[close]
        return list(dict.fromkeys(near))

    def call(self, token_ids: Tensor) -> Tensor:
        rows = ops.take(self.table, ops.cast(token_ids, "int32")[:, 0], axis=0)
        return ops.stop_gradient(unit_length(ops.cast(rows, "float32")))

    def embed_text(self, texts: str | Sequence[str], batch_size: int = 32) -> np.ndarray:
        """Looks up the embeddings of names.

        Args:
            texts: A name or a list of names of the table.
            batch_size: Number of names per batch.

        Returns:
            float32 array of embeddings of unit length, shape (n, d).

        Raises:
            ValueError: If there is no text, or one is not in the table.
            TypeError: If a text is not a string.
        """
        return embed_tokens(self, self.tokenize(texts), batch_size)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "names": list(self.names),
            "dim": self.dim,
            "encoder": self.encoder,
        }


def _names(names: Sequence[str]) -> list[str]:
    """Names as a list; a ValueError where there is none or one is blank."""
    names = as_texts(names, "names")
    if not all(map(_key, names)):
        raise ValueError(f"`names` must not be blank. Received: names={names!r}")
    return names


def _title(argument: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{argument}` must be a string. Received: {argument}={value!r}")
    return value


def _distinct_words(name: str) -> list[str]:
    """The words that distinguish a name from others: none of one or two letters, no "and"."""
    words = re.findall(r"\w+", _key(name))
    return [word for word in words if len(word) > 2 and word not in _COMMON]


def _likeness(first: str, second: str) -> float:
    """Likeness of two spellings, from 0 to 1, which letters that changed places do not lower."""
    if len(first) > 2 and sorted(first) == sorted(second):
        return 1.0
    return difflib.SequenceMatcher(None, first, second).ratio()


def _key(name: str) -> str:
    """A name without what does not count: letter case, underscores, further white space."""
    return " ".join(name.lower().replace("_", " ").split())
