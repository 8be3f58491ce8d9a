"""Reading of files with the positions of an array's microphones."""

import dataclasses
import json
import os
import pathlib
from typing import Any

from keras_avssan._internal.checks import path_of
from keras_avssan._internal.tables.csv_files import read_csv
from keras_avssan._internal.types import PathLike

_KEYS = ("positions", "name", "baffle")
_HEADINGS = (["x", "y"], ["x", "y", "z"])
_ENDINGS = (".csv", ".json")


@dataclasses.dataclass(frozen=True)
class Positions:
    """What a file says of an array, unchecked."""

    positions: Any
    name: str
    baffle: str = "open"


def read_positions(path: PathLike) -> Positions:
    """Reads positions from a CSV or JSON file."""
    path = path_of("path", path)
    stem, ending = os.path.splitext(os.path.basename(path))
    if ending.lower() not in _ENDINGS:
        raise ValueError(
            f"`path` must end in one of {', '.join(_ENDINGS)}. Received: path={path!r}"
        )
    if os.path.isdir(path):
        raise ValueError(f"`path` must be a file of positions. Received: path={path!r}, a folder")
    if ending.lower() == ".csv":
        return Positions(_rows(path), stem)
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"'{path}' must be a text file of positions. Received: a file that is not UTF-8"
        ) from error
    return _object(text, path, stem)


def _rows(path: str) -> list[list[float]]:
    """Numbers of a CSV file, without a heading."""
    rows = [_filled(row) for _, row in read_csv(path, f"'{path}'", _fits)]
    if rows and not any(map(_is_number, rows[0])):
        if _lower(rows[0]) not in _HEADINGS:
            raise ValueError(
                f"'{path}' must have the columns x, y and optionally z. Received: {rows[0]}"
            )
        rows = rows[1:]
    for row in rows:
        if not _all_numbers(row) or len(row) != len(rows[0]):
            raise ValueError(
                f"'{path}' must have rows of two or three numbers, x, y and z in metres with "
                f"decimal points, all of the same length. Received: {row}"
            )
    return [[float(cell) for cell in row] for row in rows]


def _fits(row: list[str]) -> bool:
    """Whether a first row is split where it should be."""
    row = _filled(row)
    return _lower(row) in _HEADINGS or (len(row) in (2, 3) and _all_numbers(row))


def _lower(row: list[str]) -> list[str]:
    return [cell.lower() for cell in row]


def _filled(row: list[str]) -> list[str]:
    """A row without the empty cells at its end, which a spreadsheet writes for empty columns."""
    while row and not row[-1]:
        row = row[:-1]
    return row


def _all_numbers(row: list[str]) -> bool:
    return bool(row) and all(map(_is_number, row))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _object(text: str, path: str, stem: str) -> Positions:
    """Positions, name and baffle of a JSON file."""
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"'{path}' must be JSON. Received: a file with {error}") from error
    if isinstance(content, list):
        content = {"positions": content}
    if not isinstance(content, dict) or "positions" not in content or set(content) - set(_KEYS):
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"'{path}' must hold a list of positions, or an object with `positions` and optionally "
            f"`name` and `baffle`. Received: {found}"
        )
    return Positions(**{"name": stem, **content})
