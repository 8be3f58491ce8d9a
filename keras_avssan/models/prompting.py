"""The way of a prompt: from what users give, over arrays in the model's form, to an embedding."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

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

# Inputs that are, or give, a prompt embedding, with the first that counts first.
EMBEDDED = ("prompt_embedding", "token_ids", "images")
# Inputs of a recording as prompt, which may stand beside one of them.
REFERENCE = ("prompt_audio", "prompt_audio_weight")


def read_prompts(
    prompt: Any,
    preprocessor: "LocalizerPreprocessor",
    sampling_rate: int | None = None,
    model: "Localizer | None" = None,
) -> dict[str, np.ndarray]:
    """Brings prompts as users give them to the model's form.

    Prompts of one kind become one array. Where they are of several kinds, or a `Prompt` holds
    several things, each becomes the mean of its embeddings and one recording with its share.

    Args:
        prompt: One prompt, a list or a batch of them, see `split_prompts`, or a dict of arrays in
            the model's form.
        preprocessor: Reads pictures, words and recordings.
        sampling_rate: Sampling rate in hertz of recordings as arrays; the model's if not given.
        model: Embeds the prompts that have to be averaged.

    Returns:
        Dict of arrays with the batch first: `images`, `token_ids`, `prompt_embedding` or
        `prompt_audio`, or the last two with `prompt_audio_weight`.

    Raises:
        ValueError: If a prompt is unusable.
        TypeError: If a prompt is of another kind, or several kinds come without a `model`.

    Example:
        >>> read_prompts(np.zeros((32, 32, 3), "uint8"), LocalizerPreprocessor())["images"].shape
        (1, 64, 64, 3)
    """
    if isinstance(prompt, dict):
        return check_prompt_arrays(prompt, preprocessor.picture_size, preprocessor.prompt_dim)
    prompts, kinds = split_prompts(prompt, preprocessor.prompt_dim)
    if len(set(kinds)) == 1 and kinds[0] != "several":
        return _read_kind(prompts, kinds[0], preprocessor, sampling_rate)
    if model is None:
        raise TypeError(
            "`prompt` must hold either pictures or embeddings, texts or recordings, not both; "
            f"`localize` takes them together. Received: {kinds}"
        )
    return _average(map(as_prompt, prompts, kinds), preprocessor, sampling_rate, model)


def _read_kind(
    prompts: list, kind: str, preprocessor: "LocalizerPreprocessor", sampling_rate: int | None
) -> dict[str, np.ndarray]:
    """Prompts of one kind as one array."""
    if kind == "embedding":
        return {"prompt_embedding": check_embeddings(prompts, preprocessor.prompt_dim)}
    if kind == "text":
        return {"token_ids": _tokenize(prompts, preprocessor.tokenize)}
    if kind == "recording":
        return {"prompt_audio": preprocessor.read_references(prompts, sampling_rate)}
    return {"images": np.stack([preprocessor.read_picture(picture) for picture in prompts])}


def _tokenize(texts: list[str], tokenize: Callable[[list[str]], Any] | None) -> np.ndarray:
    """Token ids of words, (texts, tokens), where the model has a text side."""
    if tokenize is None:
        raise ValueError(
            "Words as `prompt` need a model whose image encoder has a text side, such as "
            f"CLIP's, and there is no file of this name. Received: prompt={texts[0]!r}"
        )
    return np.asarray(tokenize(texts))


def _average(
    prompts: Iterable[Prompt],
    preprocessor: "LocalizerPreprocessor",
    sampling_rate: int | None,
    model: "Localizer",
) -> dict[str, np.ndarray]:
    """Each `Prompt` as one embedding, one recording and the recording's share."""
    embeddings, recordings, weights = [], [], []
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
    """Embeddings of all parts of a `Prompt` but the recordings, shape (parts, d_V)."""
    parts = [np.zeros((0, model.backbone.prompt_dim))]
    if prompt.pictures:
        images = [preprocessor.read_picture(picture) for picture in prompt.pictures]
        parts.append(model.embed_prompts(np.stack(images)))
    if prompt.texts:
        parts.append(model.embed_texts(prompt.texts))
    if prompt.embeddings:
        parts.append(check_embeddings(prompt.embeddings, model.backbone.prompt_dim))
    return np.concatenate(parts)


def embed_batches(
    backbone: "PromptedBackbone", name: str, prompts: Any, batch_size: int
) -> np.ndarray:
    """Embeds pictures or tokens batch by batch.

    Args:
        backbone: Network whose image encoder embeds.
        name: Name of the input, `"images"` or `"token_ids"`.
        prompts: Array in the model's form, the prompts first.
        batch_size: Prompts a run.

    Returns:
        float32 array of shape (prompts, d_V).

    Raises:
        ValueError: If the prompts do not fit the network.

    Example:
        >>> embed_batches(AVSSAN().backbone, "images", np.zeros((5, 64, 64, 3)), 4).shape
        (5, 128)
    """
    parts = [
        ops.convert_to_numpy(
            backbone.embed_prompt(
                {name: ops.convert_to_tensor(prompts[start : start + batch_size])}, training=False
            )
        )
        for start in range(0, len(prompts), batch_size)
    ]
    return np.concatenate(parts).astype("float32")


def embed_inputs(
    backbone: "PromptedBackbone", inputs: Mapping[str, Any], training: bool | None = None
) -> Any:
    """Embeds prompts that are known to fit a network, see `check_inputs`.

    Args:
        backbone: Network whose image encoder embeds.
        inputs: Dict of tensors with `prompt_embedding`, `token_ids` or `images`.
        training: Whether the image encoder runs in training mode.

    Returns:
        Tensor of shape (batch, d_V).

    Example:
        >>> embed_inputs(backbone, {"prompt_embedding": keras.ops.ones((1, 512))}).shape
        (1, 512)
    """
    if "prompt_embedding" in inputs:
        return inputs["prompt_embedding"]
    if "token_ids" in inputs:
        return backbone.image_encoder.encode_text(inputs["token_ids"])
    return backbone.image_encoder(inputs["images"], training=training)


def check_inputs(backbone: "PromptedBackbone", inputs: Mapping[str, Any]) -> None:
    """Refuses inputs that hold no prompt, or one that does not fit a network.

    Args:
        backbone: The network.
        inputs: Dict of tensors, symbolic ones too.

    Raises:
        ValueError: If a prompt is missing, has a wrong shape, or is of a kind that the network
            does not take.

    Example:
        >>> check_inputs(backbone, {"images": keras.ops.ones((1, 64, 64, 3))})
    """
    name = next((name for name in EMBEDDED if name in inputs), None)
    if name == "prompt_embedding":
        shape = tuple(inputs[name].shape)
        if len(shape) != 2 or shape[-1] != backbone.prompt_dim:
            raise ValueError(
                f"`prompt_embedding` must have shape (batch, {backbone.prompt_dim}). "
                f"Received: shape {shape}"
            )
    elif name == "token_ids":
        if not backbone.reads_words:
            raise ValueError(
                "Words as prompt need an image encoder with a text side, such as CLIP's. "
                "Received: `token_ids`"
            )
    elif name == "images":
        if backbone.image_encoder is None:
            raise ValueError(
                "This model has no image encoder: give `prompt_embedding` in place of `images`."
            )
        shape = tuple(inputs[name].shape)
        if len(shape) != 4 or shape[-1] != 3:
            raise ValueError(f"`images` must have shape (batch, H, W, 3). Received: shape {shape}")
    elif "prompt_audio" not in inputs:
        raise ValueError(
            "A prompt is needed: `images` or `prompt_embedding` (or `token_ids`, "
            f"`prompt_audio`). Received: inputs {sorted(inputs)}"
        )


def check_reference(inputs: Mapping[str, Any], semantic_audio: bool) -> None:
    """Refuses a recording as prompt that does not fit a network with an audio encoder.

    Args:
        inputs: Dict of tensors; without `prompt_audio` there is nothing to check.
        semantic_audio: Whether the network has its audio encoder.

    Raises:
        ValueError: If `prompt_audio` has a wrong shape, or nothing embeds it.

    Example:
        >>> check_reference({"prompt_audio": keras.ops.ones((1, 16000))}, semantic_audio=True)
    """
    if "prompt_audio" not in inputs:
        return
    if not semantic_audio:
        raise ValueError(
            "A recording as prompt needs the audio encoder, which `semantic_audio=False` "
            "leaves out. Received: `prompt_audio`"
        )
    shape = tuple(inputs["prompt_audio"].shape)
    if len(shape) != 2:
        raise ValueError(f"`prompt_audio` must have shape (batch, samples). Received: {shape}")
