"""A CSV table of sound files with two-channel impulse responses."""

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile

from keras_avssan._internal.checks import check_positive_number
from keras_avssan._internal.tables.csv_files import read_csv_table
from keras_avssan._internal.types import PathLike
from keras_avssan.simulation.measured.recordings import Recordings

TABLE = "responses.csv"  # the name of the table in a folder
_AXES = ("x", "y", "z")
_POSITIONS = {
    thing: tuple(f"{thing}_{axis}" for axis in _AXES)
    for thing in ("source", "microphone1", "microphone2")
}
_SIZES = ("room_length", "room_width", "room_height")
_METRE = 1.0  # distance of a source of which the azimuth alone is known
_SAME_SIZE = 1e-3  # sides of a room that differ by less are the same, in metres

# Numbers of lines, and their cells by the names of the columns.
_Rows: TypeAlias = list[tuple[int, dict[str, str]]]


def read_table(path: PathLike, microphone_spacing: float | None) -> Recordings:
    """Reads the responses that a table, or the one of a folder, lists.

    Raises a `FileNotFoundError`, or a ValueError that names the line of the table.
    """
    table = Path(path)
    table = table / TABLE if table.is_dir() else table
    name = f"path='{os.fspath(path)}'"
    if not table.is_file():
        raise FileNotFoundError(
            f"`path` must be a CSV table, or a folder with {TABLE}. Received: {name}"
        )
    rows = read_csv_table(table, f"`path`: table '{table}'", ("file",))
    _check_columns(rows, name, microphone_spacing)
    t60 = _numbers(rows, "t60", name, np.nan)
    _refuse_line(rows, name, "t60", t60, ~(t60 <= 0), "positive")
    microphones, sources = _places(rows, name, microphone_spacing)
    responses, rate = _responses(table.parent, rows, name)
    labels = [row.get("room", "") for _, row in rows]
    order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    rooms = np.array([order[label] for label in labels])
    return Recordings(
        name=name,
        responses=responses[:, None],
        microphones=microphones[:, None],
        sources=sources,
        rooms=rooms,
        sizes=np.stack([_sides(rows, column, name, rooms) for column in _SIZES], axis=-1),
        t60=t60,
        sampling_rate=rate,
        is_head=False,
    )


def _check_columns(rows: _Rows, name: str, spacing: float | None) -> None:
    if not rows:
        raise ValueError(f"`path` must be a CSV table of one row or more. Received: {name}")
    columns = set(rows[0][1])
    if columns.issuperset(sum(_POSITIONS.values(), ())):
        return
    if "azimuth" not in columns:
        raise ValueError(
            "`path` must be a CSV table with positions (`source_x`, …, `microphone1_x`, …, "
            f"`microphone2_x`, …, in metres) or a column `azimuth` in degrees. Received: {name}"
        )
    if spacing is None:
        raise ValueError(
            "`microphone_spacing` must be given in metres where the table has azimuths in place "
            f"of positions. Received: microphone_spacing=None, {name}"
        )
    check_positive_number("microphone_spacing", spacing, "distance in metres")


def _places(rows: _Rows, name: str, spacing: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the microphones (P, 2, 3) and of the sources (P, 3)."""
    if set(rows[0][1]).issuperset(sum(_POSITIONS.values(), ())):
        first, second, sources = (
            np.stack([_numbers(rows, column, name) for column in _POSITIONS[thing]], axis=-1)
            for thing in ("microphone1", "microphone2", "source")
        )
        return np.stack([first, second], axis=1), sources
    assert spacing is not None
    azimuth = _numbers(rows, "azimuth", name)
    within = (azimuth >= 0) & (azimuth <= 180)
    _refuse_line(rows, name, "azimuth", azimuth, within, "from 0 to 180")
    distance = _numbers(rows, "distance", name, _METRE)
    _refuse_line(rows, name, "distance", distance, distance > 0, "positive")
    angle = np.radians(azimuth)
    sources = distance[:, None] * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    pair = np.array([[spacing / 2, 0.0, 0.0], [-spacing / 2, 0.0, 0.0]])
    return np.broadcast_to(pair, (len(rows), 2, 3)), sources


def _numbers(rows: _Rows, column: str, name: str, default: float | None = None) -> np.ndarray:
    """A column as numbers; empty cells, and a column that is not there, have the default."""
    values = []
    for line, row in rows:
        cell = row.get(column, "")
        try:
            value = float(cell) if cell or default is None else default
        except ValueError:
            value = np.inf
        if np.isinf(value) or (cell and np.isnan(value)):
            raise ValueError(
                f"`path` must be a CSV table with numbers in the column `{column}`. Received: "
                f"{name} with {column}={cell!r} in line {line}"
            )
        values.append(value)
    return np.array(values)


def _sides(rows: _Rows, column: str, name: str, rooms: np.ndarray) -> np.ndarray:
    """A column of sides of rooms; one that stands in a single row of a room counts for all."""
    sides = _numbers(rows, column, name, np.nan)
    _refuse_line(rows, name, column, sides, ~(sides <= 0), "positive")
    for room in np.unique(rooms):
        there = np.flatnonzero(rooms == room)
        known = there[~np.isnan(sides[there])]
        if not len(known):
            continue
        other = known[np.abs(sides[known] - sides[known[0]]) > _SAME_SIZE]
        if len(other):
            (first, row), (second, _) = rows[known[0]], rows[other[0]]
            raise ValueError(
                f"`path` must be a CSV table with one size of each room. Received: {name} with "
                f"{column}={sides[known[0]]:g} in line {first} and {sides[other[0]]:g} in line "
                f"{second}, both of the room {row.get('room', '')!r}"
            )
        sides[there] = sides[known[0]]
    return sides


def _refuse_line(
    rows: _Rows,
    name: str,
    column: str,
    values: np.ndarray,
    good: np.ndarray,
    expected: str,
) -> None:
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(
            f"`path` must be a CSV table whose column `{column}` is {expected}. Received: {name} "
            f"with {column}={values[row]:g} in line {rows[row][0]}"
        )


def _check_files(rows: _Rows, name: str) -> None:
    """Refuses a line without a file, and a response in two, such as at two places after a slip."""
    lines: dict[str, int] = {}
    for line, row in rows:
        if not row["file"]:
            raise ValueError(
                "`path` must be a CSV table with a sound file in each line. Received: "
                f"{name} with file='' in line {line}"
            )
        file = os.path.normpath(row["file"])
        if lines.setdefault(file, line) != line:
            raise ValueError(
                "`path` must be a CSV table with a line for each sound file. Received: "
                f"{name} with file={row['file']!r} in the lines {lines[file]} and {line}"
            )


def _responses(folder: Path, rows: _Rows, name: str) -> tuple[np.ndarray, int]:
    """The responses (P, 2, N), padded with zeros to one length, and their sampling rate."""
    found: list[np.ndarray] = []
    rates: list[int] = []
    _check_files(rows, name)
    for line, row in rows:
        path = folder / row["file"]
        try:
            samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"`path` must be a CSV table of sound files: '{path}', in line {line}, cannot be "
                f"read ({error}). Received: {name}"
            ) from error
        if samples.shape[1] != 2 or not len(samples):
            raise ValueError(
                "`path` must be a CSV table of sound files with two channels, those of "
                f"microphone 1 and 2. Received: {name} with '{path}', in line {line}, of "
                f"{samples.shape[1]} channels and {len(samples)} samples"
            )
        found.append(samples.T)
        rates.append(rate)
    if len(set(rates)) > 1:
        other = next(k for k, rate in enumerate(rates) if rate != rates[0])
        raise ValueError(
            "`path` must be a CSV table of sound files of one sampling rate. Received: "
            f"{name} with {rates[0]} Hz in line {rows[0][0]} and {rates[other]} Hz in line "
            f"{rows[other][0]}"
        )
    length = max(samples.shape[1] for samples in found)
    padded = [np.pad(samples, ((0, 0), (0, length - samples.shape[1]))) for samples in found]
    return np.stack(padded), rates[0]
