"""Checks of prompts that are arrays in the model's form."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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


def check_embeddings(embeddings: Sequence[Any], prompt_dim: int | None = None) -> np.ndarray:
    """Checks prompt embeddings (d_V,), which become one float32 array (embeddings, d_V)."""
    arrays = [_as_array(embedding, "embeddings", "(d_V,)") for embedding in embeddings]
    shapes = {array.shape for array in arrays}
    expected = (prompt_dim,) if prompt_dim else next(iter(shapes))
    if shapes != {expected} or len(expected) != 1:
        raise ValueError(
            f"Prompt embeddings must have shape {expected}; pictures have (height, width, 3), and "
            f"recordings many more samples. Received: `prompt` of shapes {sorted(shapes)}"
        )
    stacked = np.stack(arrays).astype("float32")
    if not np.isfinite(stacked).all():
        first = int(np.argmin(np.isfinite(stacked).all(axis=1)))
        raise ValueError(
            "`prompt` embeddings must be finite. "
            f"Received: NaN or infinity in the embedding at index {first}"
        )
    return stacked


def check_prompt_arrays(
    prompt: Mapping[str, Any],
    picture_size: tuple[int, int] | None = None,
    prompt_dim: int | None = None,
) -> dict[str, np.ndarray]:
    """Checks a dict of prompts in the model's form, which become NumPy arrays.

    `picture_size` is height and width of the model's pictures; `None` where it takes none.
    """
    embedded = [key for key in _ONE_OF if key in prompt]
    is_prompt = len(embedded) == 1 or (not embedded and "prompt_audio" in prompt)
    if not is_prompt or not set(prompt) <= set(_FORMS):
        raise ValueError(
            f"`prompt` as a dict must hold one of {_ONE_OF}, or `prompt_audio`, or one of them and "
            "`prompt_audio` with `prompt_audio_weight`. "
            f"Received: prompt with keys {sorted(map(str, prompt))}"
        )
    arrays = {}
    for key, value in prompt.items():
        arrays[key] = _as_array(value, f"prompt['{key}']", _FORMS[key])
        _check_shape(key, arrays[key], picture_size, prompt_dim)
        _check_values(key, arrays[key])
    counts = {key: len(array) for key, array in arrays.items()}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        raise ValueError(
            "The arrays of `prompt` must be of one batch, not empty. "
            f"Received: `prompt` with batches of {counts}"
        )
    return {
        key: array if key == "token_ids" else array.astype("float32")
        for key, array in arrays.items()
    }


def _as_array(value: Any, name: str, form: str) -> np.ndarray:
    if not isinstance(value, (str, bytes)) and value is not None:
        with contextlib.suppress(TypeError):
            return to_numpy(value, name)
    raise TypeError(
        f"`{name}` must be an array of numbers of shape {form}. Received: {name}={value!r}"
    )


def _check_shape(
    key: str, array: np.ndarray, picture_size: tuple[int, int] | None, prompt_dim: int | None
) -> None:
    """Refuses another rank, and another size where the model's is known."""
    form = _FORMS[key]
    fits = array.ndim == form.count(",") + (not form.endswith(",)"))
    if key == "images":
        if picture_size is None:
            raise ValueError(
                "`prompt` must be an embedding: this model has no image encoder. "
                f"Received: prompt['images'].shape={array.shape}"
            )
        form = f"(batch, {picture_size[0]}, {picture_size[1]}, 3)"
        fits = fits and array.shape[1:] == (*picture_size, 3)
    elif key == "prompt_embedding" and prompt_dim:
        form = f"(batch, {prompt_dim})"
        fits = fits and array.shape[1] == prompt_dim
    if not fits:
        raise ValueError(
            f"`prompt['{key}']` must have shape {form}. Received: prompt['{key}'].shape="
            f"{array.shape}"
        )


def _check_values(key: str, array: np.ndarray) -> None:
    """Refuses values that are not finite, or beyond the range of pictures, weights and tokens."""
    if key == "token_ids" and array.dtype.kind not in "iu":
        raise ValueError(
            "`prompt['token_ids']` must hold whole numbers. "
            f"Received: prompt['token_ids'].dtype={array.dtype}"
        )
    within = key in ("images", "prompt_audio_weight")
    right = (array >= 0) & (array <= 1) if within else np.isfinite(array)
    if not right.all():
        raise ValueError(
            f"`prompt['{key}']` must be {'in [0, 1]' if within else 'finite'}. "
            f"Received: prompt['{key}'] from {array.min()} to {array.max()}"
        )
