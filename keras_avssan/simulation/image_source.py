"""Room impulse responses of shoebox rooms by the image-source method."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from keras_avssan.simulation.absorption import (
    SPEED_OF_SOUND,
    eyring_decay_time,
    wall_absorption,
)
from keras_avssan.simulation.backend import compiled, scatter_add
from keras_avssan.simulation.validation import (
    check_absorption,
    check_distinct_microphones,
    check_inside,
    check_positive,
    check_room_size,
)

# Bins of the fine time grid in one sample. Linear interpolation between them errs by at most
# (pi / 16)^2 / 16 = 0.24 % of an image's amplitude at the Nyquist frequency, far less below.
_OVERSAMPLING = 16

# The low-pass is flat up to this share of the Nyquist frequency and falls to zero at it.
_PASSBAND = 0.92

# Samples of silence behind a response, in which the low-pass rings out before it wraps around.
_GUARD = 256

# Sizes are rounded up to multiples of these, so that compiled backends meet few shapes.
_SAMPLES_STEP = 2048
_CELLS_STEP = 64

# Neighbouring images along z that are found and computed together.
_BLOCK = 8

# Bounds on what is held at once: responses, pairs of an image and a response, and blocks of images
# among which those in reach are sought; and the least number of blocks computed together.
_MAX_RESPONSES = 64
_MAX_PAIRS = 2**20
_MAX_BLOCKS = 2**22
_MIN_BLOCKS = 2**10


def simulate_rirs(
    room_size: Any,
    source: Any,
    microphones: Any,
    *,
    t60: Any = None,
    absorption: Any = None,
    sampling_rate: int = 16000,
    duration: Any = None,
    length: int | None = None,
    max_order: int | None = None,
    formula: str = "sabine",
    speed_of_sound: float = SPEED_OF_SOUND,
) -> Any:
    """Simulates room impulse responses between sources and microphones in shoebox rooms.

    Every image of the source that arrives within the duration is added at its exact, fractional
    delay with the amplitude `reflection ** order / (4 * pi * distance)`, where the reflection
    coefficient `sqrt(1 - absorption)` is positive and the same for all six walls. Sample 0 is time
    0: there is no lag. The images are added to an oversampled time grid with linear interpolation;
    each response is then low-passed and decimated once.

    The computation runs on the Keras backend and is differentiable with respect to `source` and
    `microphones`. `room_size`, `t60` and `duration` choose the images and must have known values.

    Args:
        room_size: lengths of the room in metres, shape `(3,)` or `(batch, 3)`; the room spans from
            the origin to these lengths.
        source: position of the source in metres, shape `(3,)` or `(batch, 3)`.
        microphones: positions of the M microphones in metres, shape `(M, 3)` or `(batch, M, 3)`.
        t60: reverberation time in seconds, a number or shape `(batch,)`. Exactly one of `t60` and
            `absorption` is given.
        absorption: share of the energy that a wall takes, in (0, 1], a number or shape `(batch,)`.
        sampling_rate: in samples a second.
        duration: how long each room is followed, in seconds, a number or shape `(batch,)`. By
            default for its `t60`, or the decay time of its `absorption` by Eyring's formula.
        length: number of samples of the responses, as many as the longest duration takes where not
            given. Rooms that are followed for less have zeros at the end.
        max_order: only images of up to so many reflections, where given.
        formula: `"sabine"` or `"eyring"`: how `t60` becomes an absorption.
        speed_of_sound: in metres a second.

    Returns:
        float32 tensor of shape `(batch, M, length)`.

    Raises:
        ValueError: If a shape does not fit, a value is not finite or out of range, a source or
            microphone is not inside its room, two microphones share a point, a source shares one
            with a microphone, or a `t60` cannot be reached in its room.

    Example:
    >>> rirs = simulate_rirs(
    ...     room_size=(6.0, 5.0, 3.0),
    ...     source=(2.0, 3.0, 1.5),
    ...     microphones=[(4.1, 2.0, 1.5), (3.9, 2.0, 1.5)],
    ...     t60=0.3,
    ... )
    >>> tuple(rirs.shape)
    (1, 2, 4800)

    Reference:
        J. B. Allen and D. A. Berkley, Image method for efficiently simulating small-room
        acoustics, JASA 65, 1979.
    """
    size = check_room_size(_to_numpy(room_size))
    check_positive(sampling_rate, "sampling_rate")
    check_positive(speed_of_sound, "speed_of_sound")
    if max_order is not None and max_order < 0:
        raise ValueError(f"`max_order` must be zero or more. Received: {max_order}.")
    if length is not None and length < 1:
        raise ValueError(f"`length` must be at least 1. Received: {length}.")
    absorption, decay_time = _absorption(size, t60, absorption, formula, speed_of_sound)
    duration = decay_time if duration is None else check_positive(_to_numpy(duration), "duration")

    source = ops.convert_to_tensor(source, dtype="float32")
    microphones = ops.convert_to_tensor(microphones, dtype="float32")
    batch = _batch_size(size, source, microphones, absorption, duration)
    size = np.broadcast_to(size, (batch, 3))
    source = ops.broadcast_to(source, (batch, 3))
    microphones = ops.broadcast_to(microphones, (batch, *microphones.shape[-2:]))
    reflection = np.broadcast_to(np.sqrt(1 - absorption), (batch,)).astype("float32")
    samples = np.ceil(np.round(duration * sampling_rate, 6)).astype(int)
    samples = np.broadcast_to(np.minimum(samples, length or samples.max()), (batch,))
    _check_positions(size, source, microphones)

    groups = _equal_rooms(size, samples, max(1, _MAX_RESPONSES // microphones.shape[1]))
    responses = [
        _simulate_room(
            size[rows[0]],
            ops.take(source, rows, axis=0),
            ops.take(microphones, rows, axis=0),
            ops.convert_to_tensor(reflection[rows]),
            samples=int(samples[rows[0]]),
            length=int(length or samples.max()),
            bins_per_metre=_OVERSAMPLING * sampling_rate / speed_of_sound,
            max_order=max_order,
        )
        for rows in groups
    ]
    order = np.argsort(np.concatenate(groups)).astype("int32")
    return ops.take(ops.concatenate(responses, axis=0), order, axis=0)


def _absorption(
    size: np.ndarray, t60: Any, absorption: Any, formula: str, speed_of_sound: float
) -> tuple[np.ndarray, np.ndarray]:
    """Wall absorption and decay time, of which the user gives one."""
    if (t60 is None) == (absorption is None):
        raise ValueError(
            f"Exactly one of `t60` and `absorption` must be given. Received: t60={t60}, "
            f"absorption={absorption}."
        )
    if absorption is None:
        t60 = check_positive(_to_numpy(t60), "t60")
        return wall_absorption(size, t60, formula, speed_of_sound), t60
    absorption = check_absorption(_to_numpy(absorption))
    return absorption, eyring_decay_time(size, absorption, speed_of_sound)


def _to_numpy(value: Any) -> np.ndarray:
    return ops.convert_to_numpy(value) if ops.is_tensor(value) else np.asarray(value)


def _batch_size(
    size: np.ndarray, source: Any, microphones: Any, absorption: np.ndarray, duration: np.ndarray
) -> int:
    """The common batch size of all arguments, each with or without a batch axis."""
    arguments = {
        "room_size": (size.shape, (3,)),
        "source": (tuple(source.shape), (3,)),
        "microphones": (tuple(microphones.shape), (tuple(microphones.shape)[-2:-1] or (0,)) + (3,)),
        "t60 or absorption": (absorption.shape, ()),
        "duration": (duration.shape, ()),
    }
    sizes: set[int] = set()
    for name, (shape, single) in arguments.items():
        rank = len(single)
        if 0 in shape or len(shape) not in (rank, rank + 1) or shape[len(shape) - rank :] != single:
            expected = ("M", 3) if name == "microphones" else single
            raise ValueError(
                f"`{name}` must have shape {expected} or {('batch', *expected)}. "
                f"Received shape {shape}."
            )
        sizes.update(shape[: len(shape) - rank])
    if len(sizes - {1}) > 1:
        shapes = {name: shape for name, (shape, _) in arguments.items()}
        raise ValueError(f"The batch sizes of the arguments differ. Received shapes {shapes}.")
    return max(sizes, default=1)


def _check_positions(size: np.ndarray, source: Any, microphones: Any) -> None:
    """Checks the positions where their values are known, that is outside of a traced function."""
    try:
        source, microphones = ops.convert_to_numpy(source), ops.convert_to_numpy(microphones)
    except (TypeError, NotImplementedError):
        return
    check_inside(source, size, "source")
    check_inside(microphones, size[:, None], "microphones")
    check_distinct_microphones(microphones)
    if np.any(np.all(source[:, None] == microphones, axis=-1)):
        raise ValueError(
            f"`source` must not share a point with a microphone. Received: {source.tolist()}."
        )


def _equal_rooms(size: np.ndarray, samples: np.ndarray, limit: int) -> list[np.ndarray]:
    """Rows of the batch that need the same images, at most `limit` of them together."""
    _, room = np.unique(np.column_stack([size, samples]), axis=0, return_inverse=True)
    groups: list[np.ndarray] = []
    for number in range(room.max() + 1):
        rows = np.flatnonzero(room.reshape(-1) == number).astype("int32")
        groups.extend(rows[start : start + limit] for start in range(0, len(rows), limit))
    return groups


def _simulate_room(
    size: np.ndarray,
    source: Any,
    microphones: Any,
    reflection: Any,
    samples: int,
    length: int,
    bins_per_metre: float,
    max_order: int | None,
) -> Any:
    """Responses of one room for `(batch, 3)` sources and `(batch, M, 3)` microphones."""
    batch, channels = microphones.shape[:2]
    padded = _round_up(samples + _GUARD, _SAMPLES_STEP)
    bins = padded * _OVERSAMPLING
    end = samples * _OVERSAMPLING
    lattice = _ImageLattice(size, end / bins_per_metre, max_order)
    sources = ops.unstack(source * bins_per_metre, axis=-1)
    receivers = ops.unstack(microphones * bins_per_metre, axis=-1)
    square_x, square_y, square_z = (
        _squared_offsets(*_mirror(cells, side * bins_per_metre), place, places)
        for cells, side, place, places in zip(lattice.cells, size, sources, receivers, strict=True)
    )
    gain_x, gain_y, gain_z = (_gains(abs(cells), reflection) for cells in lattice.cells)
    orders_z = ops.convert_to_tensor(abs(lattice.cells[2]), dtype="float32")
    rows = ops.convert_to_tensor(np.arange(batch * channels, dtype="int32") * bins)

    grid = ops.zeros((batch * channels * bins,), dtype="float32")
    for x, y, z, orders_left in lattice.chunks(_MAX_PAIRS // (batch * channels)):
        grid = _add_images(
            grid,
            rows,
            ops.take(square_x, x, axis=-1),
            ops.take(square_y, y, axis=-1),
            ops.take(square_z, z, axis=-2),
            ops.take(gain_x, x, axis=-1),
            ops.take(gain_y, y, axis=-1),
            ops.take(gain_z, z, axis=-2),
            ops.take(orders_z, z, axis=0),
            ops.convert_to_tensor(orders_left),
            float(end),
        )
    responses = _decimate(
        ops.reshape(grid, (batch, channels, bins)),
        np.arange(bins) < end,
        _low_pass(padded // 2 + 1) * bins_per_metre / (4 * math.pi),
        np.arange(padded) < samples,
    )
    return ops.pad(responses, ((0, 0), (0, 0), (0, max(0, length - padded))))[..., :length]


def _mirror(cells: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Where coordinate 0 of the room lies in each cell, and in which direction (1, -1) it counts.

    Cell k spans from k to k + 1 times the side; in odd cells the room lies mirrored.
    """
    odd = cells % 2
    return ((cells + odd) * side).astype("float32"), (1 - 2 * odd).astype("float32")


@compiled
def _squared_offsets(origin: Any, direction: Any, source: Any, microphones: Any) -> Any:
    """Squared distance along one axis between the microphones and the source's images.

    Args:
        origin: where coordinate 0 lies in each cell, shape `(...)`.
        direction: 1 or -1 for each cell, shape `(...)`.
        source: coordinates of shape `(batch,)`.
        microphones: coordinates of shape `(batch, M)`.

    Returns:
        Tensor of shape `(batch, M, ...)`.
    """
    origin, direction = ops.convert_to_tensor(origin), ops.convert_to_tensor(direction)
    ones = (1,) * len(origin.shape)
    source = ops.reshape(source, (*source.shape, 1, *ones))
    microphones = ops.reshape(microphones, (*microphones.shape, *ones))
    return ops.square(origin + direction * source - microphones)


@compiled
def _gains(orders: Any, reflection: Any) -> Any:
    """Gain of so many reflections `(...)` by each coefficient `(batch,)`: `(batch, ...)`."""
    orders = ops.convert_to_tensor(orders, dtype="float32")
    return ops.power(ops.reshape(reflection, (-1, *(1,) * len(orders.shape))), orders)


@compiled
def _add_images(
    grid: Any,
    rows: Any,
    square_x: Any,
    square_y: Any,
    square_z: Any,
    gain_x: Any,
    gain_y: Any,
    gain_z: Any,
    orders_z: Any,
    orders_left: Any,
    end: Any,
) -> Any:
    """Adds each image to the two bins around its arrival; images after the end fall on its bin.

    Args:
        grid: the fine time grids of all responses, one after another, shape `(batch * M * bins,)`.
        rows: where each response begins in `grid`, shape `(batch * M,)`.
        square_x: squared offsets in bins along x for n blocks, shape `(batch, M, n)`.
        square_y: the same along y.
        square_z: squared offsets along z in each block, shape `(batch, M, n, _BLOCK)`.
        gain_x: gain of the reflections along x, shape `(batch, n)`.
        gain_y: the same along y.
        gain_z: gain of the reflections along z, shape `(batch, n, _BLOCK)`.
        orders_z: number of reflections along z, shape `(n, _BLOCK)`.
        orders_left: how many of them count, shape `(n,)`.
        end: the last bin.

    Returns:
        The new grid.
    """
    position = ops.sqrt((square_x + square_y)[..., None] + square_z)
    gain = ops.where(orders_z <= orders_left[:, None], (gain_x * gain_y)[..., None] * gain_z, 0.0)
    amplitude = gain[:, None] / position
    position = ops.minimum(position, end)
    lower = ops.floor(position)
    late = amplitude * (position - lower)
    index = ops.cast(lower, "int32") + ops.reshape(rows, (*position.shape[:2], 1, 1))
    values = ops.stack([amplitude - late, late])
    indices = ops.stack([index, index + 1])
    return grid + scatter_add(
        ops.reshape(values, (-1,)), ops.reshape(indices, (-1,)), grid.shape[0]
    )


@compiled
def _decimate(grid: Any, in_grid: Any, low_pass: Any, in_time: Any) -> Any:
    """Low-passes the fine grid and keeps one of `_OVERSAMPLING` bins, in the frequency domain.

    Args:
        grid: shape `(..., bins)`.
        in_grid: whether a bin counts, shape `(bins,)`.
        low_pass: frequency response from 0 to the Nyquist frequency.
        in_time: whether a sample of the result counts, shape `(bins / _OVERSAMPLING,)`.

    Returns:
        Tensor of shape `(..., bins / _OVERSAMPLING)`.
    """
    in_grid, low_pass, in_time = (
        ops.convert_to_tensor(factor, dtype="float32") for factor in (in_grid, low_pass, in_time)
    )
    real, imaginary = (part[..., : low_pass.shape[0]] for part in ops.rfft(grid * in_grid))
    return ops.irfft((real * low_pass, imaginary * low_pass)) * in_time


def _low_pass(bins: int) -> np.ndarray:
    """Frequency response from 0 to the Nyquist frequency, in so many bins.

    Flat with a raised-cosine edge, divided by the mean response of the linear interpolation.
    """
    frequency = np.linspace(0, 1, bins)
    edge = np.clip((frequency - _PASSBAND) / (1 - _PASSBAND), 0, 1)
    interpolation = np.sinc(frequency / (2 * _OVERSAMPLING)) ** 2
    return 0.5 * (1 + np.cos(np.pi * edge)) / interpolation


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


class _ImageLattice:
    """The images that can arrive within a radius, wherever source and microphones stand.

    The mirrored rooms form a lattice of cells, numbered ..., -1, 0, 1, ... along each axis. Along z
    they are taken in blocks of neighbours, so that few indices name many images.

    Attributes:
        cells: the numbers of the cells along x `(nx,)`, y `(ny,)` and z `(blocks, _BLOCK)`.
    """

    def __init__(self, size: np.ndarray, radius: float, max_order: int | None) -> None:
        reach = np.floor(radius / size).astype(int) + 1
        if max_order is not None:
            reach = np.minimum(reach, max_order)
        spans = [_round_up(int(number) + 1, _CELLS_STEP) for number in reach]
        x, y, z = (np.arange(-span, span) for span in spans)
        self.cells = (x, y, z.reshape(-1, _BLOCK))
        self._size, self._radius = size, radius
        self._max_order = np.inf if max_order is None else max_order

    def chunks(self, max_images: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Yields indices of x cells, y cells and z blocks, and the reflections left for z.

        All four have shape `(n,)`, n one of few numbers. A chunk that the images do not fill is
        padded with blocks for which no reflection, not even none, is left.
        """
        limit = max(_MIN_BLOCKS, 2 ** int(math.log2(max(1, max_images // _BLOCK))))
        for *indices, orders_left in self._slabs():
            for start in range(0, len(orders_left), limit):
                part = slice(start, start + limit)
                length = len(orders_left[part])
                missing = (0, _chunk_size(length, limit) - length)
                yield (
                    *(np.pad(index[part], missing) for index in indices),
                    np.pad(orders_left[part], missing, constant_values=-1),
                )

    def _slabs(self) -> Iterator[tuple[np.ndarray, ...]]:
        """Yields what `chunks` does, for a few neighbouring cells along x at a time."""
        orders = [abs(cells) for cells in self.cells]
        near = [
            (np.maximum(order - 1, 0) * side) ** 2
            for order, side in zip(orders, self._size, strict=True)
        ]
        orders[2], near[2] = orders[2].min(axis=-1), near[2].min(axis=-1)
        step = max(1, _MAX_BLOCKS // (len(near[1]) * len(near[2])))
        for start in range(0, len(near[0]), step):
            slab = slice(start, start + step)
            distance = _outer_sum(near[0][slab], near[1], near[2])
            order = _outer_sum(orders[0][slab], orders[1], orders[2])
            x, y, z = np.nonzero((distance <= self._radius**2) & (order <= self._max_order))
            # Images of like distance fall into neighbouring bins, which the cache then holds.
            sorting = np.argsort(distance[x, y, z])
            x, y, z = (index[sorting] for index in (x, y, z))
            x += start
            orders_left = self._max_order - orders[0][x] - orders[1][y]
            yield *(index.astype("int32") for index in (x, y, z)), orders_left.astype("float32")


def _outer_sum(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return x[:, None, None] + y[:, None] + z


def _chunk_size(length: int, limit: int) -> int:
    """Rounds up to a power of two, or to quarters of the limit where that is less."""
    power = 2 ** math.ceil(math.log2(max(length, _MIN_BLOCKS)))
    return min(power, _round_up(length, max(limit // 4, _MIN_BLOCKS)))
