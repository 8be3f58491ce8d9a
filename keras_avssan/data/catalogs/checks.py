"""Checks of classes and splits."""

from collections.abc import Iterable

import numpy as np


def check_classes(
    classes: str | Iterable[str], known: Iterable[str], name: str = "classes"
) -> tuple[str, ...]:
    """Returns `classes` as a tuple without repetitions; refuses none, and unknown ones."""
    names = tuple(dict.fromkeys([classes] if isinstance(classes, str) else classes))
    known = sorted(known)
    unknown = tuple(each for each in names if each not in known)
    if unknown or not names:
        raise ValueError(
            f"`{name}` must name one or more of {known}. Received: {name}={unknown or names!r}"
        )
    return names


def check_splits(splits: tuple[float, float, float]) -> dict[str, float]:
    """Returns the share of each split, normalised; splits of share 0 are left out."""
    shares = np.asarray(splits, "float64")
    valid = shares.shape == (3,) and np.isfinite(shares).all() and shares.min() >= 0
    if not valid or not shares.any():
        raise ValueError(
            "`splits` must be three non-negative shares (train, val, test) that are not all "
            f"zero. Received: splits={splits!r}"
        )
    named = zip(("train", "val", "test"), shares / shares.sum(), strict=True)
    return {name: float(share) for name, share in named if share}
