"""Checks of arguments that several parts of `data` take."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def check_integer(name: str, value: Any, least: int = 0) -> int:
    """Check that an argument is a whole number.

    Args:
        name: Str. Name of the argument.
        value: The argument.
        least: Int. Smallest allowed value.

    Returns:
        Int.

    Raises:
        ValueError: It is not an integer, or less than `least`.
    """
    whole = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not whole or not np.isfinite(value) or value != int(value) or value < least:
        raise ValueError(f"`{name}` must be an integer of at least {least}, got {value!r}.")
    return int(value)


def check_number(name: str, value: Any, least: float, most: float) -> float:
    """Check that an argument is a number within a range.

    Args:
        name: Str. Name of the argument.
        value: The argument.
        least: Float. Smallest allowed value.
        most: Float. Greatest allowed value.

    Returns:
        Float.

    Raises:
        ValueError: It is no number, or out of the range.
    """
    number = isinstance(value, (int, float, np.integer, np.floating))
    if not number or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(
            f"`{name}` must be a number from {least:g} to {most:g}. Received: {name}={value!r}"
        )
    return float(value)


def check_classes(asked: str | Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Check that the classes asked for exist.

    Args:
        asked: Str or iterable of str.
        known: Iterable of str.

    Returns:
        Tuple of str: `asked`, without repetitions.

    Raises:
        ValueError: `asked` is empty, or holds a class that is not known.
    """
    asked = tuple(dict.fromkeys([asked] if isinstance(asked, str) else asked))
    known = sorted(known)
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ValueError(f"Unknown class {', '.join(map(repr, unknown))}; known are {known}.")
    if not asked:
        raise ValueError(f"`classes` names no class; known are {known}.")
    return asked


def check_splits(splits: tuple[float, float, float]) -> dict[str, float]:
    """Check the shares of the train, validation and test splits.

    Args:
        splits: Tuple of three non-negative numbers.

    Returns:
        Dict from split name to its share, normalised; splits of share 0 are left out.

    Raises:
        ValueError: There are not three, one is negative, or all are zero.
    """
    shares = np.asarray(splits, "float64")
    valid = shares.shape == (3,) and np.isfinite(shares).all() and shares.min() >= 0
    if not valid or not shares.any():
        raise ValueError(
            "`splits` must be three non-negative shares (train, val, test) that are not all "
            f"zero, got {splits!r}."
        )
    named = zip(("train", "val", "test"), shares / shares.sum(), strict=True)
    return {name: float(share) for name, share in named if share}
