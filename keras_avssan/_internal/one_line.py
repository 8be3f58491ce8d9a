"""What an object says of itself: one line, `<Name: facts>`."""

from typing import Any

import numpy as np

_LONGEST = 118  # characters


def one_line(thing: Any, *facts):
    """The `__repr__` of an object: its class and facts, those that are empty left out.

    Cut where it would be longer than 118 characters.
    """
    words = " ".join(", ".join(str(fact) for fact in facts if fact).split())
    line = f"<{type(thing).__name__}: {words}>"
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 2]}…>"


def count(number: int, noun, plural=None) -> str:
    """A number with its noun: `1 room`, `300 rooms`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def span(values: Any, unit: str = "", digits: int = 3):
    """The least and the greatest of some numbers, `0.2–0.8 s`; empty where there are none."""
    values = np.asarray(values, "float64").ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        return ""
    low, high = (f"{value:.{digits}g}".replace("-", "−") for value in (values.min(), values.max()))
    between = " to " if "−" in low else "–"
    return (low if low == high else f"{low}{between}{high}") + unit


def names(values: Any, most: int = 3):
    """The first of some names: `bell, dog, rain, …`."""
    values = [str(value) for value in values]
    return ", ".join(values[:most]) + (", …" if len(values) > most else "")
