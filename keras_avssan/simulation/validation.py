"""Checks of positions, sizes and times, shared by the parts of the room simulation."""

from typing import Any

import numpy as np


def check_room_size(room_size: Any, name: str = "room_size") -> np.ndarray:
    """Returns `room_size` as float64 with a last axis of three positive lengths in metres."""
    size = np.asarray(room_size, dtype="float64")
    if size.ndim == 0 or size.shape[-1] != 3:
        raise ValueError(
            f"`{name}` must end in three lengths (x, y, z) in metres. Received shape {size.shape}."
        )
    if not np.all(np.isfinite(size)) or np.any(size <= 0):
        raise ValueError(f"`{name}` must be finite and positive. Received: {size.tolist()}.")
    return size


def check_positive(value: Any, name: str) -> np.ndarray:
    """Returns `value` as float64 after checking that all of it is finite and above zero."""
    array = np.asarray(value, dtype="float64")
    if not np.all(np.isfinite(array)) or np.any(array <= 0):
        raise ValueError(f"`{name}` must be finite and positive. Received: {array.tolist()}.")
    return array


def check_absorption(value: Any) -> np.ndarray:
    """Returns the wall absorption as float64 after checking that it lies in (0, 1]."""
    array = np.asarray(value, dtype="float64")
    if not np.all((array > 0) & (array <= 1)):
        raise ValueError(
            f"`absorption` must lie in (0, 1]: a share of energy. Received: {array.tolist()}."
        )
    return array


def check_inside(positions: Any, room_size: np.ndarray, name: str) -> np.ndarray:
    """Returns `positions` as float64 after checking that each lies strictly inside the room.

    Args:
        positions: array of shape `(..., 3)`, in metres.
        room_size: array that broadcasts against `positions`.
        name: name of the argument, for the error message.
    """
    positions = np.asarray(positions, dtype="float64")
    if not np.all(np.isfinite(positions)):
        raise ValueError(f"`{name}` must be finite. Received: {positions.tolist()}.")
    outside = np.any((positions <= 0) | (positions >= room_size), axis=-1)
    if np.any(outside):
        first = tuple(np.argwhere(outside)[0])
        size = np.broadcast_to(room_size, positions.shape)[first]
        raise ValueError(
            f"`{name}` must lie inside the room and not on a wall. Received: "
            f"{positions[first].tolist()} in a room of {size.tolist()} m."
        )
    return positions


def check_distinct_microphones(microphones: np.ndarray) -> None:
    """Checks that no two microphones of one room share a point."""
    differences = microphones[..., :, None, :] - microphones[..., None, :, :]
    coincide = np.all(differences == 0, axis=-1)
    pairs = np.triu(np.ones(coincide.shape[-2:], dtype=bool), k=1)
    if np.any(coincide & pairs):
        raise ValueError(
            "`microphones` must be distinct points. Received two microphones in one point: "
            f"{microphones.tolist()}."
        )
