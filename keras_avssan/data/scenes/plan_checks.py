"""Checks of a scene plan's arguments that need no more than the arguments themselves."""

from typing import Any

import numpy as np

from keras_avssan._internal.checks import check_number
from keras_avssan.data.scenes.scene import PROMPT_KINDS

_MOST_DB = 200.0  # of a level above another; beyond it float32 knows one of them only


def check_catalog(catalog: Any, bank: Any, split: str, reference_split):
    """Refuses a catalog and a bank that do not go together, and splits that are not there."""
    for name, value, kind in (("catalog", catalog, "a `Catalog`"), ("bank", bank, "an `RIRBank`")):
        if not hasattr(value, "sampling_rate"):
            raise TypeError(f"`{name}` must be {kind}. Received: {name}={value!r}")
    if catalog.sampling_rate != bank.sampling_rate:
        raise ValueError(
            f"`catalog` is at {catalog.sampling_rate} Hz, but `bank` at {bank.sampling_rate} Hz."
        )
    if split is not None and split not in catalog.splits:
        raise ValueError(f"Unknown `split` {split!r}; the catalog has {list(catalog.splits)}.")
    if reference_split is not None and reference_split not in catalog.splits:
        raise ValueError(
            f"`reference_split` must be one of {list(catalog.splits)}. "
            f"Received: reference_split={reference_split!r}"
        )


def check_prompt_kinds(kinds):
    """Refuses anything but a tuple of one or more of `PROMPT_KINDS`."""
    if not isinstance(kinds, (tuple, list)) or not kinds or set(kinds) - set(PROMPT_KINDS):
        raise ValueError(
            f"`prompt_kinds` must be a tuple of one or more of {PROMPT_KINDS}. "
            f"Received: prompt_kinds={kinds!r}"
        )


def check_switch(name: str, value: Any):
    """Refuses anything but a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")


def check_augmentation(speed, equalise):
    """Refuses factors of speed and gains of the equaliser that are out of range."""
    limits = _numbers(speed)
    if limits.shape != (2,) or not 0.25 <= limits[0] <= limits[1] <= 4:
        raise ValueError(
            f"`speed` must be (low, high), factors from 0.25 to 4. Received: speed={speed!r}"
        )
    check_number("equalise", equalise, 0, 40)


def decibel_range(name: str, value: Any):
    """A range of decibels as a pair of floats; a single number is both ends."""
    limits = _numbers(value)
    if limits.shape in ((), (2,)):
        low, high = np.broadcast_to(limits, 2).tolist()
        if -_MOST_DB <= low <= high <= _MOST_DB:
            return low, high
    raise ValueError(
        f"`{name}` must be a number or (low, high) in dB, within {_MOST_DB:g} to either side. "
        f"Received: {name}={value!r}"
    )


def room_range(rooms, count: int):
    """`(start, stop)` of rooms as integers, checked against the number of a bank's rooms."""
    limits = _numbers(rooms)
    whole = limits.shape == (2,) and np.isfinite(limits).all() and not np.any(limits % 1)
    start, stop = limits.astype(int).tolist() if whole else (0, 0)
    if not 0 <= start < stop <= count:
        raise ValueError(
            f"`rooms` must be (start, stop) within the bank's {count} rooms. "
            f"Received: rooms={rooms!r}"
        )
    return start, stop


def _numbers(value: Any):
    """One number or several as float64; an array of NaN of no use where it is something else."""
    try:
        numbers = np.asarray(value)
    except ValueError:  # of lists of unequal lengths
        return np.full(0, np.nan)
    return numbers.astype("float64") if numbers.dtype.kind in "iuf" else np.full(0, np.nan)
