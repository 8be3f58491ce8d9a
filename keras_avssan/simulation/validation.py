"""Checks of positions, sizes and times of the room simulation."""

import numpy as np
from keras import ops

from keras_avssan._internal.types import Tensor


def known_values(value: Tensor, name: str | None = None) -> Tensor:
    """Returns the values of an array or a tensor, also of one that is being differentiated.

    In a traced function it returns `None`, or with the argument's `name` raises a ValueError.
    """
    if not ops.is_tensor(value):
        return np.asarray(value)
    try:
        return ops.convert_to_numpy(ops.stop_gradient(value))
    except (TypeError, NotImplementedError) as error:
        if name is None:
            return None
        raise ValueError(
            f"`{name}` chooses the images and must have known values, constants in a function "
            f"that is being traced. Received: {name}={value}"
        ) from error


def check_room_size(room_size: Tensor, name: str = "room_size") -> np.ndarray:
    """Returns `room_size` as float64 with a last axis of three positive lengths in metres."""
    size = np.asarray(room_size, dtype="float64")
    if size.ndim == 0 or size.shape[-1] != 3:
        raise ValueError(
            f"`{name}` must end in three lengths (x, y, z) in metres. "
            f"Received: {name} of shape {size.shape}"
        )
    _refuse(~np.all(np.isfinite(size) & (size > 0), axis=-1), size, name, "finite and positive")
    return size


def check_positive(value: Tensor, name: str) -> np.ndarray:
    """Returns `value` as float64 after checking that all of it is finite and above zero."""
    array = np.asarray(value, dtype="float64")
    _refuse(~(np.isfinite(array) & (array > 0)), array, name, "finite and positive")
    return array


def check_absorption(value: Tensor) -> np.ndarray:
    """Returns the wall absorption as float64 after checking that it lies in (0, 1]."""
    array = np.asarray(value, dtype="float64")
    _refuse(~((array > 0) & (array <= 1)), array, "absorption", "in (0, 1], a share of energy")
    return array


def check_reflection(value: Tensor) -> np.ndarray:
    """Returns reflection coefficients as float64 after checking that they lie in (-1, 1)."""
    array = np.asarray(value, dtype="float64")
    _refuse(~(abs(array) < 1), array, "reflection", "in (-1, 1)")
    return array


def check_inside(positions: Tensor, room_size: np.ndarray, name: str) -> np.ndarray:
    """Returns `positions` as float64 after checking that each is inside the room, not on a wall."""
    positions = np.asarray(positions, dtype="float64")
    if not np.all(np.isfinite(positions)):
        first = _first(~np.isfinite(positions).all(axis=-1))
        raise ValueError(f"`{name}` must be finite. Received: {name}={_at(positions, first)}")
    outside = np.any((positions <= 0) | (positions >= room_size), axis=-1)
    if np.any(outside):
        first = _first(outside)
        size = np.broadcast_to(room_size, positions.shape)[first]
        raise ValueError(
            f"`{name}` must lie inside the room and not on a wall. Received: "
            f"{name}={_at(positions, first)}, in a room of {size.tolist()} m"
        )
    return positions


def check_distinct_microphones(microphones: np.ndarray) -> None:
    """Checks that no two microphones `(..., M, 3)` of one room share a point."""
    differences = microphones[..., :, None, :] - microphones[..., None, :, :]
    coincide = np.triu(np.all(differences == 0, axis=-1), k=1)
    if np.any(coincide):
        room, pair = _first(coincide)[:-2], _first(coincide)[-2:]
        where = f" at batch index {room[0]}" if room else ""
        raise ValueError(
            f"`microphones` must be distinct points. Received: microphones {pair[0]} and {pair[1]} "
            f"in one point, {microphones[room + pair[:1]].tolist()}{where}"
        )


def check_distinct_source(sources: np.ndarray, microphones: np.ndarray) -> None:
    """Checks that no source `(batch, S, 3)` is where a microphone `(batch, M, 3)` is."""
    coincide = np.any(np.all(sources[:, :, None] == microphones[:, None], axis=-1), axis=-1)
    if np.any(coincide):
        raise ValueError(
            "`source` must not share a point with a microphone. Received: "
            f"source={_at(sources, _first(coincide))}"
        )


def _refuse(wrong: np.ndarray, values: np.ndarray, name: str, expected: str) -> None:
    """Raises a ValueError for the first value that is marked as wrong."""
    if np.any(wrong):
        raise ValueError(
            f"`{name}` must be {expected}. Received: {name}={_at(values, _first(wrong))}"
        )


def _first(found: np.ndarray) -> tuple[int, ...]:
    return tuple(int(index) for index in np.argwhere(found)[0])


def _at(values: np.ndarray, index: tuple[int, ...]) -> str:
    """The values at an index, with the index if there is one."""
    return f"{values[index].tolist()}" + (f" at index {list(index)}" if index else "")
