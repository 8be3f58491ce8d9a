"""Trajectories of moving sources."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import count, one_line
from keras_avssan.simulation.validation import check_distinct_microphones, check_positive

_UP = np.array([0.0, 0.0, 1.0])


@dataclasses.dataclass(frozen=True, eq=False)
class Trajectory:
    """Positions of a moving source, each with the time at which the source is there.

    `simulate_rirs` turns the positions into responses, `render_moving` takes these and the times.

    Args:
        positions: In metres, shape `(S, 3)`.
        times: In seconds, increasing, shape `(S,)`.

    Raises:
        ValueError: If a shape does not fit, a value is not finite or the times do not increase.

    Example:
        >>> trajectory = Trajectory([(1, 1, 1), (1, 2, 1), (3, 2, 1)], times=[0.0, 0.5, 1.5])
        >>> trajectory.at(1.0).tolist()
        [2.0, 2.0, 1.0]
    """

    positions: np.ndarray
    times: np.ndarray

    def __post_init__(self) -> None:
        """Checks the values and freezes the arrays."""
        times = check_times(self.times)
        positions = np.array(self.positions, dtype="float64")
        if positions.shape != (len(times), 3):
            raise ValueError(
                f"`positions` must have shape {(len(times), 3)} to fit `times`. "
                f"Received: positions of shape {positions.shape}"
            )
        if not np.all(np.isfinite(positions)):
            raise ValueError(
                f"`positions` must be finite. Received: positions={positions.tolist()}"
            )
        for name, array in (("positions", positions), ("times", times)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        length = np.linalg.norm(np.diff(self.positions, axis=0), axis=-1).sum()
        return one_line(
            self,
            count(len(self), "position"),
            f"{length:.2f} m",
            f"from {self.times[0]:g} to {self.times[-1]:g} s",
        )

    def __len__(self) -> int:
        """Number of positions."""
        return len(self.times)

    def at(self, times: ArrayLike) -> np.ndarray:
        """Interpolates the position linearly at any time.

        Args:
            times: In seconds, shape `(...)`. Before the first and after the last time the source
                rests.

        Returns:
            float64 NumPy array of shape `(..., 3)`, in metres.
        """
        times = np.asarray(times, dtype="float64")
        return np.stack([np.interp(times, self.times, axis) for axis in self.positions.T], axis=-1)


def linear_trajectory(
    start: ArrayLike, end: ArrayLike, duration: float, num_positions: int
) -> Trajectory:
    """Makes a straight line, passed at constant speed from time 0.

    Args:
        start: First position in metres, shape `(3,)`.
        end: Last position in metres, shape `(3,)`.
        duration: Duration of the movement in seconds.
        num_positions: Number of positions S, both ends included.

    Returns:
        A `Trajectory`.

    Raises:
        ValueError: If a position does not have three finite coordinates, `duration` is not
            positive or `num_positions` is below 2.

    Example:
        >>> linear_trajectory((1, 1, 1.5), (3, 1, 1.5), duration=2.0, num_positions=101).at(1.0)
        array([2. , 1. , 1.5])
    """
    start, end = _check_point(start, "start"), _check_point(end, "end")
    times = _even_times(duration, num_positions)
    return Trajectory(start + (end - start) * (times / times[-1])[:, None], times)


def arc_trajectory(
    microphones: ArrayLike,
    distance: float,
    azimuths: tuple[float, float],
    duration: float,
    num_positions: int,
) -> Trajectory:
    """Makes a level arc around a pair of microphones, passed at constant speed from time 0.

    Args:
        microphones: Positions of the pair in metres, shape `(2, 3)`; not one above the other.
        distance: From the centre of the pair in metres.
        azimuths: First and last azimuth in degrees. Azimuths of 0 to 180 lie to the left of the
            line from microphone 2 to microphone 1, larger ones on the other side, at the mirrored
            azimuth: (0, 360) is a full turn.
        duration: Duration of the movement in seconds.
        num_positions: Number of positions S, both ends included.

    Returns:
        A `Trajectory`.

    Raises:
        ValueError: If a shape does not fit, a value is not finite, `distance` or `duration` is
            not positive, `num_positions` is below 2 or the pair stands upright.

    Example:
        >>> pair = [(3.1, 2.0, 1.5), (2.9, 2.0, 1.5)]
        >>> arc_trajectory(pair, 1.0, (0.0, 90.0), duration=2.0, num_positions=91).at(2.0)
        array([3. , 3. , 1.5])
    """
    centre, axis = _centre_and_axis(microphones)
    if np.shape(azimuths) != (2,) or not np.all(np.isfinite(azimuths)):
        raise ValueError(f"`azimuths` must be two finite angles. Received: azimuths={azimuths}")
    times = _even_times(duration, num_positions)
    angles = np.radians(np.linspace(*azimuths, num_positions))[:, None]
    directions = np.cos(angles) * axis + np.sin(angles) * np.cross(_UP, axis)
    return Trajectory(centre + check_positive(distance, "distance") * directions, times)


def check_times(times: ArrayLike) -> np.ndarray:
    """Returns a float64 copy of `times` after checking that it increases, shape `(S,)`."""
    times = np.array(times, dtype="float64")
    if times.ndim != 1 or len(times) == 0:
        raise ValueError(
            f"`times` must have shape (S,), S > 0. Received: times of shape {times.shape}"
        )
    if not np.all(np.isfinite(times)):
        raise ValueError(f"`times` must be finite. Received: times={times.tolist()}")
    falls = np.flatnonzero(np.diff(times) <= 0)
    if len(falls):
        before, after = times[falls[0]], times[falls[0] + 1]
        raise ValueError(
            f"`times` must increase. Received: times[{falls[0] + 1}]={after:g} after {before:g} s"
        )
    return times


def _check_point(value: ArrayLike, name: str) -> np.ndarray:
    point = np.asarray(value, dtype="float64")
    if point.shape != (3,) or not np.all(np.isfinite(point)):
        raise ValueError(
            f"`{name}` must be three finite coordinates. Received: {name}={point.tolist()}"
        )
    return point


def _even_times(duration: float, num_positions: int) -> np.ndarray:
    num_positions = check_integer("num_positions", num_positions, least=2)
    return np.linspace(0.0, float(check_positive(duration, "duration")), num_positions)


def _centre_and_axis(microphones: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Centre of the pair and the level unit vector from microphone 2 to microphone 1."""
    microphones = np.asarray(microphones, dtype="float64")
    if microphones.shape != (2, 3) or not np.all(np.isfinite(microphones)):
        raise ValueError(
            "`microphones` must be two finite positions. "
            f"Received: microphones={microphones.tolist()}"
        )
    check_distinct_microphones(microphones)
    axis = microphones[0] - microphones[1]
    level = axis - axis[2] * _UP
    if not np.any(level):
        raise ValueError(
            "`microphones` must not stand one above the other: a level arc has no azimuth then. "
            f"Received: microphones={microphones.tolist()}"
        )
    return microphones.mean(axis=0), level / np.linalg.norm(level)
