"""CLIP as the encoder of picture and text prompts."""

import contextlib
import importlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
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
from keras_avssan.encoders.clip_tokenizer import (
    MERGES_FILE,
    VOCABULARY_FILE,
    CLIPTextTokenizer,
    as_texts,
)
from keras_avssan.encoders.data_format import channels_last, load_nested
from keras_avssan.encoders.presets import check_preset, reading_preset

# Mean and standard deviation of the pictures that CLIP was trained on, as published with it.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_TOKENIZER_FOLDER = "assets/tokenizer"
# Modules and names of the functions that convert CLIP from other formats. By name, since converters
# import the encoders that they make, and not the other way round.
_CONVERTERS: dict[str, tuple[str, str]] = {
    "huggingface": ("keras_avssan.encoders.converters.clip", "convert_clip_huggingface"),
}


@keras.saving.register_keras_serializable(package="keras_avssan")
class CLIPEncoder(KeepsFrozenLayers, FixedSettings, keras.layers.Layer):
    """Embeds pictures and texts in the common space of CLIP.

    Frozen by default, as in the paper. Pictures of another size are resized (bicubic, antialiased)
    whatever their aspect ratio is; `read_image` of `keras_avssan.data` fits them into a frame
    before. Embeddings have unit length and are float32 under every precision policy. Configuration
    and weights hold everything, the tokenizer included, so a `.keras` file or a preset of a model
    with this encoder needs no further files.

    Args:
        backbone: A `keras_hub.models.CLIPBackbone`.
        tokenizer: A `CLIPTextTokenizer`; `None` if prompts are never texts.
        mean: Mean that is subtracted from pictures in [0, 1], one number per channel.
        std: Standard deviation by which the result is divided, one number per channel.
        trainable: Whether the backbone is trained with the task.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        images: RGB pictures in [0, 1], shape (batch, H, W, 3).

    Returns:
        float32 embeddings of unit length, shape (batch, d).

    Raises:
        TypeError: If `backbone` is not a `CLIPBackbone` or `tokenizer` not a `CLIPTextTokenizer`.
        ValueError: If the backbone takes pictures with channels first, or the tokenizer has more
            tokens, or longer sequences, than the backbone.

    Example:
        >>> encoder = CLIPEncoder.from_preset("clip_vit_base_patch32")
        >>> model = AVSSAN(image_encoder=encoder)
        >>> theta = model.localize("mix.wav", "dog.jpg")
        >>> theta = model.localize("mix.wav", "a barking dog")

    Reference:
        AV-SSAN, "SBF Net": F_V comes from CLIP. Radford et al., Learning Transferable Visual
        Models From Natural Language Supervision, 2021.
    """

    also_fixed = ("image_size", "dim")

    def __init__(
        self,
        backbone: keras.Model | dict[str, Any],
        tokenizer: CLIPTextTokenizer | dict[str, Any] | None = None,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
        trainable: bool = False,
        **kwargs: Any,
    ) -> None:
        # Without autocast pictures are normalised in float32 under mixed precision.
        super().__init__(**{**kwargs, "autocast": False})
        backbone = load_nested(backbone)
        if isinstance(tokenizer, dict):
            tokenizer = keras.saving.deserialize_keras_object(tokenizer)
        _check_parts(backbone, tokenizer)
        self.backbone = backbone
        self.tokenizer = cast(CLIPTextTokenizer | None, tokenizer)
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.image_size = tuple(backbone.vision_encoder.image_shape[:2])
        self.dim = backbone.projection_dim
        self.trainable = trainable

    @classmethod
    def from_preset(
        cls, preset: PathLike, load_weights: bool = True, dtype: Any = None, **kwargs: Any
    ) -> "CLIPEncoder":
        """Loads CLIP with its tokenizer, without TensorFlow.

        Args:
            preset: Name of a CLIP preset of KerasHub such as `"clip_vit_base_patch32"`, an
                address of one (`kaggle://…`, `hf://…`), or the path of a folder: of such a
                preset, or of a Hugging Face CLIP checkpoint.
            load_weights: Whether weights are loaded; they are random if `False`.
            dtype: Data type or precision policy of the backbone, see
                `keras_hub.models.CLIPBackbone.from_preset`.
            **kwargs: Further arguments of `CLIPEncoder`.

        Returns:
            A `CLIPEncoder`.

        Raises:
            TypeError: If `preset` is not a string or a path.
            ValueError: If `preset` is neither a known name nor an address nor a folder, or a
                folder that does not hold a CLIP model, or of which a file is missing or damaged.
            OSError: If a hub cannot be reached; the message says how to load the preset offline.

        Example:
            >>> encoder = CLIPEncoder.from_preset("clip_vit_base_patch32")
            >>> encoder.embed_text(["a dog", "a violin"]).shape
            (2, 512)
        """
        preset = check_clip_preset(preset)
        if _is_huggingface(preset):
            convert = _find_converter("huggingface")
            with reading_preset(preset, kwargs):
                return convert(preset, load_weights, dtype, **kwargs)
        with _offline_advice(preset), channels_last():
            backbone = keras_hub.models.CLIPBackbone.from_preset(
                preset, load_weights=load_weights, dtype=dtype
            )
            length = backbone.text_encoder.max_sequence_length
            vocabulary, merges = _tokenizer_files(preset)
            tokenizer = CLIPTextTokenizer.from_files(vocabulary, merges, length)
        with reading_preset(preset, kwargs):
            return cls(backbone, tokenizer, **kwargs)

    def save_to_preset(self, folder: PathLike) -> None:
        """Writes the folder that `from_preset` reads.

        Args:
            folder: Path of the folder; created if it does not exist.
        """
        self.backbone.save_to_preset(os.fspath(folder))
        if self.tokenizer is not None:
            assets = pathlib.Path(folder, _TOKENIZER_FOLDER)
            assets.mkdir(parents=True, exist_ok=True)
            self.tokenizer.save_assets(assets)

    def build(self, input_shape: Shape | None = None) -> None:
        self.built = True  # the backbone was built with its weights

    def call(self, images: Tensor) -> Tensor:
        images = ops.cast(images, "float32")
        if tuple(images.shape[1:3]) != self.image_size:
            images = ops.image.resize(
                images,
                self.image_size,
                interpolation="bicubic",
                antialias=True,
                data_format="channels_last",
            )
            images = ops.clip(images, 0.0, 1.0)  # bicubic interpolation overshoots
        mean = ops.convert_to_tensor(self.mean, "float32")
        std = ops.convert_to_tensor(self.std, "float32")
        return self._finish(self.backbone.get_vision_embeddings((images - mean) / std))

    def tokenize(self, texts: str | Sequence[str]) -> np.ndarray:
        """Converts texts to token ids.

        Args:
            texts: A text or a list of texts. A text that exceeds the longest sequence is cut, with
                a warning.

        Returns:
            int32 array, shape (texts, 77) for all published models.

        Raises:
            ValueError: If there is no text, or this encoder has no tokenizer.
            TypeError: If a text is not a string.
        """
        if self.tokenizer is None:
            raise ValueError(
                "`tokenizer` must be given for text prompts, since this encoder has no tokenizer; "
                "`CLIPEncoder.from_preset` loads both. Received: tokenizer=None"
            )
        return self.tokenizer(texts)

    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Computes the embeddings of tokenized texts.

        Args:
            token_ids: Token ids, integers of shape (batch, tokens), see `tokenize`.

        Returns:
            float32 embeddings of unit length, shape (batch, d).

        Raises:
            ValueError: If `token_ids` has another shape, or longer sequences than the model.
        """
        token_ids = ops.cast(token_ids, "int32")
        longest = self.backbone.text_encoder.max_sequence_length
        # The number of tokens is unknown where a network is composed of symbolic inputs.
        if len(token_ids.shape) != 2 or (token_ids.shape[1] or 0) > longest:
            raise ValueError(
                f"`token_ids` must have shape (batch, tokens) with at most {longest} tokens. "
                f"Received: token_ids.shape={tuple(token_ids.shape)}"
            )
        return self._finish(self.backbone.get_text_embeddings(token_ids))

    def embed_text(
        self, texts: str | Sequence[str], batch_size: int = 32, template: str | None = None
    ) -> np.ndarray:
        """Computes the embeddings of text prompts.

        Args:
            texts: A text or a list of texts.
            batch_size: Number of texts per batch.
            template: Text in which `{}` is replaced by each of the texts, such as
                `"a photo of a {}"`; by default texts are not changed.

        Returns:
            float32 array of embeddings of unit length, shape (n, d).

        Raises:
            ValueError: If there is no text, `template` holds no `{}`, `batch_size` is not
                positive, or this encoder has no tokenizer.
            TypeError: If a text is not a string.

        Example:
            >>> encoder.embed_text(["dog", "violin"], template="a photo of a {}").shape
            (2, 512)
        """
        batch_size = check_integer("batch_size", batch_size, least=1)
        texts = as_texts(texts)
        if template is not None:
            if "{}" not in template:
                raise ValueError(f"`template` must hold {{}}. Received: template={template!r}")
            texts = [template.replace("{}", text) for text in texts]
        token_ids = self.tokenize(texts)
        parts = [
            ops.convert_to_numpy(self.encode_text(token_ids[start : start + batch_size]))
            for start in range(0, len(token_ids), batch_size)
        ]
        return np.concatenate(parts)

    def _finish(self, x: Tensor) -> Tensor:
        """Scales embeddings to unit length, in float32; no gradients while frozen."""
        x = ops.cast(x, "float32")
        if not self.trainable:
            x = ops.stop_gradient(x)
        return unit_length(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.dim)

    def get_config(self) -> dict[str, Any]:
        tokenizer = self.tokenizer
        if tokenizer is not None:
            tokenizer = keras.saving.serialize_keras_object(tokenizer)
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "tokenizer": tokenizer,
            "mean": list(self.mean),
            "std": list(self.std),
        }


def _check_parts(backbone: Any, tokenizer: Any) -> None:
    if not isinstance(backbone, keras_hub.models.CLIPBackbone):
        raise TypeError(
            "`backbone` must be a `keras_hub.models.CLIPBackbone`. "
            f"Received: backbone of type {type(backbone).__name__}"
        )
    # KerasHub stores the order of the axes in this layer alone.
    data_format = backbone.vision_encoder.embedding.data_format
    if data_format != "channels_last":
        raise ValueError(
            "`backbone` must take pictures of shape (batch, H, W, 3): give its "
            '`CLIPVisionEncoder` `data_format="channels_last"`, or load it with '
            f"`CLIPEncoder.from_preset`. Received: data_format={data_format!r}"
        )
    if tokenizer is None:
        return
    if not isinstance(tokenizer, CLIPTextTokenizer):
        raise TypeError(
            "`tokenizer` must be a `CLIPTextTokenizer`. "
            f"Received: tokenizer of type {type(tokenizer).__name__}"
        )
    text = backbone.text_encoder
    tokens, length = tokenizer.end_id + 1, tokenizer.sequence_length
    if tokens > text.vocabulary_size or length > text.max_sequence_length:
        raise ValueError(
            f"`tokenizer` must fit the backbone's {text.vocabulary_size} tokens and its longest "
            f"sequence of {text.max_sequence_length}. "
            f"Received: tokenizer with {tokens} tokens and sequences of {length}"
        )


def check_clip_preset(preset: PathLike) -> str:
    """A preset as a string; a ValueError if it is neither a known name nor an address nor a folder.

    Loads nothing.
    """
    return check_preset(preset, keras_hub.models.CLIPBackbone)


def is_clip(folder: PathLike) -> bool:
    """Whether a folder holds CLIP, as KerasHub or as Hugging Face saves it.

    `False` if the configuration is missing or damaged.
    """
    config = _read_config(folder)
    return config.get("model_type") == "clip" or config.get("class_name") == "CLIPBackbone"


def _is_huggingface(preset: PathLike) -> bool:
    """Whether a folder holds a checkpoint of Hugging Face rather than one of KerasHub."""
    config = _read_config(preset)
    return "model_type" in config and "registered_name" not in config


def _find_converter(checkpoint_format: str) -> Callable[..., Any]:
    """The function that makes an encoder from a folder in a format, imported when it is needed."""
    module, name = _CONVERTERS[checkpoint_format]
    return getattr(importlib.import_module(module), name)


def _read_config(folder: PathLike) -> dict[str, Any]:
    """Configuration of a preset; empty if it cannot be read, which the loader reports later."""
    try:
        config = pathlib.Path(folder, "config.json").read_text(encoding="utf-8")
        return cast(dict[str, Any], json.loads(config))
    except (OSError, ValueError):
        return {}


def _tokenizer_files(preset: str) -> list[str]:
    """Local paths of the vocabulary and the merge rules of a KerasHub preset."""
    # KerasHub has no public name for this, and its own tokenizer needs TensorFlow.
    from keras_hub.src.utils.preset_utils import get_file

    return [
        get_file(preset, f"{_TOKENIZER_FOLDER}/{name}") for name in (VOCABULARY_FILE, MERGES_FILE)
    ]


@contextlib.contextmanager
def _offline_advice(preset: str) -> Iterator[None]:
    """Adds to the errors of a download how to load a preset offline; those of a folder name it."""
    if os.path.isdir(preset):
        with reading_preset(preset):
            yield
        return
    try:
        yield
    except Exception as error:
        metadata = keras_hub.models.CLIPBackbone.presets.get(preset, {})
        address = metadata.get("kaggle_handle", preset)
        raise OSError(
            f"The preset at {address} could not be loaded: {type(error).__name__}: {error}\n"
            "If this machine cannot reach the hub, download the preset's folder on another one "
            "and give its path in place of the name; or copy that machine's cache here and set "
            "KAGGLEHUB_CACHE (kaggle://) or HF_HOME (hf://) to it."
        ) from error
