"""An image encoder and a sentence encoder as one encoder of prompts."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.frozen_layers import KeepsFrozenLayers
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.clip_tokenizer import as_texts
from keras_avssan.encoders.data_format import load_nested
from keras_avssan.encoders.text.sentence_encoder import embed_tokens
from keras_avssan.encoders.text.word_table import WordTable

_COMPARED = 8  # names, of which two text encoders are to have the same embeddings
# Least cosine between the two: half precision costs less than 1e-5, reduced precision 1e-3.
_SAME = 0.995
_SAMPLES = ("dog", "violin", "rain", "a church bell")


@keras.saving.register_keras_serializable(package="keras_avssan")
class PictureTextEncoder(KeepsFrozenLayers, FixedSettings, keras.layers.Layer):
    """Adds words to an image encoder that has no text side.

    Sentence embeddings pass a projection to the dimension of the pictures' embeddings. Both have
    unit length. The projection is random at first: `keras_avssan.training.align_prompts` trains
    it, so that the words of a class select the same sounds as its pictures. All is frozen by
    default.

    Args:
        image_encoder: Keras layer from pictures (batch, H, W, 3) in [0, 1] to embeddings
            (batch, d_V), such as `ImageEncoder`.
        text_encoder: `SentenceEncoder` or `WordTable`.
        trainable: Whether both encoders and the projection are trained with the task.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        images: RGB pictures in [0, 1], shape (batch, H, W, 3).
        training: Whether the image encoder runs in training mode; never while it is frozen.

    Returns:
        float32 embeddings of unit length, shape (batch, d_V).

    Raises:
        TypeError: If `image_encoder` is no layer, or `text_encoder` cannot tokenize texts.

    Example:
        >>> table = WordTable.from_encoder(SentenceEncoder.from_preset(folder), ["dog", "violin"])
        >>> model = AVSSAN(image_encoder=PictureTextEncoder(ImageEncoder(backbone), table))
        >>> align_prompts(model, plan)
        >>> theta = model.localize("mix.wav", "violin")
    """

    also_fixed = ("image_size", "dim")

    def __init__(
        self,
        image_encoder: keras.Layer | dict[str, Any],
        text_encoder: keras.Layer | dict[str, Any],
        trainable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "autocast": False})
        image_encoder, text_encoder = load_nested(image_encoder), load_nested(text_encoder)
        if not hasattr(text_encoder, "tokenize"):
            raise TypeError(
                "`text_encoder` must be a `SentenceEncoder` or a `WordTable`. "
                f"Received: text_encoder of type {type(text_encoder).__name__}"
            )
        if not isinstance(image_encoder, keras.Layer):
            raise TypeError(
                "`image_encoder` must be a Keras layer from pictures to embeddings. "
                f"Received: image_encoder of type {type(image_encoder).__name__}"
            )
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        size = getattr(image_encoder, "image_size", None) or image_encoder.input_shape[1:3]
        self.image_size = tuple(size)
        shape = image_encoder.compute_output_shape((None, *self.image_size, 3))
        self.dim = int(shape[-1])
        self.text_projection = keras.layers.Dense(self.dim, dtype="float32", name="text_projection")
        self.trainable = trainable

    def build(self, input_shape: Shape) -> None:
        if not self.image_encoder.built:
            self.image_encoder.build(input_shape)
        if not self.text_projection.built:
            self.text_projection.build((None, self.text_encoder.dim))
        self.built = True

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        images = ops.cast(images, self.image_encoder.compute_dtype)
        training = bool(training) and self.trainable
        return self._finish(self.image_encoder(images, training=training))

    def tokenize(self, texts: str | Sequence[str]) -> np.ndarray:
        """Converts texts to token ids, as the text encoder does.

        Args:
            texts: A text or a list of texts.

        Returns:
            int32 array, shape (texts, tokens).

        Raises:
            ValueError: If there is no text, or the encoder is a table that lacks one.
            TypeError: If a text is not a string.
        """
        return self.text_encoder.tokenize(texts)

    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Computes the projected embeddings of tokenized texts.

        Args:
            token_ids: Token ids, integers of shape (batch, tokens), see `tokenize`.

        Returns:
            float32 embeddings of unit length, shape (batch, d_V).
        """
        return self.project_text(self.text_encoder(token_ids))

    def project_text(self, sentences: Tensor) -> Tensor:
        """Projects embeddings of the text encoder to the dimension of pictures.

        Args:
            sentences: Embeddings, shape (batch, d), see `embed_sentences`.

        Returns:
            float32 embeddings of unit length, shape (batch, d_V).
        """
        return self._finish(self.text_projection(sentences))

    def embed_text(
        self, texts: str | Sequence[str], batch_size: int = 32, template: str | None = None
    ) -> np.ndarray:
        """Computes the projected embeddings of texts.

        Args:
            texts: A text or a list of texts.
            batch_size: Number of texts per batch.
            template: Text in which `{}` is replaced by each of the texts; by default texts are not
                changed.

        Returns:
            float32 array of embeddings of unit length, shape (n, d_V).

        Raises:
            ValueError: If there is no text, `template` holds no `{}`, or `batch_size` is not
                positive.
            TypeError: If a text is not a string.
        """
        texts = as_texts(texts)
        if template is not None:
            if "{}" not in template:
                raise ValueError(f"`template` must hold {{}}. Received: template={template!r}")
            texts = [template.replace("{}", text) for text in texts]
        self._build_now()
        return embed_tokens(self.encode_text, self.tokenize(texts), batch_size)

    def embed_sentences(self, texts: str | Sequence[str], batch_size: int = 32) -> np.ndarray:
        """Computes the embeddings of texts before they are projected.

        Args:
            texts: A text or a list of texts.
            batch_size: Number of texts per batch.

        Returns:
            float32 array, shape (n, d) of the text encoder.

        Raises:
            ValueError: If there is no text, or `batch_size` is not positive.
            TypeError: If a text is not a string.
        """
        return embed_tokens(self.text_encoder, self.tokenize(texts), batch_size)

    def with_text_encoder(self, text_encoder: keras.Layer) -> "PictureTextEncoder":
        """Makes the same encoder with another text encoder, whose embeddings are the same.

        Both embed a few names, those of a table where one of them is a table. While the projection
        is as it was initialised, any encoder of the same width will do.

        Args:
            text_encoder: `SentenceEncoder` or `WordTable` of the same width.

        Returns:
            A `PictureTextEncoder` with the same image encoder and the same projection.

        Raises:
            ValueError: If the embeddings of `text_encoder` have another dimension, or are others
                than those that the projection was trained with.
        """
        own = self.text_encoder
        if getattr(text_encoder, "dim", None) != own.dim:
            raise ValueError(
                f"`text_encoder` must be {own.title!r}, whose embeddings of {own.dim} numbers the "
                f"projection was trained for. Received: text_encoder={text_encoder!r} with "
                f"embeddings of {getattr(text_encoder, 'dim', None)}"
            )
        self._build_now()
        if np.any(ops.convert_to_numpy(self.text_projection.bias)):  # zero until it is trained
            _check_same(own, text_encoder)
        other = PictureTextEncoder(
            self.image_encoder, text_encoder, trainable=self.trainable, name=self.name
        )
        other._build_now()
        other.text_projection.set_weights(self.text_projection.get_weights())
        return other

    def _build_now(self) -> None:
        if not self.built:
            self.build((None, *self.image_size, 3))

    def _finish(self, x: Tensor) -> Tensor:
        """Scales embeddings to unit length, in float32; no gradients while frozen."""
        x = ops.cast(x, "float32")
        if not self.trainable:
            x = ops.stop_gradient(x)
        return unit_length(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_encoder": keras.saving.serialize_keras_object(self.image_encoder),
            "text_encoder": keras.saving.serialize_keras_object(self.text_encoder),
        }


def _check_same(own: Any, other: Any) -> None:
    """Raises a ValueError unless two text encoders embed a few names likewise."""
    names = _common_names(own, other)
    if names:
        first, second = (embed_tokens(one, one.tokenize(names)) for one in (own, other))
        cosines = np.sum(first * second, axis=1)
    worst = int(np.argmin(cosines)) if names else 0
    if names and cosines[worst] >= _SAME:
        return
    found = (
        f"{names[worst]!r} with a cosine of {cosines[worst]:.2f} between the two embeddings"
        if names
        else "a table without a name of the model's own"
    )
    raise ValueError(
        f"`text_encoder` must be {own.title!r}, whose embeddings the projection of words was "
        "trained with; another one needs `keras_avssan.training.align_prompts` on a model that "
        f"is made with it. Received: text_encoder={other!r}, {found}"
    )


def _common_names(own: Any, other: Any) -> list[str]:
    """A few names that both text encoders can embed, spread over those of a table."""
    tables = [one for one in (own, other) if isinstance(one, WordTable)]
    names = list(_SAMPLES)
    if tables:
        names = [name for name in tables[0].names if all(name in table for table in tables)]
    some = names[:: max(1, len(names) // _COMPARED)][:_COMPARED]
    return [name.replace("_", " ") for name in some]  # as tables embed them
