"""Random rooms with a pair of microphones and sources of known azimuth."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_integer, check_number, check_positive_number
from keras_avssan._internal.one_line import count, one_line, span
from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.simulation.absorption import check_formula
from keras_avssan.simulation.calibration import wall_absorption
from keras_avssan.simulation.room_variation_checks import band_factors, check_variation
from keras_avssan.simulation.validation import (
    check_distinct_microphones,
    check_inside,
    check_positive,
    check_room_size,
)

_MAX_ROOMS = 1000
_MAX_PLACEMENTS = 32


def azimuth_of(source: ArrayLike, microphones: ArrayLike) -> np.ndarray:
    """Computes the azimuth of sources as seen from the centre of a pair of microphones.

    The azimuth is the angle between the source and the axis that runs from microphone 2 to
    microphone 1: 0 degrees beside microphone 1, 90 broadside, 180 beside microphone 2.

    Args:
        source: Positions of shape `(..., 3)`.
        microphones: Positions of the two microphones, shape `(2, 3)` or `(..., 2, 3)`.

    Returns:
        float64 NumPy array of shape `(...)`, in degrees from 0 to 180.

    Example:
        >>> float(azimuth_of((3.0, 1.0, 1.0), [(1.1, 1.0, 1.0), (0.9, 1.0, 1.0)]))
        0.0
    """
    source = np.asarray(source, dtype="float64")
    microphones = np.asarray(microphones, dtype="float64")
    axis = microphones[..., 0, :] - microphones[..., 1, :]
    direction = source - microphones.mean(axis=-2)
    across = np.linalg.norm(np.cross(direction, axis), axis=-1)
    return np.degrees(np.arctan2(across, np.sum(direction * axis, axis=-1)))


@dataclasses.dataclass(frozen=True, eq=False)
class Room:
    """A shoebox room with a pair of microphones and S sources.

    Args:
        size: Lengths in metres, shape `(3,)`.
        t60: Reverberation time in seconds.
        microphones: Positions in metres, shape `(2, 3)`; the first is channel 0.
        sources: Positions in metres, shape `(S, 3)`.

    Raises:
        ValueError: If a shape does not fit, a value is not finite, `t60` or a length is not
            positive, a position is not inside the room or the microphones share a point.

    Example:
        >>> room = Room((6, 5, 3), 0.4, [(3.1, 2, 1.5), (2.9, 2, 1.5)], [(3, 4, 1.5)])
        >>> float(room.azimuths[0])
        90.0
    """

    size: np.ndarray
    t60: float
    microphones: np.ndarray
    sources: np.ndarray

    def __post_init__(self) -> None:
        """Checks the values and freezes the arrays."""
        size = check_room_size(_shaped(self.size, (3,), "size"), "size")
        microphones = _shaped(self.microphones, (2, 3), "microphones")
        sources = _shaped(self.sources, (None, 3), "sources")
        check_inside(microphones, size, "microphones")
        check_inside(sources, size, "sources")
        check_distinct_microphones(microphones)
        object.__setattr__(self, "t60", float(check_positive(self.t60, "t60")))
        for name, array in (("size", size), ("microphones", microphones), ("sources", sources)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        sides = " x ".join(f"{side:.2f}" for side in self.size)
        azimuths = ", ".join(f"{azimuth:.0f}°" for azimuth in self.azimuths)
        sources = f"{count(len(self.sources), 'source')} at {azimuths}"
        return one_line(self, f"{sides} m", f"T60 {self.t60:.2f} s", sources)

    @property
    def azimuths(self) -> np.ndarray:
        """Azimuth of each source in degrees, shape `(S,)`."""
        return azimuth_of(self.sources, self.microphones)


def _shaped(value: ArrayLike, shape: tuple[int | None, ...], name: str) -> np.ndarray:
    """A float64 copy of `value`, which must have this shape; `None` stands for any length."""
    array = np.array(value, dtype="float64")
    if array.ndim != len(shape) or any(
        length == 0 or expected not in (None, length)
        for length, expected in zip(array.shape, shape, strict=True)
    ):
        expected = tuple("S" if length is None else length for length in shape)
        raise ValueError(
            f"`{name}` must have shape {expected}. Received: {name} of shape {array.shape}"
        )
    return array


@dataclasses.dataclass(frozen=True)
class RoomRanges:
    """Ranges from which random rooms are drawn; every pair is (lowest, highest).

    Args:
        length: First side of the room in metres.
        width: Second side of the room in metres.
        height: Third side of the room in metres.
        t60: Reverberation time in seconds.
        distance: Distance from the pair's centre to a source, in metres.
        azimuth: Azimuth of a source in degrees; the lowest value itself is not drawn.
        elevation: Elevation of a source as seen from the pair's centre, in degrees.
        array_height: Height of the pair above the floor, in metres.
        spacing: Distance between the two microphones in metres.
        wall_margin: Least distance of sources and microphones from every wall, in metres.
        gain_error: Largest gain or loss of each microphone in dB, drawn evenly for each room. This
            and the arguments below are for banks of rooms, and vary nothing by default.
        phase_error: Largest phase lead or lag of each microphone in degrees, at all frequencies,
            drawn evenly for each room.
        position_error: Largest distance in metres, along each axis, of a microphone from where it
            is said to be, drawn evenly. Below `wall_margin` and a quarter of `spacing`.
        source_pattern: Directional pattern of the sources at all frequencies: `"omni"`,
            `"subcardioid"`, `"cardioid"`, `"hypercardioid"` or `"figure_eight"`.
        source_turn: Largest angle in degrees by which a source is turned from the pair, about the
            vertical axis, drawn evenly.
        absorption_factor: Factor of the walls' absorption, drawn for each of the octave bands from
            125 Hz to 8 kHz, evenly over its logarithm; or seven such pairs, one for each band. The
            room's `t60` is that of a factor of 1.

    Raises:
        ValueError: If a range is reversed, not finite or outside of its bounds.

    Example:
        >>> room = sample_room(seed=0, index=0, ranges=RoomRanges(spacing=0.12))
        >>> float(np.linalg.norm(room.microphones[0] - room.microphones[1]).round(3))
        0.12
    """

    length: tuple[float, float] = (3.0, 10.0)
    width: tuple[float, float] = (3.0, 8.0)
    height: tuple[float, float] = (2.5, 4.0)
    t60: tuple[float, float] = (0.2, 0.8)
    distance: tuple[float, float] = (0.5, 3.0)
    azimuth: tuple[float, float] = (0.5, 180.0)
    elevation: tuple[float, float] = (-25.0, 25.0)
    array_height: tuple[float, float] = (1.0, 1.8)
    spacing: float = 0.2
    wall_margin: float = 0.3
    gain_error: float = 0.0
    phase_error: float = 0.0
    position_error: float = 0.0
    source_pattern: str = "omni"
    source_turn: float = 180.0
    absorption_factor: tuple[float, float] | tuple[tuple[float, float], ...] = (1.0, 1.0)

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("length", "width", "height", "t60", "distance", "array_height"):
            self._check_range(name, low=0.0, high=np.inf)
            check_positive(getattr(self, name), name)
        self._check_range("azimuth", low=0.0, high=180.0)
        self._check_range("elevation", low=-90.0, high=90.0)
        if self.elevation[0] > 0 or self.elevation[1] < 0:
            raise ValueError(
                "`elevation` must include 0: a source beside the pair is level with it. "
                f"Received: elevation={self.elevation}"
            )
        check_positive_number("spacing", self.spacing, "distance in metres")
        check_number("wall_margin", self.wall_margin, 0.0, 1e6)
        check_variation(self)

    def __repr__(self) -> str:
        sides = " x ".join(span(side) for side in (self.length, self.width, self.height))
        return one_line(
            self,
            f"{sides} m",
            f"T60 {span(self.t60, ' s')}",
            f"sources {span(self.distance, ' m')} away at {span(self.azimuth, '°')}",
            f"microphones {self.spacing:g} m apart",
            *self._variation(),
        )

    def _variation(self) -> list[str]:
        """What varies beyond the defaults, for the `repr`."""
        errors = {"gain": (self.gain_error, "dB"), "phase": (self.phase_error, "°")}
        errors["position"] = (self.position_error, "m")
        words = [f"{name} ±{most:g} {unit}" for name, (most, unit) in errors.items() if most]
        words += [] if self.source_pattern == "omni" else [self.source_pattern]
        factors = band_factors(self)
        return words + ([f"absorption times {span(factors)}"] if np.any(factors != 1) else [])

    def _check_range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        try:
            limits = np.asarray(value, "float64")
        except (TypeError, ValueError):  # words, or lists of unequal lengths
            limits = np.zeros(0)
        if limits.shape != (2,) or not low <= limits[0] <= limits[1] <= high:
            raise ValueError(
                f"`{name}` must be (lowest, highest) within {low:g} to {high:g}. "
                f"Received: {name}={value}"
            )


def sample_room(
    seed: int,
    index: int,
    *,
    num_sources: int = 4,
    ranges: RoomRanges | None = None,
    formula: str = "sabine",
    calibrate: bool = False,
    tail: bool = False,
    speed_of_sound: float = SPEED_OF_SOUND,
) -> Room:
    """Draws room number `index` of the series of a seed.

    The azimuths of the sources are drawn first and once, independent and uniform: room,
    reverberation time and positions are redrawn until they fit them, so that the azimuths stay
    uniform.

    Args:
        seed: Seed of the series, zero or more.
        index: Number of the room in the series, zero or more.
        num_sources: Number of sources S.
        ranges: A `RoomRanges`; `None` takes its defaults.
        formula: `"sabine"` or `"eyring"`: rooms whose T60 it cannot reach are not drawn.
        calibrate: Whether `calibrated_absorption` replaces the formula.
        tail: Whether a diffuse tail will follow the images, for which it is calibrated.
        speed_of_sound: Speed of sound in metres per second.

    Returns:
        A `Room`. The same arguments give the same room.

    Raises:
        ValueError: If `seed`, `index` or `num_sources` is out of range, or no room within
            `ranges` was found.

    Example:
        >>> room = sample_room(seed=0, index=3)
        >>> room.azimuths.shape
        (4,)
    """
    ranges = ranges or RoomRanges()
    seed, index = check_integer("seed", seed), check_integer("index", index)
    num_sources = check_integer("num_sources", num_sources, least=1)
    check_formula(formula)
    absorption = functools.partial(
        wall_absorption,
        formula=formula,
        calibrate=calibrate,
        speed_of_sound=speed_of_sound,
        tail=tail,
    )
    rng = np.random.default_rng([seed, index])
    low, high = ranges.azimuth
    azimuths = high - (high - low) * rng.random(num_sources)
    for _ in range(_MAX_ROOMS):
        room = _draw_room(rng, azimuths, ranges, absorption)
        if room is not None:
            return room
    raise ValueError(
        f"`ranges` must allow a room that fits, but none was found in {_MAX_ROOMS} draws. "
        f"Received: ranges={ranges}"
    )


def _draw_room(
    rng: np.random.Generator,
    azimuths: np.ndarray,
    ranges: RoomRanges,
    absorption: Callable[[np.ndarray, float], np.ndarray],
) -> Room | None:
    """One room with sources at the azimuths, or `None` if something does not fit."""
    size = np.array([rng.uniform(*side) for side in (ranges.length, ranges.width, ranges.height)])
    t60 = rng.uniform(*ranges.t60)
    if not _is_reachable(size, t60, absorption):
        return None
    rotation = rng.uniform(0, 2 * np.pi)
    axis = np.array([np.cos(rotation), np.sin(rotation), 0.0])
    centre = _draw_centre(rng, size, ranges)
    microphones = centre + np.outer([0.5, -0.5], axis * ranges.spacing)
    if not _fits(microphones, size, ranges.wall_margin):
        return None
    sources = []
    for azimuth in azimuths:
        source = _draw_source(rng, azimuth, axis, centre, size, ranges)
        if source is None:
            return None
        sources.append(source)
    return Room(size, t60, microphones, np.stack(sources))


def _is_reachable(
    size: np.ndarray, t60: float, absorption: Callable[[np.ndarray, float], np.ndarray]
) -> bool:
    try:
        absorption(size, t60)
    except ValueError:
        return False
    return True


def _draw_centre(rng: np.random.Generator, size: np.ndarray, ranges: RoomRanges) -> np.ndarray:
    margin = ranges.wall_margin
    ground = rng.uniform(margin, np.maximum(size[:2] - margin, margin))
    return np.array([*ground, rng.uniform(*ranges.array_height)])


def _draw_source(
    rng: np.random.Generator,
    azimuth: float,
    axis: np.ndarray,
    centre: np.ndarray,
    size: np.ndarray,
    ranges: RoomRanges,
) -> np.ndarray | None:
    """A position of that azimuth: distance, side and elevation are drawn until it fits."""
    along, across = np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth))
    lowest, highest = (
        np.arcsin(np.clip(np.sin(np.radians(elevation)) / max(across, 1e-9), -1, 1))
        for elevation in ranges.elevation
    )
    side = np.cross((0.0, 0.0, 1.0), axis)
    for _ in range(_MAX_PLACEMENTS):
        roll = rng.uniform(lowest, highest)
        front = rng.choice((-1.0, 1.0))
        direction = along * axis + across * (
            np.cos(roll) * front * side + np.sin(roll) * np.array([0.0, 0.0, 1.0])
        )
        source = centre + rng.uniform(*ranges.distance) * direction
        if _fits(source, size, ranges.wall_margin):
            return source
    return None


def _fits(positions: np.ndarray, size: np.ndarray, margin: float) -> bool:
    return bool(np.all((positions > margin) & (positions < size - margin)))
