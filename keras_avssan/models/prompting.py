"""Prompts as users give them, brought to arrays in the model's form and to embeddings."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.models.prompt_arrays import check_embeddings, check_prompt_arrays
from keras_avssan.models.prompts import (
    MIN_RECORDING,
    Prompt,
    as_prompt,
    split_prompts,
    stack_repeated,
)

if TYPE_CHECKING:
    from keras_avssan.models.localizer import Localizer
    from keras_avssan.models.localizer_preprocessor import LocalizerPreprocessor
    from keras_avssan.models.prompted_backbone import PromptedBackbone

# Inputs that are or become a prompt embedding; of several, the first of these is used.
EMBEDDED = ("prompt_embedding", "token_ids", "images")
# Those that an image encoder embeds.
_TO_EMBED = ("token_ids", "images")
# Inputs of a recording as prompt, which may come together with one of them.
REFERENCE = ("prompt_audio", "prompt_audio_weight")
# Projected prompts, all for one recording: an input that `localize` makes of the others.
PROJECTED = "projected_prompts"


def read_prompts(
    prompt: Any,
    preprocessor: "LocalizerPreprocessor",
    sampling_rate: int | None = None,
    model: "Localizer | None" = None,
) -> dict[str, np.ndarray]:
    """Brings prompts as users give them to the model's form, a dict of arrays by input.

    `model` reads words; of several kinds, or a `Prompt`, it makes the mean embedding and one
    weighted recording.
    """
    if isinstance(prompt, dict):
        return check_prompt_arrays(prompt, preprocessor.picture_size, preprocessor.prompt_dim)
    prompts, kinds = split_prompts(prompt, preprocessor.prompt_dim)
    if len(set(kinds)) == 1 and kinds[0] != "several":
        return _read_kind(prompts, kinds[0], preprocessor, sampling_rate, model)
    if model is None:
        raise TypeError(
            "`prompt` must hold pictures, embeddings, texts or recordings, not several kinds; "
            f"`localize` takes them together. Received: prompt of kinds {kinds}"
        )
    return _average(map(as_prompt, prompts, kinds), preprocessor, sampling_rate, model)


def _read_kind(
    prompts: list[Any],
    kind: str,
    preprocessor: "LocalizerPreprocessor",
    sampling_rate: int | None,
    model: "Localizer | None",
) -> dict[str, np.ndarray]:
    """Prompts of one kind as one array."""
    if kind == "embedding":
        return {"prompt_embedding": check_embeddings(prompts, preprocessor.prompt_dim)}
    if kind == "text":
        return {"token_ids": _tokenize(prompts, model)}
    if kind == "recording":
        return {"prompt_audio": preprocessor.read_references(prompts, sampling_rate)}
    return {"images": np.stack([preprocessor.read_picture(picture) for picture in prompts])}


def _tokenize(texts: list[str], model: "Localizer | None") -> np.ndarray:
    """Token ids of words, (texts, tokens), where the model has a text side."""
    if model is None:
        raise TypeError(
            "Words as `prompt` need the `model` whose image encoder reads them, as a further entry "
            f"of `x`; `localize` gives it. Received: prompt={texts[0]!r} without `model`"
        )
    tokenize = getattr(model.backbone.image_encoder, "tokenize", None)
    if tokenize is None:
        missing = "there is no file of this name"
        if os.path.isdir(texts[0]):
            missing = "the folder of this name is not a file"
        raise ValueError(
            "Words as `prompt` need a model whose image encoder has a text side, such as "
            f"CLIP's, and {missing}. Received: prompt={texts[0]!r}"
        )
    token_ids = np.asarray(tokenize(texts))
    for folder in filter(os.path.isdir, texts):
        warnings.warn(
            f"The prompt {folder!r} is read as words; the folder of this name is not used.",
            stacklevel=1,
        )
    return token_ids


def _average(
    prompts: Iterable[Prompt],
    preprocessor: "LocalizerPreprocessor",
    sampling_rate: int | None,
    model: "Localizer",
) -> dict[str, np.ndarray]:
    """Each `Prompt` as one embedding, one recording and the recording's weight."""
    embeddings: list[np.ndarray | None] = []
    recordings: list[np.ndarray] = []
    weights: list[float] = []
    for prompt in prompts:
        vectors = _embed_parts(prompt, preprocessor, model)
        embeddings.append(np.mean(vectors, axis=0) if len(vectors) else None)
        references = preprocessor.read_references(prompt.recordings, sampling_rate)
        recordings.append(references.ravel())
        weights.append(len(references) / len(prompt))
    inputs = {}
    if any(vector is not None for vector in embeddings):
        blank = np.zeros(model.backbone.prompt_dim)
        filled = [blank if vector is None else vector for vector in embeddings]
        inputs["prompt_embedding"] = np.stack(filled).astype("float32")
    if any(weights):
        silence = np.zeros(MIN_RECORDING, "float32")
        recordings = [recording if len(recording) else silence for recording in recordings]
        inputs["prompt_audio"] = stack_repeated(recordings)
        inputs["prompt_audio_weight"] = np.array(weights, "float32")
    return inputs


def _embed_parts(
    prompt: Prompt, preprocessor: "LocalizerPreprocessor", model: "Localizer"
) -> np.ndarray:
    """Embeddings of all parts of a `Prompt` except the recordings, shape (parts, d_V)."""
    parts = [np.zeros((0, model.backbone.prompt_dim))]
    if prompt.pictures:
        images = [preprocessor.read_picture(picture) for picture in prompt.pictures]
        parts.append(model.embed_prompts(np.stack(images)))
    if prompt.texts:
        parts.append(model.embed_texts(prompt.texts))
    if prompt.embeddings:
        parts.append(check_embeddings(prompt.embeddings, model.backbone.prompt_dim))
    return np.concatenate(parts)


def check_pictures(images: Any) -> Any:
    """Pictures (n, H, W, 3) as floating-point array or tensor; refuses paths and integers."""
    found = None
    if isinstance(images, (str, bytes, os.PathLike)) or not hasattr(images, "__len__"):
        found = type(images).__name__
    elif not hasattr(images, "shape"):
        try:
            images = np.asarray(images)
        except ValueError:
            found = "pictures of different shapes"
    if found is None and isinstance(images, np.ndarray) and images.dtype.kind != "f":
        found = f"dtype {images.dtype}"
    if found is None and (len(images.shape) != 4 or not images.shape[0]):
        found = f"shape {tuple(images.shape)}"
    if found is not None:
        raise ValueError(
            "`images` must be RGB pictures in [0, 1], a floating-point array (n, H, W, 3); "
            f"`prompt_inputs` reads files and embeds them. Received: {found}"
        )
    return images


def embed_batches(
    backbone: "PromptedBackbone", name: str, prompts: Tensor, batch_size: int
) -> np.ndarray:
    """Embeds `"images"` or `"token_ids"` batch by batch, to float32 (prompts, d_V)."""
    parts = [
        ops.convert_to_numpy(
            backbone.embed_prompt(
                {name: ops.convert_to_tensor(prompts[start : start + batch_size])}, training=False
            )
        )
        for start in range(0, len(prompts), batch_size)
    ]
    return np.concatenate(parts).astype("float32")


def embedded_once(
    backbone: "PromptedBackbone", inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Inputs with the embedding in place of pictures or words, to serve many recordings."""
    for name in _TO_EMBED:
        if name in inputs:
            rest = {key: value for key, value in inputs.items() if key not in _TO_EMBED}
            return {"prompt_embedding": embed_batches(backbone, name, inputs[name], 32), **rest}
    return dict(inputs)


def embed_inputs(
    backbone: "PromptedBackbone", inputs: Mapping[str, Tensor], training: bool | None = None
) -> Tensor:
    """Embeds prompts that have passed `check_inputs`, to shape (batch, d_V)."""
    if "prompt_embedding" in inputs:
        return inputs["prompt_embedding"]
    assert backbone.image_encoder is not None
    if "token_ids" in inputs:
        return backbone.image_encoder.encode_text(inputs["token_ids"])
    return backbone.image_encoder(inputs["images"], training=training)


def check_preprocessor(model: Any) -> None:
    """Refuses a model without a preprocessor."""
    if model.preprocessor is None:
        raise ValueError(
            "`preprocessor` must be set to read recordings and prompts. Received: preprocessor=None"
        )


def check_prompt(model: Any, prompt: Any) -> None:
    """Refuses a model without a preprocessor, and `None` where the network takes a prompt."""
    check_preprocessor(model)
    if model.backbone.visual_prompt and prompt is None:
        raise ValueError(
            "`prompt` must be a picture, words, a recording or an embedding of the sound "
            "to localise. Received: prompt=None"
        )


def check_readable(model: Any, prompts: Sequence[Any]) -> None:
    """Refuses prompts that a model cannot take, each by itself, before there is a recording.

    One message names all of them, and what is wrong with the first.
    """
    if getattr(model, "preprocessor", None) is None or not model.backbone.visual_prompt:
        return  # the call says what is missing
    errors = {}
    for number, prompt in enumerate(prompts):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # those come when the prompt is used
                inputs = read_prompts([prompt], model.preprocessor, None, model)
            model.backbone._check_prompt(inputs)
        except (ValueError, TypeError, OSError) as error:
            errors[number] = error
    if not errors:
        return
    first = next(iter(errors.values()))
    if len(errors) == 1:
        raise first
    named = ", ".join(repr(prompts[number]) for number in errors)
    raise ValueError(
        f"`prompt` must be prompts that the model can take, and {len(errors)} of {len(prompts)} "
        f"are not. Received: {named}. The first of them: {first}"
    ) from first


def check_inputs(backbone: "PromptedBackbone", inputs: Mapping[str, Tensor]) -> None:
    """Refuses inputs without a prompt, or with one that does not fit a network."""
    name = next((name for name in EMBEDDED if name in inputs), None)
    if name == "prompt_embedding":
        shape = tuple(inputs[name].shape)
        if len(shape) != 2 or shape[-1] != backbone.prompt_dim:
            raise ValueError(
                f"`prompt_embedding` must have shape (batch, {backbone.prompt_dim}). "
                f"Received: prompt_embedding.shape={shape}"
            )
    elif name == "token_ids":
        if not backbone.reads_words:
            raise ValueError(
                "`token_ids` need an image encoder with a text side, such as CLIP's. "
                f"Received: image_encoder={backbone.image_encoder!r}"
            )
    elif name == "images":
        if backbone.image_encoder is None:
            raise ValueError(
                "`inputs` must hold `prompt_embedding` in place of `images`: this model has no "
                f"image encoder. Received: inputs with keys {sorted(inputs)}"
            )
        shape = tuple(inputs[name].shape)
        if len(shape) != 4 or shape[-1] != 3:
            raise ValueError(
                f"`images` must have shape (batch, H, W, 3). Received: images.shape={shape}"
            )
    elif "prompt_audio" not in inputs:
        raise ValueError(
            "`inputs` must hold a prompt: `images` or `prompt_embedding` (or `token_ids`, "
            f"`prompt_audio`). Received: inputs with keys {sorted(inputs)}"
        )


def check_reference(inputs: Mapping[str, Tensor], semantic_audio: bool) -> None:
    """Refuses a recording as prompt of a wrong shape, or without an audio encoder to embed it."""
    if "prompt_audio" not in inputs:
        return
    shape = tuple(inputs["prompt_audio"].shape)
    if not semantic_audio:
        raise ValueError(
            "`prompt_audio` needs the audio encoder, which `semantic_audio=False` leaves out. "
            f"Received: prompt_audio.shape={shape}"
        )
    if len(shape) != 2:
        raise ValueError(
            f"`prompt_audio` must have shape (batch, samples). Received: prompt_audio.shape={shape}"
        )
