"""Checks of the settings by which rooms vary beyond their shape."""

from typing import TYPE_CHECKING

import numpy as np

from keras_avssan._internal.checks import check_number
from keras_avssan.simulation.image_source.directivity import omni_share

if TYPE_CHECKING:
    from keras_avssan.simulation.rooms import RoomRanges

NUM_BANDS = 7  # octave bands from 125 Hz to 8 kHz
_MOST_GAIN = 40.0  # dB
_HALF_TURN = 180.0  # degrees
_LEAST_FACTOR, _MOST_FACTOR = 0.1, 10.0


def check_variation(ranges: "RoomRanges") -> None:
    """Raises a ValueError for errors, patterns and factors out of range."""
    check_number("gain_error", ranges.gain_error, 0, _MOST_GAIN)
    for name in ("phase_error", "source_turn"):
        check_number(name, getattr(ranges, name), 0, _HALF_TURN)
    # Displaced microphones stay in the room, and apart.
    most = min(ranges.wall_margin, ranges.spacing / 4)
    check_number("position_error", ranges.position_error, 0, np.inf)
    if ranges.position_error and ranges.position_error >= most:
        raise ValueError(
            "`position_error` must be below `wall_margin` and a quarter of `spacing`, here "
            f"{most:g} m. Received: position_error={ranges.position_error:g}"
        )
    omni_share(ranges.source_pattern, "source_pattern")
    _check_factors(ranges.absorption_factor)


def _check_factors(value: object) -> None:
    try:
        factors = np.asarray(value, "float64")
    except (TypeError, ValueError):  # words, or lists of unequal lengths
        factors = np.full(0, np.nan)
    low, high = np.moveaxis(factors, -1, 0) if factors.shape in ((2,), (NUM_BANDS, 2)) else (0, 0)
    if not np.all((low >= _LEAST_FACTOR) & (low <= high) & (high <= _MOST_FACTOR)):
        raise ValueError(
            f"`absorption_factor` must be (lowest, highest) within {_LEAST_FACTOR:g} to "
            f"{_MOST_FACTOR:g}, or {NUM_BANDS} such pairs, one for each octave band. "
            f"Received: absorption_factor={value}"
        )


def band_factors(ranges: "RoomRanges") -> np.ndarray:
    """The range of the absorption's factor in each octave band, shape `(7, 2)`."""
    return np.broadcast_to(np.asarray(ranges.absorption_factor, "float64"), (NUM_BANDS, 2))
