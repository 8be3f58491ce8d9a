"""`MotionModel`, how a source is expected to move, to appear and to end."""

import dataclasses
import math

import numpy as np
from scipy.special import ndtr

from keras_avssan._internal.checks import check_number, check_positive_number
from keras_avssan._internal.one_line import one_line
from keras_avssan.doa.grid import GRID_DEGREES, NUM_DIRECTIONS
from keras_avssan.tracking.azimuth_axis import FULL_CIRCLE

# Boundaries in degrees of the cells around the directions of the grid, all of one degree. The line
# is folded at the first and the last one: in the long run all directions are equally probable.
_EDGES = np.append(GRID_DEGREES - 0.5, NUM_DIRECTIONS + 0.5).astype("float64")


@dataclasses.dataclass(frozen=True)
class MotionModel:
    """How a source is expected to move, to appear and to end: the model of the smoothing.

    The azimuth is a random walk. At a pair of microphones it is reflected at 0° and 180°, as the
    azimuth of a source is that crosses the axis of the microphones; at an array it is on a circle,
    on which 359° is next to 0°. Now and then it jumps to any direction, for example because another
    sound of the prompted kind takes over. The sound begins and ends after times of exponential
    distribution.

    Args:
        speed: Standard deviation in degrees of the change of the azimuth within one second. Within
            s seconds it is `speed * sqrt(s)`.
        jump_rate: Expected number of jumps per second.
        mean_presence: Mean duration in seconds of the prompted sound.
        mean_absence: Mean duration in seconds of the pauses between two such sounds.
        outliers: Share of windows whose posterior has no relation to the azimuth, from 0 to 1. It
            limits how much a single window can change the result.
        evidence: Weight of a window as the exponent of its likelihood. `None` for `hop / window`,
            at most 1: where windows overlap, a sample then counts once. The smoothed presence
            takes each window as it is.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> MotionModel(speed=5.0, mean_presence=2.0)
        <MotionModel: 5° in a second, 0.05 jumps per second, 2 s present, 1 s absent>

    Reference:
        Beyond the paper: a hidden Markov model over the grid of directions.
    """

    speed: float = 20.0
    jump_rate: float = 0.05
    mean_presence: float = 1.0
    mean_absence: float = 1.0
    outliers: float = 0.1
    evidence: float | None = None

    def __post_init__(self) -> None:
        """Checks the values."""
        check_number("speed", self.speed, 0.0, 1e6)
        check_number("jump_rate", self.jump_rate, 0.0, 1e6)
        check_positive_number("mean_presence", self.mean_presence, "duration in seconds")
        check_positive_number("mean_absence", self.mean_absence, "duration in seconds")
        check_number("outliers", self.outliers, 0.0, 1.0)
        if self.evidence is not None:
            check_number("evidence", self.evidence, 0.0, 1e3)

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{self.speed:g}° in a second",
            f"{self.jump_rate:g} jumps per second",
            f"{self.mean_presence:g} s present",
            f"{self.mean_absence:g} s absent",
        )

    def transition(self, seconds: float, circular: bool = False) -> np.ndarray:
        """Computes the probabilities of the next direction, given the present one.

        Args:
            seconds: Time between the two.
            circular: Whether the directions are the 360 of an array, in place of the 180 of a pair.

        Returns:
            float64 array of shape (180, 180), its rows of sum one: row i belongs to the present
            direction of i + 1 degrees. With `circular`, of shape (360, 360), row i belongs to i
            degrees.

        Raises:
            ValueError: If `seconds` is not positive.

        Example:
            >>> MotionModel(speed=5.0).transition(0.25).shape
            (180, 180)
            >>> around = MotionModel(speed=5.0).transition(0.25, circular=True)
            >>> bool(np.isclose(around[0, 359], around[0, 1]))
            True
        """
        check_positive_number("seconds", seconds, "time in seconds")
        walk = _circular_walk if circular else _reflected_walk
        moves = walk(self.speed * math.sqrt(seconds))
        jump = -math.expm1(-self.jump_rate * seconds)
        return (1.0 - jump) * moves + jump / len(moves)

    def chain(
        self, seconds: float, with_presence: bool, circular: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes the Markov chain of windows that follow one another.

        Args:
            seconds: Time from one window to the next.
            with_presence: Whether there is a state in which the sound is absent, the last one.
            circular: Whether the directions are the 360 of an array, see `transition`.

        Returns:
            Tuple of the initial probabilities of the states, shape (S,), and those of the next
            state, shape (S, S), both float64; S is 180 or 360, and one more with the absence.
        """
        moves = self.transition(seconds, circular)
        uniform = np.full(len(moves), 1.0 / len(moves))
        if not with_presence:
            return uniform, moves
        (present, absent), ((_, ends), (begins, stays)) = self.presence_chain(seconds)
        matrix = np.empty((len(moves) + 1, len(moves) + 1))
        matrix[:-1, :-1] = (1.0 - ends) * moves
        matrix[:-1, -1] = ends
        matrix[-1, :-1] = begins * uniform
        matrix[-1, -1] = stays
        return np.append(present * uniform, absent), matrix

    def presence_chain(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Computes the Markov chain of the presence alone: its states are present and absent.

        Args:
            seconds: Time from one window to the next.

        Returns:
            Tuple of the initial probabilities, those of the chain in the long run, shape (2,), and
            those of the next state, shape (2, 2), both float64.

        Raises:
            ValueError: If `seconds` is not positive.

        Example:
            >>> initial, matrix = MotionModel().presence_chain(0.25)
            >>> initial
            array([0.5, 0.5])
        """
        check_positive_number("seconds", seconds, "time in seconds")
        ends = -math.expm1(-seconds / self.mean_presence)
        begins = -math.expm1(-seconds / self.mean_absence)
        initial = np.array([begins, ends]) / (begins + ends)
        return initial, np.array([[1.0 - ends, ends], [begins, 1.0 - begins]])


def _reflected_walk(deviation: float) -> np.ndarray:
    """Probabilities (180, 180) of a normal step, in degrees, reflected at 0° and 180°."""
    if deviation == 0.0:
        return np.eye(NUM_DIRECTIONS)
    start = GRID_DEGREES.astype("float64")[:, None]
    low, high = _EDGES[None, :-1], _EDGES[None, 1:]
    rows = np.zeros((NUM_DIRECTIONS, NUM_DIRECTIONS))
    # Steps of more than a turn count as a turn.
    for turn in (-360.0, 0.0, 360.0):
        # Twice the first fold, from which the mirror image is measured.
        mirror = turn + 2.0 * _EDGES[0]
        for a, b in ((low + turn, high + turn), (mirror - high, mirror - low)):
            rows += ndtr((b - start) / deviation) - ndtr((a - start) / deviation)
    return rows / rows.sum(axis=1, keepdims=True)


def _circular_walk(deviation: float) -> np.ndarray:
    """Probabilities (360, 360) of a normal step, in degrees, on a circle."""
    size = len(FULL_CIRCLE)
    if deviation == 0.0:
        return np.eye(size)
    steps = np.arange(size)
    row = np.zeros(size)
    # Steps of more than two turns count as two.
    for turn in (-720.0, -360.0, 0.0, 360.0):
        low, high = steps + turn - 0.5, steps + turn + 0.5
        row += ndtr(high / deviation) - ndtr(low / deviation)
    row = (row + np.roll(row[::-1], 1)) / 2  # as likely to either side
    return row[(steps[None, :] - steps[:, None]) % size] / row.sum()
