"""Checks of what the figures are given."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import transpose_hint
from keras_avssan.evaluation.examples import SeparationExample


def as_array(name: str, value: ArrayLike, shape: tuple[int | None, ...]) -> np.ndarray:
    """Returns `value` as a finite float array, or tells how its shape differs from `shape`.

    Args:
        name: The argument's name, for the error.
        value: What was given.
        shape: The expected shape; `None` stands for any positive size.

    Returns:
        The array in float64.

    Raises:
        ValueError: If rank or a size differs, or a value is not finite.
    """
    array = np.asarray(value, dtype=np.float64)
    fits = array.ndim == len(shape) and all(
        size > 0 if expected is None else size == expected
        for size, expected in zip(array.shape, shape, strict=True)
    )
    if not fits:
        hint = transpose_hint(array.shape) if shape[-1] == 2 else ""
        raise ValueError(f"`{name}` must have shape {shape}. Received: shape {array.shape}.{hint}")
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite. Received: NaN or infinite values")
    return array


def as_responses(name: str, value: ArrayLike) -> np.ndarray:
    """Returns impulse responses of shape `(M, length)` or `(length,)` as float64 `(M, length)`.

    Tensors of any backend are taken too. A response that is silent throughout is refused.
    """
    array = np.asarray(keras.ops.convert_to_numpy(value), dtype=np.float64)
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(
            f"`{name}` must have shape (length,) or (M, length). Received: shape {array.shape}"
        )
    array = as_array(name, np.atleast_2d(array), (None, None))
    silent = np.flatnonzero(~array.any(axis=1))
    if len(silent):
        raise ValueError(f"`{name}` must not be silent. Received: only zeros in row {silent[0]}")
    return array


def as_angle(name: str, degrees: float | None) -> float | None:
    """Returns `degrees` as a float within 0 to 180, or `None` where none was given."""
    if degrees is None:
        return None
    angle = float(degrees)
    if not 0.0 <= angle <= 180.0:
        raise ValueError(f"`{name}` must lie within 0 to 180 degrees. Received: {degrees}")
    return angle


def entry(explanation: Mapping[str, Any], key: str) -> Any:
    """Returns `explanation[key]`, or tells which keys there are."""
    if not isinstance(explanation, Mapping):
        raise TypeError(
            "`explanation` must be the dictionary that `model.explain` returns. "
            f"Received: {type(explanation).__name__}"
        )
    if key not in explanation:
        raise ValueError(f"`explanation` must hold {key!r}. Received keys: {sorted(explanation)}")
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
        raise TypeError(f"`{name}` must hold `SeparationExample`s. Received: {others[0]}")
    if not examples:
        raise ValueError(f"`{name}` must hold at least one example. Received: none")
    return examples
