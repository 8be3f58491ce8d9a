"""Checks of the arguments of figures."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import transpose_hint
from keras_avssan.evaluation.examples import SeparationExample


def as_array(name: str, value: ArrayLike, shape: tuple[int | None, ...]) -> np.ndarray:
    """Returns `value` as a finite float64 array of `shape`, in which `None` is any positive size.

    Raises a ValueError that states the difference.
    """
    array = np.asarray(value, dtype=np.float64)
    fits = array.ndim == len(shape) and all(
        size > 0 if expected is None else size == expected
        for size, expected in zip(array.shape, shape, strict=True)
    )
    if not fits:
        hint = transpose_hint(array.shape) if shape[-1] == 2 else ""
        raise ValueError(
            f"`{name}` must have shape {shape}.{hint} Received: {name} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite. Received: {name} with NaN or infinite values")
    return array


def as_responses(name: str, value: ArrayLike) -> np.ndarray:
    """Returns impulse responses of shape `(M, length)` or `(length,)` as float64 `(M, length)`.

    Accepts tensors of any backend; raises a ValueError for a silent response.
    """
    array = np.asarray(keras.ops.convert_to_numpy(value), dtype=np.float64)
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(
            f"`{name}` must have shape (length,) or (M, length). "
            f"Received: {name} of shape {array.shape}"
        )
    array = as_array(name, np.atleast_2d(array), (None, None))
    silent = np.flatnonzero(~array.any(axis=1))
    if len(silent):
        raise ValueError(f"`{name}` must not be silent. Received: {name}[{silent[0]}] of zeros")
    return array


def as_angle(name: str, degrees: float | None) -> float | None:
    """Returns `degrees` as a float within 0 to 180, or `None` for `None`."""
    if degrees is None:
        return None
    angle = float(degrees)
    if not 0.0 <= angle <= 180.0:
        raise ValueError(f"`{name}` must lie within 0 to 180 degrees. Received: {name}={degrees}")
    return angle


def entry(explanation: Mapping[str, Any], key: str) -> Any:
    """Returns `explanation[key]`, or raises a ValueError that lists the keys."""
    if not isinstance(explanation, Mapping):
        raise TypeError(
            "`explanation` must be the dictionary that `model.explain` returns. "
            f"Received: explanation of type {type(explanation).__name__}"
        )
    if key not in explanation:
        raise ValueError(
            f"`explanation` must hold {key!r}. "
            f"Received: explanation with keys {sorted(explanation)}"
        )
    return explanation[key]


def frame_times(explanation: Mapping[str, Any], frames: int) -> np.ndarray:
    """Returns the times in seconds of the centres of the first `frames` frames."""
    hop = entry(explanation, "hop_length") / entry(explanation, "sampling_rate")
    return np.arange(frames) * hop


def as_examples(name: str, examples: Any) -> list[SeparationExample]:
    """Returns `examples` as a list of `SeparationExample` that is not empty."""
    if isinstance(examples, SeparationExample):
        examples = [examples]
    examples = list(examples)
    others = [type(one).__name__ for one in examples if not isinstance(one, SeparationExample)]
    if others:
        raise TypeError(
            f"`{name}` must hold `SeparationExample`s. Received: an entry of type {others[0]}"
        )
    if not examples:
        raise ValueError(f"`{name}` must hold at least one example. Received: {name}=[]")
    return examples
