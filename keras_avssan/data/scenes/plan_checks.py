"""Checks of a scene plan's arguments."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_avssan._internal.checks import check_integer, check_number
from keras_avssan.data.scenes.scene import PROMPT_KINDS

if TYPE_CHECKING:
    from keras_avssan.data.catalogs.catalog import Catalog
    from keras_avssan.simulation import RIRBank

_MOST_DB = 200.0  # of a level above another; beyond it float32 loses the lower one


def check_catalog(
    catalog: "Catalog", bank: "RIRBank", split: str | None, reference_split: str | None
) -> None:
    """Refuses a catalog and a bank at different sampling rates, and unknown splits."""
    for name, value, kind in (("catalog", catalog, "a `Catalog`"), ("bank", bank, "an `RIRBank`")):
        if not hasattr(value, "sampling_rate"):
            raise TypeError(f"`{name}` must be {kind}. Received: {name}={value!r}")
    if catalog.sampling_rate != bank.sampling_rate:
        raise ValueError(
            "`catalog` and `bank` must have the same `sampling_rate`. Received: "
            f"{catalog.sampling_rate} Hz and {bank.sampling_rate} Hz"
        )
    if split is not None and split not in catalog.splits:
        raise ValueError(
            f"`split` must be one of {list(catalog.splits)} or None. Received: split={split!r}"
        )
    if reference_split is not None and reference_split not in catalog.splits:
        raise ValueError(
            f"`reference_split` must be one of {list(catalog.splits)}. "
            f"Received: reference_split={reference_split!r}"
        )


def check_num_interferers(number: int, slots: int, classes: int, absent: bool) -> int:
    """Returns the number of interferers; refuses more than a room or the classes have room for."""
    number = check_integer("num_interferers", number, least=1)
    if number >= slots:
        raise ValueError(
            f"`num_interferers` must be less than the {slots} source positions of each room of "
            f"`bank`. Received: num_interferers={number}"
        )
    needed = 1 + number + bool(absent)
    if 2 < needed > classes:
        raise ValueError(
            f"`num_interferers` with `absent={absent}` needs {needed} classes, but the split has "
            f"{classes}. Received: num_interferers={number}"
        )
    return number


def check_prompt_kinds(kinds: Sequence[str]) -> None:
    """Refuses anything but a tuple of one or more of `PROMPT_KINDS`."""
    if not isinstance(kinds, (tuple, list)) or not kinds or set(kinds) - set(PROMPT_KINDS):
        raise ValueError(
            f"`prompt_kinds` must be a tuple of one or more of {PROMPT_KINDS}. "
            f"Received: prompt_kinds={kinds!r}"
        )


def check_switch(name: str, value: Any) -> None:
    """Refuses anything but a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")


def check_augmentation(speed: tuple[float, float], equalise: float) -> None:
    """Refuses factors of speed and gains of the equaliser that are out of range."""
    limits = _numbers(speed)
    if limits.shape != (2,) or not 0.25 <= limits[0] <= limits[1] <= 4:
        raise ValueError(
            f"`speed` must be (low, high), factors from 0.25 to 4. Received: speed={speed!r}"
        )
    check_number("equalise", equalise, 0, 40)


def decibel_range(name: str, value: float | tuple[float, float]) -> tuple[float, float]:
    """Returns a range of decibels as a pair of floats; a single number is both ends."""
    limits = _numbers(value)
    if limits.shape in ((), (2,)):
        low, high = np.broadcast_to(limits, 2).tolist()
        if -_MOST_DB <= low <= high <= _MOST_DB:
            return low, high
    raise ValueError(
        f"`{name}` must be a number or (low, high) in dB, from {-_MOST_DB:g} to {_MOST_DB:g}. "
        f"Received: {name}={value!r}"
    )


def room_range(rooms: tuple[int, int], count: int) -> tuple[int, int]:
    """Returns `rooms` as integers, checked against the number of a bank's rooms."""
    limits = _numbers(rooms)
    whole = limits.shape == (2,) and np.isfinite(limits).all() and not np.any(limits % 1)
    start, stop = limits.astype(int).tolist() if whole else (0, 0)
    if not 0 <= start < stop <= count:
        raise ValueError(
            f"`rooms` must be (start, stop) within the bank's {count} rooms. "
            f"Received: rooms={rooms!r}"
        )
    return start, stop


def _numbers(value: Any) -> np.ndarray:
    """One number or several as float64; an empty array where `value` is anything else."""
    try:
        numbers = np.asarray(value)
    except ValueError:  # of lists of unequal lengths
        return np.full(0, np.nan)
    return numbers.astype("float64") if numbers.dtype.kind in "iuf" else np.full(0, np.nan)
