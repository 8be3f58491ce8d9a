"""Prompts that come as arrays, checked alike whichever way they come."""

from typing import Any

import numpy as np

from keras_avssan._internal.types import Tensor
from keras_avssan.data.media.recordings import to_numpy

# What a dict of arrays in the model's form may hold.
_FORMS = {
    "images": "(batch, height, width, 3)",
    "prompt_embedding": "(batch, d_V)",
    "token_ids": "(batch, tokens)",
    "prompt_audio": "(batch, samples)",
    "prompt_audio_weight": "(batch,)",
    "microphone_spacing": "(batch,)",
}
_ONE_OF = ("images", "prompt_embedding", "token_ids")


def check_embeddings(embeddings: Tensor, prompt_dim: int | None = None):
    """Checks embeddings that ask for a sound.

    Args:
        embeddings: List of arrays (d_V,).
        prompt_dim: d_V; if not given, all must agree.

    Returns:
        float32 array of shape (embeddings, d_V).

    Raises:
        ValueError: If one has another shape or is not finite.
        TypeError: If one is no array of numbers.

    Example:
        >>> check_embeddings([np.zeros(8), np.ones(8)], 8).shape
        (2, 8)
    """
    embeddings = [_as_array(embedding, "embeddings", "(d_V,)") for embedding in embeddings]
    shapes = {embedding.shape for embedding in embeddings}
    expected = (prompt_dim,) if prompt_dim else next(iter(shapes))
    if shapes != {expected} or len(expected) != 1:
        raise ValueError(
            f"Prompt embeddings must have shape {expected}; pictures have (height, width, 3), and "
            f"recordings many more samples. Received: {sorted(shapes)}"
        )
    embeddings = np.stack(embeddings).astype("float32")
    if not np.isfinite(embeddings).all():
        raise ValueError("`prompt` embeddings must be finite. Received: NaN or infinity")
    return embeddings


def check_prompt_arrays(
    prompt: Any, picture_size: int | None = None, prompt_dim: int | None = None
):
    """Checks prompts that are in the model's form already.

    Args:
        prompt: Dict with one of `images` (batch, height, width, 3) of floats in [0, 1],
            `prompt_embedding` (batch, d_V) and `token_ids` (batch, tokens), or with `prompt_audio`
            (batch, samples), or both, and `prompt_audio_weight` (batch,).
        picture_size: Height and width of the model's pictures; `None` where it takes none.
        prompt_dim: d_V, if known.

    Returns:
        Dict of NumPy arrays, float32 but for `token_ids`.

    Raises:
        ValueError: If something is missing, of another shape or range or not finite, or if there
            are two things that ask.
        TypeError: If a value is no array of numbers.

    Example:
        >>> check_prompt_arrays({"prompt_embedding": np.zeros((2, 8))})["prompt_embedding"].shape
        (2, 8)
    """
    asking = [key for key in _ONE_OF if key in prompt]
    asks = len(asking) == 1 or (not asking and "prompt_audio" in prompt)
    if not asks or not set(prompt) <= set(_FORMS):
        raise ValueError(
            f"`prompt` as a dict must hold one of {_ONE_OF}, or `prompt_audio`, or one of them and "
            "`prompt_audio` with `prompt_audio_weight`. "
            f"Received: a dict of {sorted(map(str, prompt))}"
        )
    sizes = {"images": picture_size, "prompt_embedding": prompt_dim}
    arrays = {}
    for key, value in prompt.items():
        arrays[key] = _as_array(value, f"prompt['{key}']", _FORMS[key])
        _check_shape(key, arrays[key], sizes.get(key))
        _check_values(key, arrays[key])
    counts = {key: len(array) for key, array in arrays.items()}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        raise ValueError(
            f"The arrays of `prompt` must be of one batch, not empty. Received: sizes {counts}"
        )
    return {
        key: array if key == "token_ids" else array.astype("float32")
        for key, array in arrays.items()
    }


def _as_array(value: Any, name: str, form):
    if isinstance(value, (str, bytes)) or value is None:
        found = type(value).__name__
    else:
        try:
            return to_numpy(value, name)
        except TypeError:
            found = type(value).__name__
    raise TypeError(f"`{name}` must be an array of numbers of shape {form}. Received: {found}")


def _check_shape(key: str, array: Any, size: int):
    """Refuses another rank, and another size where the model's is known."""
    if key == "images" and size is None:
        raise ValueError(
            "This model takes prompt embeddings only, it has no image encoder. "
            "Received: `images` as `prompt`"
        )
    form = _FORMS[key]
    fits = array.ndim == form.count(",") + (not form.endswith(",)"))
    if key == "images":
        form = f"(batch, {size[0]}, {size[1]}, 3)"
        fits = fits and array.shape[1:] == (*size, 3)
    elif key == "prompt_embedding" and size:
        form = f"(batch, {size})"
        fits = fits and array.shape[1] == size
    if not fits:
        raise ValueError(f"`prompt['{key}']` must have shape {form}. Received: shape {array.shape}")


def _check_values(key: str, array: Any):
    """Refuses what is not finite, pictures and shares beyond 0 to 1, and fractions of tokens."""
    if key == "token_ids" and array.dtype.kind not in "iu":
        raise ValueError(
            f"`prompt['token_ids']` must hold whole numbers. Received: dtype {array.dtype}"
        )
    within = key in ("images", "prompt_audio_weight")
    right = (array >= 0) & (array <= 1) if within else np.isfinite(array)
    if not right.all():
        raise ValueError(
            f"`prompt['{key}']` must be {'in [0, 1]' if within else 'finite'}. "
            f"Received: values from {array.min()} to {array.max()}"
        )
