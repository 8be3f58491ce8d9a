"""Wall absorption with which image-source responses have the reverberation time asked for."""

import itertools
from typing import Any

import numpy as np
from scipy import optimize

from keras_avssan.simulation.absorption import (
    SPEED_OF_SOUND,
    eyring_decay_time,
    formula_absorption,
)
from keras_avssan.simulation.expected_decay import octant
from keras_avssan.simulation.validation import check_positive, check_room_size

# The expected decay is followed for so many reverberation times, in so many steps.
_FOLLOWED = 1.5
_STEPS = 192

# The line is fitted to the decay between these levels, in decibels, at so many points.
_FIRST_LEVEL, _LAST_LEVEL = -5.0, -35.0
_POINTS = 64

# Range of the absorption. Walls that absorb more leave too few images for a decay to be measured;
# where they absorb less, the decay is too long to be followed.
_MIN_ABSORPTION, _MAX_ABSORPTION = 1e-3, 0.8

# A decay that does not reach the last level counts as so many times the one asked for.
_MAX_RATIO = 10.0


def calibrated_absorption(
    room_size: Any, t60: Any, speed_of_sound: float = SPEED_OF_SOUND
) -> np.ndarray:
    """Absorption of all walls with which the image-source model reaches the reverberation time.

    Sabine's and Eyring's formulas hold for a diffuse field. Image-source responses of a shoebox
    room are none: paths along its long sides meet few walls, others many. Here the absorption is
    solved for such that T30, measured on the energy decay curve of `expected_power`, is the
    reverberation time.

    `reverberation_time` of single responses scatters around it, by a few per cent between
    positions, and more where T60 is short and the room large. In rooms several times as long as
    they are high it lies higher, by up to 12 % in the median over positions: images along the room
    add up in phase below some hundred hertz, which the expected power leaves out.

    Args:
        room_size: lengths of the room in metres, shape `(3,)` or `(batch, 3)`.
        t60: reverberation time in seconds, a number or shape `(batch,)`.
        speed_of_sound: in metres a second.

    Returns:
        float64 NumPy array of absorption coefficients up to 0.8, shape `()` or `(batch,)`.

    Raises:
        ValueError: If `t60` is not positive and finite, so short that the walls would have to
            absorb more than 80 % of the energy, or so long that they would absorb less than 0.1 %.

    Example:
    >>> float(calibrated_absorption((6.0, 5.0, 3.0), t60=0.4).round(2))
    0.3

    Reference:
        E. A. Lehmann and A. M. Johansson, Prediction of energy decay in room impulse responses
        simulated with an image-source model, JASA 124, 2008.
    """
    size = check_room_size(room_size)
    t60 = check_positive(t60, "t60")
    speed_of_sound = float(check_positive(speed_of_sound, "speed_of_sound"))
    batch = np.broadcast_shapes(size.shape[:-1], t60.shape)
    absorption = np.empty(batch)
    for index in np.ndindex(batch):
        absorption[index] = _solve(
            np.broadcast_to(size, (*batch, 3))[index],
            float(np.broadcast_to(t60, batch)[index]),
            speed_of_sound,
            index,
        )
    return absorption


def wall_absorption(
    room_size: Any,
    t60: Any,
    formula: str,
    calibrate: bool = False,
    speed_of_sound: float = SPEED_OF_SOUND,
) -> np.ndarray:
    """Absorption of all walls from the reverberation time, by a formula or calibrated."""
    if calibrate:
        return calibrated_absorption(room_size, t60, speed_of_sound)
    return formula_absorption(room_size, t60, formula, speed_of_sound)


def _solve(size: np.ndarray, t60: float, speed_of_sound: float, index: tuple[int, ...]) -> float:
    """Absorption of one room; `index` is its place in the batch, for the error message."""
    if t60 > eyring_decay_time(size, _MIN_ABSORPTION, speed_of_sound):
        raise _unreachable(size, t60, index, f"less than {_MIN_ABSORPTION:g}", "shorter")
    times = (np.arange(_STEPS) + 0.5) / _STEPS * _FOLLOWED * t60
    shares = _order_shares(size, times * speed_of_sound)

    def excess(absorption: float) -> float:
        power = shares @ (1 - absorption) ** np.arange(shares.shape[1])
        return min(_decay_time(power, times) / t60, _MAX_RATIO) - 1

    if excess(_MAX_ABSORPTION) > 0:
        raise _unreachable(size, t60, index, f"more than {_MAX_ABSORPTION:g}", "longer")
    return optimize.brentq(excess, _MIN_ABSORPTION / 2, _MAX_ABSORPTION, xtol=1e-7)


def _unreachable(
    size: np.ndarray, t60: float, index: tuple[int, ...], needed: str, change: str
) -> ValueError:
    place = f" (index {', '.join(map(str, index))} of the batch)" if index else ""
    return ValueError(
        f"`t60` of {t60:g} s{place} cannot be reached in a room of {size[0]:g} x {size[1]:g} x "
        f"{size[2]:g} m by images: its walls would need an absorption of {needed}. Ask for a "
        f"{change} `t60` or another room."
    )


def _decay_time(power: np.ndarray, times: np.ndarray) -> float:
    """T30 of the power in equal steps of time around `times`; infinity where it is not reached."""
    energy = np.cumsum(power[::-1])[::-1]
    level = 10 * np.log10(np.maximum(energy / energy[0], 1e-300))
    if level[-1] > _LAST_LEVEL:
        return np.inf
    starts = times - times[0]
    first, last = np.interp([-_FIRST_LEVEL, -_LAST_LEVEL], -level, starts)
    points = np.linspace(first, last, _POINTS)
    return -60 / np.polyfit(points, np.interp(points, starts, level), 1)[0]


def _order_shares(size: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Share of the images at each distance that was reflected 0, 1, 2, ... times: `(n, orders)`.

    With the same absorption everywhere, the expected power is their sum, weighted by the energy
    that so many reflections leave, times a constant.
    """
    directions, weights = octant()
    crossings = distances[:, None, None] * directions / size
    counts = np.floor(crossings)
    fractions = crossings - counts
    orders = counts.sum(axis=-1).astype(int)
    num_orders = orders.max() + 4
    # Along each axis, the fraction is the share of images with one reflection more.
    chances = [np.stack([1 - fraction, fraction]) for fraction in np.moveaxis(fractions, -1, 0)]
    extra = np.zeros((*orders.shape, 4))
    for x, y, z in itertools.product((0, 1), repeat=3):
        extra[..., x + y + z] += chances[0][x] * chances[1][y] * chances[2][z] * weights
    rows = np.arange(len(distances))[:, None, None] * num_orders
    index = rows + orders[..., None] + np.arange(4)
    shares = np.bincount(index.ravel(), extra.ravel(), minlength=len(distances) * num_orders)
    return shares.reshape(len(distances), num_orders)
