"""Checks of classes and splits."""

from collections.abc import Iterable

import numpy as np


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
