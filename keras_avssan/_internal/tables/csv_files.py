"""CSV files, also as spreadsheets write them: other separators, UTF-16, headers in capitals."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from keras_avssan._internal.types import PathLike

_SEPARATORS = (",", ";", "\t")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ZIP = b"PK\x03\x04"  # what .xlsx and .ods are

Row: TypeAlias = tuple[int, list[str]]


def read_csv(path: PathLike, name: str, fits: Callable[[list[str]], bool]) -> list[Row]:
    """Reads the rows of a CSV file without a header: number of the line, and stripped cells.

    The separator is the comma, semicolon or tab with which the first row `fits`. `name` is for
    errors.
    """
    text = _decode(Path(path).read_bytes(), name)
    first, _, rest = text.partition("\n")
    if re.fullmatch("sep=.", first, re.IGNORECASE):  # as Excel writes it
        return _split("\n" + rest, first[4], name)
    error: ValueError | None = None
    tried: list[list[Row]] = []
    for separator in _SEPARATORS:
        try:
            rows = _split(text, separator, name)
        except ValueError as wrong:
            error = error or wrong
            continue
        if not rows or fits(rows[0][1]):
            return rows
        tried.append(rows)
    if error:
        raise error
    return max(tried, key=lambda rows: len(rows[0][1]))  # for the caller's error


def read_csv_table(
    path: PathLike, name: str, required: Iterable[str]
) -> list[tuple[int, dict[str, str]]]:
    """Reads the rows of a CSV file with a header: number of the line, and cells by column name.

    Column names are in lower case, and the `required` ones must be there. `name` is for errors.
    """
    required = tuple(required)
    rows = read_csv(path, name, lambda row: set(required) <= set(_fold(row)))
    header = _fold(rows[0][1]) if rows else []
    missing = sorted(set(required) - set(header))
    if missing:
        raise ValueError(f"{name} lacks the column(s) {missing}. Received: columns={header}")
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        raise ValueError(f"{name} has the column(s) {twice} twice. Received: columns={header}")
    table = []
    for line, row in rows[1:]:
        if any(row[len(header) :]):
            raise ValueError(
                f"{name}, line {line}: expected {len(header)} cells; a cell that holds a separator "
                f"must be in quotes. Received: {len(row)} cells, {row}"
            )
        row += [""] * (len(header) - len(row))
        table.append((line, dict(zip(header, row, strict=False))))
    return table


def _fold(row: list[str]) -> list[str]:
    return [cell.lower() for cell in row]


def _decode(content: bytes, name: str) -> str:
    if content.startswith(_ZIP):
        raise ValueError(
            f"{name} is a spreadsheet, not a CSV file: save it as 'CSV UTF-8'. Received: a file "
            f"that begins with {_ZIP!r}"
        )
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        before = content[max(0, error.start - 20) : error.start].decode("ascii", "replace")
        raise ValueError(
            f"{name}, line {line}: expected text in UTF-8; save it as 'CSV UTF-8'. Received: the "
            f"byte 0x{content[error.start]:02x} after {before!r}"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(
            f"{name}, line {line}: expected text in UTF-8; save it as 'CSV UTF-8'. Received: a NUL"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _split(text: str, separator: str, name: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    rows = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        line = text.split("\n")[reader.line_num - 1]
        raise ValueError(
            f"{name}, line {reader.line_num}: not a row of CSV: {error}. Received: {line[:80]!r}"
        ) from error
    return rows
