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
_SAMPLES_STEP = 1024
_CELLS_STEP = 32
_ORDERS_STEP = 256

# Bounds on what is held at once: responses, image-response pairs, image cells enumerated.
_MAX_RESPONSES = 64
_MAX_PAIRS = 2**20
_MAX_CELLS = 2**22
_MIN_IMAGES = 2**10


def simulate_rirs(
    room_size: Any,
    source: Any,
    microphones: Any,
    *,
    t60: Any = None,
    absorption: Any = None,
    sampling_rate: int = 16000,
    duration: float | None = None,
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
        duration: duration of the responses in seconds. By default each room is followed for its
            `t60`, or the decay time of its `absorption` by Eyring's formula, and the responses are
            as long as the longest of these.
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
    sampling_rate = float(check_positive(sampling_rate, "sampling_rate"))
    speed_of_sound = float(check_positive(speed_of_sound, "speed_of_sound"))
    if max_order is not None and max_order < 0:
        raise ValueError(f"`max_order` must be zero or more. Received: {max_order}.")
    if (t60 is None) == (absorption is None):
        raise ValueError(
            f"Exactly one of `t60` and `absorption` must be given. Received: t60={t60}, "
            f"absorption={absorption}."
        )
    if t60 is not None:
        decay = check_positive(_to_numpy(t60), "t60")
        absorption = wall_absorption(size, decay, formula, speed_of_sound)
    else:
        absorption = check_absorption(_to_numpy(absorption))
        decay = eyring_decay_time(size, absorption, speed_of_sound)
    if duration is not None:
        decay = check_positive(duration, "duration")

    source = ops.convert_to_tensor(source, dtype="float32")
    microphones = ops.convert_to_tensor(microphones, dtype="float32")
    batch = _batch_size(size, source, microphones, absorption, decay)
    size = np.broadcast_to(size, (batch, 3))
    source = ops.broadcast_to(source, (batch, 3))
    microphones = ops.broadcast_to(microphones, (batch, *microphones.shape[-2:]))
    reflection = np.broadcast_to(np.sqrt(1 - absorption), (batch,)).astype("float32")
    decay = np.broadcast_to(decay, (batch,))
    _check_positions(size, source, microphones)

    length = _num_samples(decay.max(), sampling_rate)
    groups = _equal_rooms(size, decay, max(1, _MAX_RESPONSES // microphones.shape[1]))
    responses = [
        _simulate_room(
            size[rows[0]],
            ops.take(source, rows, axis=0),
            ops.take(microphones, rows, axis=0),
            ops.convert_to_tensor(reflection[rows]),
            samples=_num_samples(decay[rows[0]], sampling_rate),
            length=length,
            bins_per_metre=_OVERSAMPLING * sampling_rate / speed_of_sound,
            max_order=max_order,
        )
        for rows in groups
    ]
    order = np.argsort(np.concatenate(groups)).astype("int32")
    return ops.take(ops.concatenate(responses, axis=0), order, axis=0)


def _to_numpy(value: Any) -> np.ndarray:
    return ops.convert_to_numpy(value) if ops.is_tensor(value) else np.asarray(value)


def _num_samples(duration: float, sampling_rate: float) -> int:
    return math.ceil(round(duration * sampling_rate, 6))


def _batch_size(
    size: np.ndarray, source: Any, microphones: Any, absorption: np.ndarray, decay: np.ndarray
) -> int:
    """The common batch size of all arguments, each with or without a batch axis."""
    arguments = {
        "room_size": (size.shape, (3,)),
        "source": (tuple(source.shape), (3,)),
        "microphones": (tuple(microphones.shape), (tuple(microphones.shape)[-2:-1] or (0,)) + (3,)),
        "t60 or absorption": (absorption.shape, ()),
        "duration": (decay.shape, ()),
    }
    sizes = set()
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


def _equal_rooms(size: np.ndarray, decay: np.ndarray, limit: int) -> list[np.ndarray]:
    """Rows of the batch that need the same images, at most `limit` of them together."""
    _, room = np.unique(np.column_stack([size, decay]), axis=0, return_inverse=True)
    groups = []
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
    shape = tuple(microphones.shape[:2])
    padded = _round_up(samples + _GUARD, _SAMPLES_STEP)
    bins = padded * _OVERSAMPLING
    last_bin = samples * _OVERSAMPLING
    rows = np.arange(math.prod(shape), dtype="int32").reshape(*shape, 1) * bins

    lattice = _ImageLattice(size, last_bin / bins_per_metre, max_order)
    offsets = [
        _squared_offsets(cells, size[axis], source[:, axis], microphones[:, :, axis])
        for axis, cells in enumerate(lattice.cells)
    ]
    powers = ops.power(reflection[:, None], ops.convert_to_tensor(lattice.orders))
    gains = ops.where(lattice.orders < lattice.no_order, powers, 0.0)
    grid = ops.zeros((rows.size * bins,), dtype="float32")
    for indices, orders in lattice.chunks(_MAX_PAIRS // rows.size):
        distance = ops.sqrt(
            sum(
                ops.take(table, index, axis=-1)
                for table, index in zip(offsets, indices, strict=True)
            )
        )
        amplitude = ops.take(gains, orders, axis=-1)[:, None] / (4 * math.pi * distance)
        grid = grid + _place(amplitude, distance * bins_per_metre, rows, last_bin, grid.shape[0])
    responses = _decimate(ops.reshape(grid, (*shape, bins)), padded)[..., :samples]
    return ops.pad(responses, ((0, 0), (0, 0), (0, length - samples)))


def _squared_offsets(cells: np.ndarray, side: float, source: Any, microphones: Any) -> Any:
    """Squared distance along one axis to the source's image in each cell.

    Cell k spans from k to k + 1 times the side; in odd cells the room lies mirrored.

    Args:
        cells: integers of shape `(cells,)`.
        side: length of the room along the axis.
        source: coordinates of shape `(batch,)`.
        microphones: coordinates of shape `(batch, M)`.

    Returns:
        Tensor of shape `(batch, M, cells)`.
    """
    odd = cells % 2
    origin = ops.convert_to_tensor((cells + odd) * side, dtype="float32")
    direction = ops.convert_to_tensor(1 - 2 * odd, dtype="float32")
    images = origin + direction * source[:, None, None]
    return ops.square(images - microphones[:, :, None])


def _place(amplitude: Any, position: Any, rows: np.ndarray, last_bin: int, bins: int) -> Any:
    """Adds each amplitude to the two bins around its position; images past the end are dropped."""
    amplitude = ops.where(position <= last_bin, amplitude, 0.0)
    position = ops.minimum(position, float(last_bin))
    lower = ops.floor(position)
    late = amplitude * (position - lower)
    index = ops.cast(lower, "int32") + ops.convert_to_tensor(rows)
    values = ops.stack([amplitude - late, late])
    indices = ops.stack([index, index + 1])
    return ops.segment_sum(ops.reshape(values, (-1,)), ops.reshape(indices, (-1,)), bins)


def _decimate(grid: Any, samples: int) -> Any:
    """Low-passes the fine grid and keeps one of `_OVERSAMPLING` bins, in the frequency domain."""
    real, imaginary = ops.rfft(grid)
    kept = samples // 2 + 1
    response = ops.convert_to_tensor(_low_pass(kept))
    return ops.irfft((real[..., :kept] * response, imaginary[..., :kept] * response))


def _low_pass(bins: int) -> np.ndarray:
    """Frequency response from 0 to the Nyquist frequency, in so many bins.

    Flat with a raised-cosine edge, divided by the mean response of the linear interpolation.
    """
    frequency = np.linspace(0, 1, bins)
    edge = np.clip((frequency - _PASSBAND) / (1 - _PASSBAND), 0, 1)
    interpolation = np.sinc(frequency / (2 * _OVERSAMPLING)) ** 2
    return (0.5 * (1 + np.cos(np.pi * edge)) / interpolation).astype("float32")


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


class _ImageLattice:
    """The images that can arrive within a radius, wherever source and microphones stand.

    Attributes:
        cells: for each axis the numbers of the mirrored rooms along it.
        orders: float32 numbers of reflections 0, 1, 2, ... that occur.
        no_order: index into `orders` from which on no image has that many reflections.
    """

    def __init__(self, size: np.ndarray, radius: float, max_order: int | None) -> None:
        reach = np.floor(radius / size).astype(int) + 1
        if max_order is not None:
            reach = np.minimum(reach, max_order)
        self.size, self.radius, self.max_order, self.reach = size, radius, max_order, reach
        self.no_order = int(reach.sum()) + 1
        self.orders = np.arange(_round_up(self.no_order + 1, _ORDERS_STEP), dtype="float32")
        self._padded_reach = [_round_up(int(number), _CELLS_STEP) for number in reach]
        self.cells = [np.arange(-number, number + 1) for number in self._padded_reach]

    def chunks(self, max_images: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields indices `(3, n)` into `cells` and `(n,)` into `orders`, n a power of two.

        A chunk that the images do not fill is padded with indices to `no_order`.
        """
        limit = max(_MIN_IMAGES, 2 ** int(math.log2(max_images)))
        for indices, orders in self._slabs():
            for start in range(0, len(orders), limit):
                part = slice(start, start + limit)
                missing = _chunk_size(len(orders[part])) - len(orders[part])
                yield (
                    np.pad(indices[:, part], ((0, 0), (0, missing))),
                    np.pad(orders[part], (0, missing), constant_values=self.no_order),
                )

    def _slabs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields indices and orders of the images of a few neighbouring cells along x at a time."""
        x, y, z = (np.arange(-number, number + 1) for number in self.reach)
        step = max(1, _MAX_CELLS // (len(y) * len(z)))
        for start in range(0, len(x), step):
            grid = np.ix_(x[start : start + step], y, z)
            kept = self._nearest(grid) <= self.radius**2
            orders = sum(abs(cells) for cells in grid)
            if self.max_order is not None:
                kept &= orders <= self.max_order
            chosen = np.nonzero(kept)
            indices = np.stack(chosen).astype("int32")
            indices += np.subtract(self._padded_reach, self.reach).astype("int32")[:, None]
            indices[0] += start
            yield indices, orders[chosen].astype("int32")

    def _nearest(self, grid: tuple[np.ndarray, ...]) -> np.ndarray:
        """Squared distance between the room and each mirrored room at their nearest."""
        return sum(
            (np.maximum(abs(cells) - 1, 0) * side) ** 2
            for cells, side in zip(grid, self.size, strict=True)
        )


def _chunk_size(images: int) -> int:
    return max(_MIN_IMAGES, 2 ** math.ceil(math.log2(max(images, 1))))
