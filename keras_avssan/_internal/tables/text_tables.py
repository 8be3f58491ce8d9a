"""Tables of text: aligned in a terminal, Markdown in a notebook and in files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

_NUMBER = re.compile(r"[+−-]?\d|[–-]?$")  # how the cells of a column of numbers begin


class Table(str):
    """Text aligned for a terminal, which notebooks show as Markdown; see `make_table`."""

    _markdown: str

    def __new__(cls, text: str, markdown: str | None = None) -> Table:
        table = super().__new__(cls, text)
        table._markdown = text if markdown is None else markdown
        return table

    def markdown(self) -> str:
        """Returns the table in Markdown."""
        return self._markdown

    _repr_markdown_ = markdown

    def __repr__(self) -> str:
        return str(self)


def make_table(
    head: Sequence[str], rows: Iterable[Sequence[object]], heading: Sequence[str] = ()
) -> Table:
    """Makes a table of cells, columns of numbers flush right, below the lines of `heading`."""
    lines = [[str(cell) for cell in line] for line in (head, *rows)]
    above = [*heading, ""] if heading else []
    text = "\n".join([*above, *_aligned(lines)])
    return Table(text, "\n\n".join([*heading, _markdown(lines)]))


def join_tables(parts: Iterable[str], between: str = "\n\n") -> Table:
    """Puts tables and texts one below the other."""
    parts = list(parts)
    markdown = [part.markdown() if isinstance(part, Table) else part for part in parts]
    return Table(between.join(parts), "\n\n".join(markdown))


def _aligned(lines: list[list[str]]) -> Iterator[str]:
    columns = list(zip(*lines, strict=True))
    widths = [max(map(_width, column)) for column in columns]
    right = [all(_NUMBER.match(cell) for cell in cells) for _, *cells in columns]
    rule = ["-" * width for width in widths]
    for line in (lines[0], rule, *lines[1:]):
        cells = [
            " " * (width - _width(cell)) + cell if is_right else cell + " " * (width - _width(cell))
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _markdown(lines: list[list[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    rows = [cells[0], ["---"] * len(cells[0]), *cells[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
