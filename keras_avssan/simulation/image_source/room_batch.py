"""Arguments of a simulation as one batch of rooms."""

import dataclasses
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_avssan._internal.types import Tensor
from keras_avssan.simulation.validation import (
    check_distinct_microphones,
    check_distinct_source,
    check_inside,
    check_room_size,
    known_values,
)

# Accepted shapes by number of axes.
_SHAPES = {
    "room_size": {1: "(3,)", 2: "(batch, 3)"},
    "source": {1: "(3,)", 2: "(batch, 3)", 3: "(batch, S, 3)"},
    "source_orientation": {1: "(3,)", 2: "(batch, 3)", 3: "(batch, S, 3)"},
    "microphones": {2: "(M, 3)", 3: "(batch, M, 3)"},
    "microphone_orientation": {1: "(3,)", 2: "(M, 3)", 3: "(batch, M, 3)"},
}


@dataclasses.dataclass(frozen=True, eq=False)
class RoomBatch:
    """B rooms with S sources and M microphones each."""

    known_size: np.ndarray  # lengths in metres, float64, (B, 3)
    size: Tensor  # the same, through which gradients flow
    sources: Tensor  # positions in metres, (B, S, 3)
    microphones: Tensor  # positions in metres, (B, M, 3)
    reflection: Tensor  # coefficients of the walls, (B, 6)
    source_orientation: Tensor | None  # unit vectors, (B, S, 3)
    microphone_orientation: Tensor | None  # unit vectors, (B, M, 3)
    duration: np.ndarray  # seconds of the simulation, (B,)
    image_duration: np.ndarray  # seconds until which images are simulated, (B,)
    seeds: np.ndarray  # of the noise of each room, (B,)

    @classmethod
    def of(
        cls,
        room_size: Tensor,
        source: Tensor,
        microphones: Tensor,
        reflection: Tensor,
        duration: np.ndarray,
        image_duration: np.ndarray,
        source_orientation: Tensor | None = None,
        microphone_orientation: Tensor | None = None,
        seed: ArrayLike = 0,
    ) -> tuple["RoomBatch", tuple[int, ...]]:
        """Combines and checks the arguments of `simulate_rirs`; walls are `(1, 6)` or `(batch, 6)`.

        Also returns the leading axes of the result, in place of `(B, S)`.
        """
        known_size = check_room_size(known_values(room_size, "room_size"))
        source = _tensor(source, "source")
        has_sources = len(source.shape) == 3
        values = {
            "size": _all_axes(_tensor(room_size, "room_size"), 2),
            "sources": source if has_sources else ops.reshape(source, (-1, 1, 3)),
            "microphones": _all_axes(_tensor(microphones, "microphones"), 3),
            "reflection": reflection,
            "duration": np.atleast_1d(duration),
            "image_duration": np.atleast_1d(image_duration),
        }
        if source_orientation is not None:
            direction = _unit_vectors(source_orientation, "source_orientation")
            if len(direction.shape) < 3:
                direction = ops.reshape(direction, (-1, 1, 3))
            values["source_orientation"] = direction
        if microphone_orientation is not None:
            direction = _unit_vectors(microphone_orientation, "microphone_orientation")
            values["microphone_orientation"] = _all_axes(direction, 3)
        seed = _checked_seed(seed)
        batch = _common_size({**values, "seed": seed} if seed.ndim else values)
        result_axes = (batch, source.shape[1]) if has_sources else (batch,)
        if not has_sources and batch == values["sources"].shape[0]:
            values, batch = _as_one_room(values)
        num = {"sources": values["sources"].shape[1], "microphones": values["microphones"].shape[1]}
        values = {
            name: _broadcast(value, batch, num.get(name.replace("_orientation", "s")), name)
            for name, value in values.items()
        }
        known_size = np.broadcast_to(known_size, (batch, 3))
        _check_positions(known_size, values["sources"], values["microphones"])
        seeds = seed if seed.ndim else _derived_seeds(int(seed), batch)
        defaults = {"source_orientation": None, "microphone_orientation": None}
        return cls(known_size=known_size, seeds=seeds, **{**defaults, **values}), result_axes

    def take(self, rows: np.ndarray, sources: slice) -> "RoomBatch":
        """Some of the rooms, with some of their sources."""
        parts = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value = value[rows]
            elif value is not None:
                value = ops.take(value, rows.astype("int32"), axis=0)
            if field.name in ("sources", "source_orientation") and value is not None:
                value = value[:, sources]
            parts[field.name] = value
        return RoomBatch(**parts)


def _tensor(value: Tensor, name: str) -> Tensor:
    tensor = ops.convert_to_tensor(value, dtype="float32")
    shape, expected = tuple(tensor.shape), _SHAPES[name]
    if len(shape) not in expected or shape[-1] != 3 or 0 in shape:
        raise ValueError(
            f"`{name}` must have shape {' or '.join(expected.values())}. "
            f"Received: {name} of shape {shape}"
        )
    return tensor


def _all_axes(tensor: Tensor, rank: int) -> Tensor:
    """Adds leading axes of one."""
    return ops.reshape(tensor, (*(1,) * (rank - len(tensor.shape)), *tensor.shape))


def _unit_vectors(value: Tensor, name: str) -> Tensor:
    vectors = _tensor(value, name)
    known = known_values(vectors)
    if known is not None and not (np.isfinite(known).all() and known.any(axis=-1).all()):
        raise ValueError(
            f"`{name}` must be finite and other than zero. Received: {name}={known.tolist()}"
        )
    return vectors / ops.norm(vectors, axis=-1, keepdims=True)


def _common_size(values: dict[str, Any]) -> int:
    sizes = {name: int(value.shape[0]) for name, value in values.items()}
    if len(set(sizes.values()) - {1}) > 1:
        raise ValueError(
            f"The arguments must have the same batch size, or 1. Received: batch sizes {sizes}"
        )
    return max(sizes.values())


def _as_one_room(values: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Turns a batch of sources in one room into sources of this room, to find its images once."""
    alone = [value.shape[0] for name, value in values.items() if not name.startswith("source")]
    if max(alone) > 1:
        return values, values["sources"].shape[0]
    swapped = {
        name: ops.swapaxes(value, 0, 1) if name.startswith("source") else value
        for name, value in values.items()
    }
    return swapped, 1


def _broadcast(value: Tensor, batch: int, num: int | None, name: str) -> Tensor:
    if isinstance(value, np.ndarray):
        return np.broadcast_to(value, (batch, *value.shape[1:]))
    shape = [batch, *value.shape[1:]]
    if num is not None:
        if value.shape[1] not in (1, num):
            raise ValueError(
                f"`{name}` must hold one direction, or {num}. "
                f"Received: {name} of shape {tuple(value.shape)}"
            )
        shape[1] = num
    return ops.broadcast_to(value, shape)


def _check_positions(size: np.ndarray, sources: Tensor, microphones: Tensor) -> None:
    """Checks the positions if their values are known, that is outside of a traced function."""
    sources, microphones = known_values(sources), known_values(microphones)
    if sources is not None:
        check_inside(sources, size[:, None], "source")
    if microphones is not None:
        check_inside(microphones, size[:, None], "microphones")
        check_distinct_microphones(microphones)
    if sources is not None and microphones is not None:
        check_distinct_source(sources, microphones)


def _checked_seed(seed: ArrayLike) -> np.ndarray:
    seed = np.asarray(seed)
    if seed.ndim > 1 or not np.issubdtype(seed.dtype, np.integer) or (seed < 0).any():
        raise ValueError(
            "`seed` must be an integer of zero or more, or one for each room. "
            f"Received: seed={seed.tolist()}"
        )
    return seed


def _derived_seeds(seed: int, batch: int) -> np.ndarray:
    """A seed for each room of a batch."""
    sequences = (np.random.SeedSequence([seed, row]) for row in range(batch))
    return np.array([sequence.generate_state(1)[0] for sequence in sequences])
