"""Reading of files with the positions of an array's microphones."""

import csv
import dataclasses
import io
import json
import os
import pathlib
from typing import Any

from keras_avssan._internal.checks import path_of
from keras_avssan._internal.types import PathLike

_KEYS = ("positions", "name", "baffle")
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
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"'{path}' must be a text file of positions. Received: a file that is not UTF-8"
        ) from error
    if ending.lower() == ".csv":
        return Positions(_rows(text, path), stem)
    return _object(text, path, stem)


def _rows(text: str, path: str) -> list[list[float]]:
    """Numbers of a CSV file, without a heading."""
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if rows and not _all_numbers(rows[0]):
        names = [cell.strip().lower() for cell in rows[0]]
        if names not in (["x", "y"], ["x", "y", "z"]):
            raise ValueError(
                f"'{path}' must have the columns x, y and optionally z. Received: {rows[0]}"
            )
        rows = rows[1:]
    for row in rows:
        if not _all_numbers(row) or len(row) != len(rows[0]):
            raise ValueError(
                f"'{path}' must have rows of two or three numbers, x, y and z in metres, all of "
                f"the same length. Received: {row}"
            )
    return [[float(cell) for cell in row] for row in rows]


def _all_numbers(row: list[str]) -> bool:
    try:
        return bool([float(cell) for cell in row])
    except ValueError:
        return False


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
