"""A half circle of directions in a terminal."""

import math
from collections.abc import Sequence

# Columns and rows of the half circle; a character is about twice as high as wide.
_WIDTH, _HEIGHT = 61, 16
_RIM, _INSIDE = "·", 0.72
_MARKS = "●◆■▲"


def half_circle(names: Sequence[str], azimuths: Sequence[float | None]) -> list[str]:
    """Lines of a half circle with a mark at each azimuth in degrees, 0 on the right.

    Below it stand the marks with their names and azimuths; `None` has no mark in it.
    """
    rows = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for degrees in range(0, 181, 3):
        _put(rows, degrees, 1.0, _RIM)
    for degrees in (0, 90, 180):
        _write(rows, degrees, f"{degrees}")
    rows[-1][_WIDTH // 2] = "+"
    legend = []
    for place, (name, azimuth) in enumerate(zip(names, azimuths, strict=True)):
        mark = _MARKS[place % len(_MARKS)]
        if azimuth is None:
            legend.append(f"{mark} {name}: no direction")
            continue
        for share in (0.3, 0.5):
            _put(rows, azimuth, share, "∙")
        _put(rows, azimuth, _INSIDE, mark)
        legend.append(f"{mark} {name}: {azimuth:.0f} degrees")
    return ["".join(row).rstrip() for row in rows] + legend


def _place(degrees: float, share: float) -> tuple[int, int]:
    """Row and column of a point at a share of the radius."""
    angle = math.radians(degrees)
    column = round((_WIDTH - 1) / 2 * (1.0 + share * math.cos(angle)))
    return round((_HEIGHT - 1) * (1.0 - share * math.sin(angle))), column


def _put(rows: list[list[str]], degrees: float, share: float, sign: str) -> None:
    row, column = _place(degrees, share)
    rows[row][column] = sign


def _write(rows: list[list[str]], degrees: int, text: str) -> None:
    """Writes a label at the rim, within the half circle."""
    row, column = _place(degrees, 1.0)
    start = min(max(column - len(text) // 2, 0), _WIDTH - len(text))
    rows[row][start : start + len(text)] = text
