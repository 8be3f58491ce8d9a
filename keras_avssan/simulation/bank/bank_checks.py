"""Checks of the arrays of a bank."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_avssan.simulation.bank.sharded_rirs import ShardedRIRs

_TINY = float(np.finfo("float32").tiny)
_ANY = (-np.inf, np.inf)
# Least and greatest value of each array, and their meaning.
_VALUES: dict[str, tuple[float, float, str]] = {
    "rirs": (*_ANY, "finite samples"),
    "azimuths": (0.0, 180.0, "degrees from 0, beside microphone 1, to 180"),
    "t60": (_TINY, np.inf, "positive times in seconds"),
    "room_sizes": (_TINY, np.inf, "positive lengths in metres"),
    "microphones": (*_ANY, "finite positions in metres"),
    "sources": (*_ANY, "finite positions in metres"),
    "absorption": (0.0, np.inf, "finite shares of energy"),
    "groups": (0, np.inf, "numbers of rooms from 0 on"),
    "measured": (0, 1, "True or False"),
    "origins": (0, np.inf, "numbers of banks from 0 on"),
    "shares": (_TINY, 1.0, "positive shares"),
    "band_absorption": (0.0, 1.0, "shares of energy"),
    "microphone_gains": (*_ANY, "finite gains in dB"),
    "microphone_phases": (*_ANY, "finite phases in degrees"),
    "microphone_offsets": (*_ANY, "finite offsets in metres"),
    "source_orientations": (*_ANY, "finite directions"),
}
# Those that a bank may lack, and those that may be NaN, not known, in measured rooms.
_OPTIONAL = tuple(_VALUES)[6:]
_UNKNOWN = ("t60", "room_sizes")
_BANDS = 7


def check_arrays(fields: Mapping[str, Any]) -> None:
    """Raises a ValueError for arrays that do not fit together or hold other values."""
    for name in _VALUES:
        array = fields[name]
        if not hasattr(array, "shape") and (array is not None or name not in _OPTIONAL):
            raise TypeError(
                f"`{name}` must be an array. Received: {name} of {type(array).__name__}"
            )
    rirs = fields["rirs"]
    if rirs.ndim != 4 or rirs.shape[2] != 2 or 0 in rirs.shape:
        raise ValueError(
            f"`rirs` must have shape (rooms, S, 2, length). Received: rirs of shape {rirs.shape}"
        )
    for name, shape in _shapes(*rirs.shape[:2]).items():
        array = fields[name]
        if array is not None and array.shape != shape:
            raise ValueError(
                f"`{name}` must have shape {shape} to fit `rirs`. "
                f"Received: {name} of shape {array.shape}"
            )
    for name, (least, most, kind) in _VALUES.items():
        array = fields[name]
        if array is not None and not isinstance(array, ShardedRIRs):
            unknown = fields["measured"] if name in _UNKNOWN else None
            _check_values(name, array, least, most, kind, unknown)
    _check_mixture(fields["groups"], fields["origins"], fields["shares"])


def _shapes(rooms: int, sources: int) -> dict[str, tuple[int, ...]]:
    return {
        "azimuths": (rooms, sources),
        "t60": (rooms,),
        "room_sizes": (rooms, 3),
        "microphones": (rooms, 2, 3),
        "sources": (rooms, sources, 3),
        "absorption": (rooms, 6),
        "groups": (rooms,),
        "measured": (rooms,),
        "origins": (rooms,),
        "band_absorption": (rooms, _BANDS),
        "microphone_gains": (rooms, 2),
        "microphone_phases": (rooms, 2),
        "microphone_offsets": (rooms, 2, 3),
        "source_orientations": (rooms, sources, 3),
    }


def _check_values(
    name: str,
    array: np.ndarray,
    least: float,
    most: float,
    kind: str,
    unknown: np.ndarray | None,
) -> None:
    """Raises a ValueError for values other than numbers of a range, and names the room.

    Where `unknown` is `True` they may be NaN.
    """
    if array.dtype.kind not in ("b" if name == "measured" else "fiu"):
        raise ValueError(f"`{name}` must hold {kind}. Received: {name} of dtype {array.dtype}")
    for row, values in enumerate(array):
        good = np.isfinite(values) & (values >= least) & (values <= most)
        if unknown is not None and unknown[row]:
            good |= np.isnan(values)
        if not good.all():
            found = np.asarray(values)[~good].flat[0]
            raise ValueError(f"`{name}` must hold {kind}. Received: {name}={found} in room {row}")


def _check_mixture(
    groups: np.ndarray | None, origins: np.ndarray | None, shares: np.ndarray | None
) -> None:
    """Checks that rows of a room stand together, and that each bank of a mixture has its share."""
    if groups is not None:
        begins = 1 + np.count_nonzero(np.diff(groups))
        if begins != len(np.unique(groups)):
            raise ValueError(
                "`groups` must hold equal numbers one after another. "
                f"Received: {begins} changes of {len(np.unique(groups))} numbers"
            )
    if (origins is None) != (shares is None):
        raise ValueError(
            "`origins` and `shares` must be given together. Received: "
            f"origins={origins is not None}, shares={shares is not None}"
        )
    if (
        origins is not None
        and shares is not None
        and (shares.ndim != 1 or origins.dtype.kind not in "iu" or origins.max() >= len(shares))
    ):
        raise ValueError(
            "`shares` must hold a share for each number of `origins`. Received: shares of shape "
            f"{shares.shape}, origins up to {origins.max()}"
        )
