"""Wall absorption that gives a room its reverberation time."""

import math

import numpy as np
from numpy.typing import ArrayLike

from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.simulation.validation import check_absorption, check_positive, check_room_size

# Walls that absorb more than this take 60 dB from a wave at its first reflection.
_MAX_EYRING_ABSORPTION = 1 - 1e-6


def sabine_absorption(
    room_size: ArrayLike, t60: ArrayLike, speed_of_sound: float = SPEED_OF_SOUND
) -> np.ndarray:
    r"""Absorption of all walls from the reverberation time, by Sabine's formula.

    \(\alpha = 24 \ln(10)\, V / (c\, S\, T_{60})\), with volume V and wall surface S.

    Args:
        room_size: lengths of the room in metres, shape `(3,)` or `(batch, 3)`.
        t60: reverberation time in seconds, a number or shape `(batch,)`.
        speed_of_sound: in metres per second.

    Returns:
        float64 NumPy array of absorption coefficients in (0, 1], shape `()` or `(batch,)`.

    Raises:
        ValueError: If `t60` is not positive and finite, or so short that the walls would have to
            absorb more than all of the energy.

    Example:
    >>> float(sabine_absorption((6.0, 5.0, 3.0), t60=0.4).round(3))
    0.288

    Reference:
        W. C. Sabine, Collected Papers on Acoustics, 1922.
    """
    exponent = _sabine_exponent(room_size, t60, speed_of_sound)
    _refuse(exponent > 1, "Sabine", room_size, t60, exponent)
    return exponent


def eyring_absorption(
    room_size: ArrayLike, t60: ArrayLike, speed_of_sound: float = SPEED_OF_SOUND
) -> np.ndarray:
    r"""Absorption of all walls from the reverberation time, by Eyring's formula.

    \(\alpha = 1 - \exp(-24 \ln(10)\, V / (c\, S\, T_{60}))\).

    Args:
        room_size: lengths of the room in metres, shape `(3,)` or `(batch, 3)`.
        t60: reverberation time in seconds, a number or shape `(batch,)`.
        speed_of_sound: in metres per second.

    Returns:
        float64 NumPy array of absorption coefficients in (0, 1), shape `()` or `(batch,)`.

    Raises:
        ValueError: If `t60` is not positive and finite, or so short that one reflection would
            have to take away 60 dB.

    Example:
    >>> float(eyring_absorption((6.0, 5.0, 3.0), t60=0.4).round(3))
    0.25

    Reference:
        C. F. Eyring, Reverberation time in "dead" rooms, JASA 1, 1930.
    """
    absorption = -np.expm1(-_sabine_exponent(room_size, t60, speed_of_sound))
    _refuse(absorption > _MAX_EYRING_ABSORPTION, "Eyring", room_size, t60, absorption)
    return absorption


def eyring_decay_time(
    room_size: ArrayLike, absorption: ArrayLike, speed_of_sound: float = SPEED_OF_SOUND
) -> np.ndarray:
    """Reverberation time in seconds by Eyring's formula, of the mean absorption by wall area.

    `absorption` is a number, `(batch,)` or `(batch, 6)`; it is limited to 60 dB a reflection.
    """
    size, absorption = check_room_size(room_size), check_absorption(absorption)
    if absorption.ndim == 2:
        areas = np.repeat(np.prod(size, axis=-1, keepdims=True) / size, 2, axis=-1)
        absorption = np.sum(absorption * areas, axis=-1) / np.sum(areas, axis=-1)
    absorption = np.minimum(absorption, _MAX_EYRING_ABSORPTION)
    return math.log(1e6) * _mean_free_path(size) / (-np.log1p(-absorption) * speed_of_sound)


def formula_absorption(
    room_size: ArrayLike, t60: ArrayLike, formula: str, speed_of_sound: float = SPEED_OF_SOUND
) -> np.ndarray:
    """Absorption of all walls from the reverberation time, by the named formula."""
    check_formula(formula)
    return _FORMULAS[formula](room_size, t60, speed_of_sound)


def check_formula(formula: str) -> None:
    """Checks that a formula for the absorption has this name."""
    if formula not in _FORMULAS:
        raise ValueError(
            f"`formula` must be one of {list(_FORMULAS)}. Received: formula={formula!r}"
        )


def _mean_free_path(size: np.ndarray) -> np.ndarray:
    volume = np.prod(size, axis=-1)
    surface = 2 * (
        size[..., 0] * size[..., 1] + size[..., 1] * size[..., 2] + size[..., 2] * size[..., 0]
    )
    return 4 * volume / surface


def _sabine_exponent(room_size: ArrayLike, t60: ArrayLike, speed_of_sound: float) -> np.ndarray:
    mean_free_path = _mean_free_path(check_room_size(room_size))
    return math.log(1e6) * mean_free_path / (speed_of_sound * check_positive(t60, "t60"))


def _refuse(
    infeasible: np.ndarray,
    formula: str,
    room_size: ArrayLike,
    t60: ArrayLike,
    absorption: np.ndarray,
) -> None:
    """Raises a ValueError for the first room whose walls would have to absorb too much."""
    if not np.any(infeasible):
        return
    first = tuple(int(index) for index in np.argwhere(infeasible)[0])
    size = np.broadcast_to(np.asarray(room_size, "float64"), (*infeasible.shape, 3))[first]
    time = np.broadcast_to(np.asarray(t60, "float64"), infeasible.shape)[first]
    where = f" (index {first[0]})" if first else ""
    raise ValueError(
        f"`t60` of {time:g} s cannot be reached in a room of "
        f"{size[0]:g} x {size[1]:g} x {size[2]:g} m{where} by {formula}'s formula: its walls would "
        f"need an absorption of {absorption[first]:.3f}. Give a longer `t60` or a smaller room. "
        f"Received: t60={time:g}"
    )


_FORMULAS = {"sabine": sabine_absorption, "eyring": eyring_absorption}
