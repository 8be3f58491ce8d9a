"""One-line `repr` of objects, `<Name: facts>`, and its parts."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

_LONGEST = 118  # characters


def one_line(thing: object, *facts: object) -> str:
    """The `__repr__` of an object: its class and the facts that are not empty.

    It is cut at 118 characters.
    """
    words = " ".join(", ".join(str(fact) for fact in facts if fact).split())
    line = f"<{type(thing).__name__}: {words}>"
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 2]}…>"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: `1 room`, `300 rooms`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def span(values: ArrayLike, unit: str = "", digits: int = 3) -> str:
    """The least and the greatest of some numbers, `0.2–0.8 s`; empty if none is finite."""
    finite = np.asarray(values, "float64").ravel()
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return ""
    low, high = (f"{value:.{digits}g}".replace("-", "−") for value in (finite.min(), finite.max()))
    between = " to " if "−" in low else "–"
    return (low if low == high else f"{low}{between}{high}") + unit


def names(values: Iterable[object], most: int = 3) -> str:
    """The first of some names: `bell, dog, rain, …`."""
    words = [str(value) for value in values]
    return ", ".join(words[:most]) + (", …" if len(words) > most else "")
