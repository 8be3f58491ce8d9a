"""CSV files, also as spreadsheets write them: other separators, UTF-16, headers in capitals."""

import codecs
import csv
import io
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_SEPARATORS = (",", ";", "\t")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ZIP = b"PK\x03\x04"  # what .xlsx and .ods are

Row = tuple[int, list[str]]


def read_csv(path: str | os.PathLike, name: str, fits: Callable[[list[str]], bool]) -> list[Row]:
    """The rows of a CSV file without a header.

    Text is UTF-8, or UTF-16 with a byte order mark. The separator is the one of comma, semicolon
    and tab with which the first row fits.

    Args:
        path: Path of the file.
        name: What an error calls it, with its path.
        fits: Function from the cells of the first row to whether they are what is expected.

    Returns:
        List of tuples: number of the line, and the cells without spaces around them. Empty rows
        are left out.

    Raises:
        ValueError: The file is in another encoding, or no CSV; names the line and what was found.

    Example:
        ```python
        rows = read_csv("table.csv", "'table.csv'", lambda row: len(row) == 4)
        ```
    """
    text = _decode(Path(path).read_bytes(), name)
    first, _, rest = text.partition("\n")
    if re.fullmatch("sep=.", first, re.IGNORECASE):  # as Excel writes it
        return _split("\n" + rest, first[4], name)
    error = None
    tried = []
    for separator in _SEPARATORS:
        try:
            rows = _split(text, separator, name)
        except ValueError as wrong:
            error = error or wrong
            continue
        if not rows or fits(rows[0][1]):
            return rows
        tried.append(rows)
    if error or not tried:
        raise error or ValueError(f"{name} is not a CSV file.")
    return max(tried, key=lambda rows: len(rows[0][1]))  # for what the caller finds wrong


def read_csv_table(
    path: str | os.PathLike, name: str, required: Iterable[str]
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a header, see `read_csv`.

    Args:
        path: Path of the file.
        name: What an error calls it, with its path.
        required: Names of the columns that it must have.

    Returns:
        List of tuples: number of the line, and a dict from the name of a column, in lower case,
        to its cell.

    Raises:
        ValueError: The file is no CSV, lacks a column or has it twice, or a row has more cells
            than the header; names the line and what was found.

    Example:
        ```python
        for line, row in read_csv_table("list.csv", "'list.csv'", ("path", "class")):
            row["path"]
        ```
    """
    required = tuple(required)
    rows = read_csv(path, name, lambda row: set(required) <= set(_fold(row)))
    header = _fold(rows[0][1]) if rows else []
    missing = sorted(set(required) - set(header))
    if missing:
        raise ValueError(f"{name} lacks the column(s) {missing}. Received: {header}")
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        raise ValueError(f"{name} has the column(s) {twice} twice.")
    table = []
    for line, row in rows[1:]:
        if any(row[len(header) :]):
            raise ValueError(
                f"{name}, line {line}: expected {len(header)} cells, got {len(row)}: {row}. A cell "
                "that holds a separator must be in quotes."
            )
        row += [""] * (len(header) - len(row))
        table.append((line, dict(zip(header, row, strict=False))))
    return table


def _fold(row):
    return [cell.lower() for cell in row]


def _decode(content: Any, name: str):
    if content.startswith(_ZIP):
        raise ValueError(f"{name} is a spreadsheet, not a CSV file: save it as 'CSV UTF-8'.")
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        before = content[max(0, error.start - 20) : error.start].decode("ascii", "replace")
        raise ValueError(
            f"{name}, line {line}: expected text in UTF-8, got the byte "
            f"0x{content[error.start]:02x} after {before!r}. Save it as 'CSV UTF-8'."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(
            f"{name}, line {line}: expected text in UTF-8, got a NUL. Save it as 'CSV UTF-8'."
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _split(text: str, separator, name: str):
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    rows = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: not a row of CSV: {error}") from error
    return rows
