"""Sum over all images of the sources, on an oversampled time grid."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from keras_avssan._internal.backend import compiled, scatter_add
from keras_avssan._internal.types import Tensor
from keras_avssan.simulation.image_source.image_cells import ImageCells, round_up
from keras_avssan.simulation.image_source.image_lattice import BLOCK, ImageLattice
from keras_avssan.simulation.image_source.room_batch import RoomBatch
from keras_avssan.simulation.oversampling import FRAME, OVERSAMPLING, decimate

# Largest sizes of one computation: bins of the fine time grids of several responses, and pairs of
# an image and a response.
_MAX_BINS = 2**22
_MAX_PAIRS = 2**20

# Lengths are rounded up to multiples of this, so that few shapes are compiled.
_SAMPLES_STEP = 64 * FRAME

# Keeps the logarithm of a reflection coefficient of zero finite.
_TINY = 1e-20


@dataclasses.dataclass(frozen=True)
class Patterns:
    """Shares of the omnidirectional part in the gain of sources and microphones."""

    source: float = 1.0
    microphone: float = 1.0


def sum_images(
    rooms: RoomBatch,
    samples: np.ndarray,
    length: int,
    samples_per_metre: float,
    max_order: int | None,
    patterns: Patterns,
) -> Tensor:
    """Responses `(B, S, M, length)` made of all images that arrive in time.

    Images arrive until `samples` `(B,)`, after which responses are zero.
    """
    bins_per_metre = samples_per_metre * OVERSAMPLING
    responses, numbers = [], []
    num_sources = rooms.sources.shape[1]
    for group in _groups(rooms, samples, samples_per_metre, max_order):
        part = [
            _sum_group(group, rooms.take(group.rows, sources), bins_per_metre, max_order, patterns)
            for sources in group.source_slices(num_sources)
        ]
        response = ops.concatenate(part, axis=1)
        padded = response.shape[-1]
        response = ops.pad(response, ((0, 0),) * 3 + ((0, max(0, length - padded)),))
        responses.append(response[..., :length])
        numbers.append(group.rows)
    back = np.argsort(np.concatenate(numbers)).astype("int32")
    return ops.take(ops.concatenate(responses, axis=0), back, axis=0)


# --- which rooms are computed together -------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class _Group:
    """Rooms that are computed together."""

    padded: int  # samples of the time grid
    rows: np.ndarray  # numbers of the rooms
    samples: np.ndarray  # until which images arrive, for each room
    cells: ImageCells  # the images of all these rooms
    max_sources: int  # number of sources that are computed together

    def source_slices(self, num_sources: int) -> Iterator[slice]:
        """Yields the sources that are computed together."""
        for start in range(0, num_sources, self.max_sources):
            yield slice(start, start + self.max_sources)


def _groups(
    rooms: RoomBatch, samples: np.ndarray, samples_per_metre: float, max_order: int | None
) -> Iterator[_Group]:
    """Yields small rooms together, large ones alone, and the largest with few sources at a time."""
    num_sources, num_microphones = rooms.sources.shape[1], rooms.microphones.shape[1]
    lattices: dict[tuple[Any, ...], ImageLattice] = {}
    rows: list[int] = []
    found: list[ImageLattice] = []
    pairs = 0
    padded = [round_up(int(number) + 1, _SAMPLES_STEP) for number in samples]

    def group() -> _Group:
        bins = padded[rows[-1]] * OVERSAMPLING * num_microphones
        return _Group(
            padded[rows[-1]],
            np.array(rows),
            samples[rows],
            ImageCells.of(found),
            max(1, _MAX_BINS // bins),
        )

    for row in np.argsort(padded, kind="stable"):
        key = (*rooms.known_size[row], samples[row])
        if key not in lattices:
            radius = samples[row] / samples_per_metre
            lattices = {key: ImageLattice.within(rooms.known_size[row], radius, max_order)}
        images = len(lattices[key].x) * BLOCK * num_sources * num_microphones
        bins = padded[row] * OVERSAMPLING * num_sources * num_microphones * (len(rows) + 1)
        if rows and (pairs + images > _MAX_PAIRS or bins > _MAX_BINS):
            yield group()
            rows, found, pairs = [], [], 0
        rows.append(int(row))
        found.append(lattices[key])
        pairs += images
    if rows:
        yield group()


# --- one group ----------------------------------------------------------------------------------


def _sum_group(
    group: _Group,
    rooms: RoomBatch,
    bins_per_metre: float,
    max_order: int | None,
    patterns: Patterns,
) -> Tensor:
    """Responses `(B, S, M, padded samples)` of the rooms of a group."""
    batch, num_sources = rooms.sources.shape[:2]
    channels = num_sources * rooms.microphones.shape[1]
    bins = group.padded * OVERSAMPLING
    ends = (group.samples * OVERSAMPLING).astype("float32")
    tables = _tables(group.cells, rooms, bins_per_metre, max_order, patterns)
    responses = _tensor(np.arange(channels, dtype="int32") * bins)
    grid = ops.zeros((batch * channels * bins,), dtype="float32")
    for x, y, z, room in group.cells.chunks(max(1, _MAX_PAIRS // (BLOCK * channels))):
        begins = room * np.int32(channels * bins)
        index, amplitude = _locate_images(
            tables, *map(_tensor, (x, y, z, begins, ends[room])), responses
        )
        grid = scatter_add(grid, index, amplitude)
    in_grid = (np.arange(bins) < ends[:, None]).astype("float32")
    in_time = (np.arange(group.padded) < group.samples[:, None]).astype("float32")
    in_time *= bins_per_metre / (4 * math.pi)
    sums = decimate(ops.reshape(grid, (batch, channels, bins)) * _tensor(in_grid)[:, None])
    sums = sums * _tensor(in_time)[:, None]
    return ops.reshape(sums, (batch, num_sources, channels // num_sources, group.padded))


def _tables(
    cells: ImageCells,
    rooms: RoomBatch,
    bins_per_metre: float,
    max_order: int | None,
    patterns: Patterns,
) -> dict[str, Any]:
    """Tables by cell along one axis: `squares` of offsets `(S * M, cells)`, `gains` `(cells,)`.

    `orders`, and offsets along orientations, are there if they are needed.
    """
    odd = cells.number % 2
    ahead, behind = np.maximum(cells.number, 0), np.maximum(-cells.number, 0)
    near_hits, far_hits = ahead // 2 + (behind + 1) // 2, (ahead + 1) // 2 + behind // 2
    place, wall = (cells.room * n + cells.axis * (n // 3) for n in (3, 6))
    direction = (1 - 2 * odd).astype("float32")
    place, direction = _tensor(place.astype("int32")), _tensor(direction)
    offsets = _offsets(
        *(rooms.size, rooms.sources, rooms.microphones, bins_per_metre),
        *(_tensor((cells.number + odd).astype("float32")), direction, place),
    )
    gains = _gains(
        rooms.reflection,
        *map(_tensor, (wall.astype("int32"), (wall + 1).astype("int32"))),
        *map(_tensor, (near_hits.astype("float32"), far_hits.astype("float32"))),
        _tensor(cells.is_cell),
    )
    tables = {"squares": ops.square(_flat(offsets)), "gains": gains}
    if max_order is not None:
        tables["orders"] = _tensor(abs(cells.number).astype("float32"))
        tables["max_order"] = float(max_order)
    if patterns.microphone != 1:
        assert rooms.microphone_orientation is not None
        orientation = rooms.microphone_orientation[:, None]
        tables["microphone"] = _flat(_projections(offsets, orientation, place))
        tables["microphone_share"] = patterns.microphone
    if patterns.source != 1:
        assert rooms.source_orientation is not None
        # Seen from the source; its images are mirrored, and so is where they point.
        orientation = rooms.source_orientation[:, :, None]
        tables["source"] = _flat(_projections(-direction * offsets, orientation, place))
        tables["source_share"] = patterns.source
    return tables


@compiled
def _offsets(
    size: Tensor,
    sources: Tensor,
    microphones: Tensor,
    bins_per_metre: float,
    sides: Tensor,
    direction: Tensor,
    place: Tensor,
) -> Tensor:
    """Offsets `(S, M, cells)` along one axis from the microphones to the sources' images, in bins.

    `sides` and `direction` locate the mirrored room of a cell, `place` its coordinate in `B * 3`.
    """
    origin = sides * ops.take(ops.reshape(size, (-1,)), place)
    images = origin + direction * _coordinates(sources, place)
    return (images[:, None] - _coordinates(microphones, place)) * bins_per_metre


def _flat(table: Tensor) -> Tensor:
    return ops.reshape(table, (-1, table.shape[-1]))


def _coordinates(positions: Tensor, place: Tensor) -> Tensor:
    """Coordinates `(n, cells)` of positions `(B, n, 3)`."""
    flat = ops.reshape(ops.transpose(positions, (1, 0, 2)), (positions.shape[1], -1))
    return ops.take(flat, place, axis=1)


@compiled
def _gains(
    reflection: Tensor,
    near: Tensor,
    far: Tensor,
    near_hits: Tensor,
    far_hits: Tensor,
    is_cell: Tensor,
) -> Tensor:
    """Product of the coefficients `(B, 6)` of the two walls of an axis, each by its hits."""
    flat = ops.reshape(reflection, (-1,))
    gain = is_cell
    for wall, hits in ((near, near_hits), (far, far_hits)):
        coefficient = ops.take(flat, wall)
        turned = ops.logical_and(coefficient < 0, ops.mod(hits, 2.0) == 1)
        size = ops.exp(hits * ops.log(ops.maximum(ops.abs(coefficient), _TINY)))
        gain = gain * ops.where(turned, -size, size)
    return gain


def _projections(offsets: Tensor, orientation: Tensor, place: Tensor) -> Tensor:
    """Offsets along orientations `(B, S or 1, M or 1, 3)`."""
    batch, num_sources, num_microphones, _ = orientation.shape
    flat = ops.reshape(orientation, (batch, num_sources * num_microphones, 3))
    along = ops.reshape(_coordinates(flat, place), (num_sources, num_microphones, -1))
    return along * offsets


@compiled
def _locate_images(
    tables: dict[str, Any],
    x: Tensor,
    y: Tensor,
    z: Tensor,
    begins: Tensor,
    ends: Tensor,
    responses: Tensor,
) -> tuple[Tensor, Tensor]:
    """Bins of n blocks of images in all responses, and the amplitudes added to them.

    Images after `ends` fall on the last bin; `begins` and `responses` are offsets in the grid.
    """

    def total(table: Tensor) -> Tensor:
        across = ops.take(table, x, axis=-1) + ops.take(table, y, axis=-1)
        return across[..., None] + ops.take(_blocks(table), z, axis=-2)

    gains = tables["gains"]
    gain = (ops.take(gains, x) * ops.take(gains, y))[:, None] * ops.take(_blocks(gains), z, axis=0)
    if "orders" in tables:
        gain = ops.where(total(tables["orders"]) <= tables["max_order"], gain, 0.0)
    position = ops.sqrt(total(tables["squares"]))
    amplitude = gain / position
    for side in ("source", "microphone"):
        if side in tables:
            share = tables[f"{side}_share"]
            amplitude = amplitude * (share + (1 - share) * total(tables[side]) / position)
    position = ops.minimum(position, ends[:, None])
    lower = ops.floor(position)
    late = amplitude * (position - lower)
    index = ops.cast(lower, "int32") + (begins[:, None] + responses[:, None, None])
    index = ops.stack([index, index + 1])
    return ops.reshape(index, (-1,)), ops.reshape(ops.stack([amplitude - late, late]), (-1,))


def _blocks(table: Tensor) -> Tensor:
    """Shape `(..., cells)` as `(..., cells / BLOCK, BLOCK)`."""
    return ops.reshape(table, (*table.shape[:-1], -1, BLOCK))


def _tensor(array: np.ndarray) -> Tensor:
    return ops.convert_to_tensor(array)
