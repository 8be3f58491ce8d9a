"""Wall absorption calibrated so that image-source responses have a given T60."""

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.simulation.absorption import (
    eyring_decay_time,
    formula_absorption,
)
from keras_avssan.simulation.expected_decay import octant
from keras_avssan.simulation.grazing_images import grazing_weights
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

# Directions along the walls in the quadrature over a quarter of a circle.
_ANGLES = 24

# Images in phase change the absorption by a factor up to about this, and never lower it by more
# than rounding.
_LARGEST_CHANGE, _MARGIN = 1.5, 1e-3

# A decay that does not reach the last level counts as so many times the requested one.
_MAX_RATIO = 10.0


def calibrated_absorption(
    room_size: ArrayLike,
    t60: ArrayLike,
    speed_of_sound: float = SPEED_OF_SOUND,
    *,
    interference: bool = True,
) -> np.ndarray:
    """Computes the absorption of all walls for which the image-source model has a given T60.

    Sabine's and Eyring's formulas hold for a diffuse field. The field of a shoebox room by the
    image-source model is not diffuse: paths along its long sides meet few walls, others many. Here
    the absorption is solved for such that T30 equals the reverberation time. T30 is measured on the
    energy decay curve that is expected over all positions, between 100 Hz and 8 kHz: the sum of the
    images' energies, and the interference of images along the walls, which arrive in phase and
    govern the late decay of rooms several times as long as they are high.

    `reverberation_time` of single responses scatters around it, by a few per cent between
    positions, and more where T60 is short and the room large or long.

    Args:
        room_size: Lengths of the room in metres, shape `(3,)` or `(batch, 3)`.
        t60: Reverberation time in seconds, a number or shape `(batch,)`.
        speed_of_sound: Speed of sound in metres per second.
        interference: Whether images interfere. For a diffuse tail, which continues the sum of the
            images' energies, it is `False`.

    Returns:
        float64 NumPy array of absorption coefficients up to 0.8, shape `()` or `(batch,)`.

    Raises:
        ValueError: If `t60` is not positive and finite, so short that the walls would have to
            absorb more than 80 % of the energy, or so long that they would absorb less than 0.1 %.

    Example:
        >>> float(calibrated_absorption((6.0, 5.0, 3.0), t60=0.4).round(2))
        0.31

    Reference:
        E. A. Lehmann and A. M. Johansson, Prediction of energy decay in room impulse responses
        simulated with an image-source model, JASA 124, 2008.
    """
    size = check_room_size(room_size)
    t60 = check_positive(t60, "t60")
    speed_of_sound = float(check_positive(speed_of_sound, "speed_of_sound"))
    batch = np.broadcast_shapes(size.shape[:-1], t60.shape)
    sizes, times = np.broadcast_to(size, (*batch, 3)), np.broadcast_to(t60, batch)
    absorption = np.empty(batch)
    for index in np.ndindex(batch):
        room = tuple(sizes[index].tolist()), float(times[index])
        try:
            absorption[index] = _solve(*room, speed_of_sound, interference)
        except _Unreachable as error:
            raise _unreachable(*room, index, *error.args) from None
    return absorption


def wall_absorption(
    room_size: ArrayLike,
    t60: ArrayLike,
    formula: str,
    calibrate: bool = False,
    speed_of_sound: float = SPEED_OF_SOUND,
    tail: bool = False,
) -> np.ndarray:
    """Absorption of all walls from the reverberation time, by a formula or calibrated."""
    if calibrate:
        return calibrated_absorption(room_size, t60, speed_of_sound, interference=not tail)
    return formula_absorption(room_size, t60, formula, speed_of_sound)


class _Unreachable(Exception):
    """The absorption that would be needed, and how to change the reverberation time."""


# The absorption of a room of a bank is needed twice: when it is drawn, and when simulated.
@functools.lru_cache(maxsize=64)
def _solve(size: tuple[float, ...], t60: float, speed_of_sound: float, interference: bool) -> float:
    """Absorption of one room."""
    if t60 > eyring_decay_time(size, _MIN_ABSORPTION, speed_of_sound):
        raise _Unreachable(f"less than {_MIN_ABSORPTION:g}", "shorter")
    times = (np.arange(_STEPS) + 0.5) / _STEPS * _FOLLOWED * t60
    power = _power_of_absorption(np.array(size), times * speed_of_sound, speed_of_sound)

    def excess(absorption: float, interference: bool) -> float:
        decay_time = _decay_time(power(absorption, interference), times)
        return min(decay_time / t60, _MAX_RATIO) - 1

    if excess(_MAX_ABSORPTION, interference) > 0:
        raise _Unreachable(f"more than {_MAX_ABSORPTION:g}", "longer")
    least = optimize.brentq(excess, _MIN_ABSORPTION / 2, _MAX_ABSORPTION, (False,), xtol=1e-6)
    if not interference:
        return least
    # In phase images decay more slowly: the walls absorb more, seldom by as much as a third.
    most = min(_LARGEST_CHANGE * least, _MAX_ABSORPTION)
    most = most if excess(most, True) <= 0 else _MAX_ABSORPTION
    return optimize.brentq(excess, least * (1 - _MARGIN), most, (True,), xtol=1e-6)


def _unreachable(
    size: tuple[float, ...], t60: float, index: tuple[int, ...], needed: str, change: str
) -> ValueError:
    place = f" (index {', '.join(map(str, index))} of the batch)" if index else ""
    return ValueError(
        f"`t60` of {t60:g} s{place} cannot be reached in a room of {size[0]:g} x {size[1]:g} x "
        f"{size[2]:g} m by images: its walls would need an absorption of {needed}. Give a "
        f"{change} `t60` or another room. Received: t60={t60:g}"
    )


def _decay_time(power: np.ndarray, times: np.ndarray) -> float:
    """T30 of the power in equal time steps around `times`; infinity if it is not reached."""
    energy = np.cumsum(power[::-1])[::-1]
    level = 10 * np.log10(np.maximum(energy / energy[0], 1e-300))
    if level[-1] > _LAST_LEVEL:
        return np.inf
    starts = times - times[0]
    first, last = np.interp([-_FIRST_LEVEL, -_LAST_LEVEL], -level, starts)
    points = np.linspace(first, last, _POINTS)
    return -60 / np.polyfit(points, np.interp(points, starts, level), 1)[0]


def _power_of_absorption(
    size: np.ndarray, distances: np.ndarray, speed_of_sound: float
) -> Callable[[float, bool], np.ndarray]:
    """The expected power at each distance, times a constant, as a function of the absorption.

    It is the sum over the shares of images by their number of reflections, weighted by energy.
    """
    everywhere = _order_shares(distances[:, None, None] * octant()[0] / size, octant()[1])
    angles, weights = _quarter_circle()
    along_walls: list[np.ndarray] = []
    along_axes: list[np.ndarray] = []
    for axis in range(3):
        first, second = np.delete(size, axis)
        sides = np.stack([np.cos(angles) / first, np.sin(angles) / second], axis=-1)
        along_walls.append(_order_shares(distances[:, None, None] * sides, weights))
        along_axes.append(_order_shares(distances[:, None, None] / size[axis], np.ones(1)))

    def power(absorption: float, interference: bool) -> np.ndarray:
        energies = (1 - absorption) ** np.arange(everywhere.shape[1] + len(size))
        total = everywhere @ energies[: everywhere.shape[1]]
        if interference:
            weights = grazing_weights(size, 1 - absorption, distances, speed_of_sound)
            for weight, shares in zip(
                np.concatenate(weights), along_walls + along_axes, strict=True
            ):
                total = total + weight * (shares @ energies[: shares.shape[1]])
        return total

    return power


def _order_shares(crossings: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share `(n, orders)` of the images that were reflected 0, 1, 2, ... times.

    `crossings` `(n, directions, axes)` are the lengths of the room that paths span along each axis.
    """
    num_axes = crossings.shape[-1]
    counts = np.floor(crossings)
    fractions = crossings - counts
    orders = counts.sum(axis=-1).astype(int)
    num_orders = orders.max() + num_axes + 1
    # Along each axis, the fraction is the share of images with one reflection more.
    chances = [np.stack([1 - fraction, fraction]) for fraction in np.moveaxis(fractions, -1, 0)]
    extra = np.zeros((*orders.shape, num_axes + 1))
    for more in itertools.product((0, 1), repeat=num_axes):
        share = math.prod(chance[k] for chance, k in zip(chances, more, strict=True))
        extra[..., sum(more)] += share * weights
    rows = np.arange(len(crossings))[:, None, None] * num_orders
    index = rows + orders[..., None] + np.arange(num_axes + 1)
    shares = np.bincount(index.ravel(), extra.ravel(), minlength=len(crossings) * num_orders)
    return shares.reshape(len(crossings), num_orders)


def _quarter_circle() -> tuple[np.ndarray, np.ndarray]:
    """Angles of a quadrature over a quarter of a circle, and their weights, which sum to one."""
    nodes, weights = np.polynomial.legendre.leggauss(_ANGLES)
    return np.pi / 4 * (nodes + 1), weights / 2
