"""Checks of arguments that all parts of the library share."""

import os
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from keras_avssan._internal.types import PathLike

_MOST_INTEGER = 2**63 - 1


def check_integer(name: str, value: Any, least: int = 0) -> int:
    """Returns `value` as an int; raises a ValueError if it is not whole or is below `least`.

    Numbers that 64 bits do not hold are refused too.
    """
    # By comparisons, which Python makes for integers of any size, as NumPy does not.
    if _is_number(value) and value > _MOST_INTEGER and value < np.inf:
        raise ValueError(
            f"`{name}` must be an integer of at most {_MOST_INTEGER}. Received: {name}={value!r}"
        )
    if not _is_number(value) or not least <= value < np.inf or value != int(value):
        raise ValueError(
            f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}"
        )
    return int(value)


def check_number(name: str, value: Any, least: float, most: float) -> float:
    """Returns `value` as a float; raises a ValueError if it is outside of the range."""
    if not _is_number(value) or not least <= value <= most:
        raise ValueError(
            f"`{name}` must be a number from {least:g} to {most:g}. Received: {name}={value!r}"
        )
    return float(value)


def check_positive_number(name: str, value: Any, kind: str = "number") -> None:
    """Raises a ValueError unless `value` is a finite number above 0; `kind` says of what."""
    if not _is_number(value) or not 0 < value < np.inf:
        raise ValueError(f"`{name}` must be a positive {kind}. Received: {name}={value!r}")


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuses a value that is none of the choices."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")


def check_flag(name: str, value: Any) -> None:
    """Raises a TypeError unless `value` is `True` or `False`."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be `True` or `False`. Received: {name}={value!r}")


def path_of(name: str, value: Any, kind: str = "path") -> str:
    """Returns a path as a string; raises a TypeError for anything else; `kind` says of what."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"`{name}` must be a {kind}. Received: {name}={value!r}")
    return os.fspath(value)


def check_gain(name: str, value: Any) -> float | None:
    """Returns `value` as a float, or `None`; a ValueError unless it is finite and not negative."""
    if value is None:
        return None
    if not _is_number(value) or not 0 <= value < np.inf:
        raise ValueError(
            f"`{name}` must be a finite number of at least 0, or None. Received: {name}={value!r}"
        )
    return float(value)


def preset_string(preset: PathLike) -> str:
    """A preset as a string: a path object is a folder, never a name; a TypeError otherwise."""
    text = path_of("preset", preset, "name, an address or a path")
    return text if isinstance(preset, str) else os.path.join(os.curdir, text)


def unknown_argument(owner: str, name: str, value: str) -> TypeError:
    """The error about an argument that a class, `owner`, does not take; `value` is its `repr`."""
    return TypeError(f"`{owner}` takes no argument `{name}`. Received: {name}={value}")


def known_size(name: str, shape: Sequence[int | None], axis: int, content: str) -> int:
    """Size of an axis, the number of `content`, that a layer of such inputs needs.

    Raises a ValueError if the shape, the argument `name`, has no such axis or size.
    """
    size = shape[axis] if -len(shape) <= axis < len(shape) else None
    if size is None:
        raise ValueError(
            f"The number of {content}, axis {axis} of `{name}`, must be known when the layer is "
            f"built. Received: {name}={tuple(shape)}"
        )
    return size


def check_has_audio(inputs: Any) -> None:
    """Raises a TypeError unless the inputs of a call are a dict with `audio`."""
    if not isinstance(inputs, dict) or "audio" not in inputs:
        keys = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
        raise TypeError(f"`inputs` must be a dict with `audio`. Received: inputs={keys}")


def check_shape(name: str, shape: Sequence[Any], axes: str, sizes: Sequence[Any]) -> None:
    """Raises a ValueError unless a shape fits the sizes; sizes that are not known fit any.

    The first axis, the batch, may be 1; `axes` names all of them, for the message.
    """
    unlike = [
        axis
        for axis, (size, wanted) in enumerate(zip(shape, sizes, strict=False))
        if isinstance(size, int) and isinstance(wanted, int) and size != wanted
        if axis or 1 not in (size, wanted)
    ]
    if len(shape) != len(sizes) or unlike:
        known = ", ".join(str(size) if isinstance(size, int) else "any" for size in sizes)
        raise ValueError(
            f"`{name}` must have shape ({axes}), here ({known}). "
            f"Received: {name}.shape={tuple(shape)}"
        )


def transpose_hint(shape: Sequence[Any], last: str = "microphones") -> str:
    """A sentence for errors on arrays (…, 2, samples) in place of (…, samples, 2); else empty.

    `last` is the name of the last axis.
    """
    sides = tuple(shape)[-2:]
    if len(sides) < 2 or not all(isinstance(side, int) for side in sides):
        return ""
    if not 1 <= sides[0] <= 8 or sides[0] >= sides[1]:
        return ""
    return f" The {last} must be the last axis: transpose it, `np.swapaxes(array, -1, -2)`."


def refuse_presence(model: object) -> NoReturn:
    """Raises the ValueError of `localize` for models without the output `presence`."""
    raise ValueError(
        "`return_presence` needs a network with candidates, `AVSSAN(num_candidates=...)` with a "
        f"number above 0, whose outputs hold `presence`. Received: model={model!r}"
    )


def gives_presence(model: Any) -> bool:
    """Whether a model has the output `presence`; of its own networks, those with candidates."""
    return "presence" in (getattr(model, "output", None) or ())


def _is_number(value: Any) -> bool:
    """Whether a value is a real number of Python or NumPy; `True` and `False` are not."""
    real = isinstance(value, (int, float, np.integer, np.floating))
    return real and not isinstance(value, bool)
