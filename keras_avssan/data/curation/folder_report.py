"""Reports on a folder of classes, file by file."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from keras_avssan._internal.one_line import one_line
from keras_avssan._internal.tables.text_tables import Table, join_tables, make_table

# Copies and damaged files listed in the table, at most.
_NAMED = 20
_HEAD = (
    "class", "recordings", "pictures", "unusable", "copied", "shortest (s)", "all (s)", "rates (Hz)"
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FileReport:
    """Content of one file, or the reason why it cannot be used.

    Args:
        path: Path relative to the folder.
        class_name: Its class.
        kind: `"audio"` or `"image"`.
        problem: Why it cannot be used (unreadable, truncated, near-silent); else empty.
        seconds: Duration of a recording.
        sampling_rate: Rate of a recording in Hz.
        channels: Number of channels of a recording.
        level: Root mean square of a recording in dB of full scale.
        height: Height of a picture in pixels.
        width: Width of a picture in pixels.
    """

    path: str
    class_name: str
    kind: str
    problem: str = ""
    seconds: float = 0.0
    sampling_rate: int = 0
    channels: int = 0
    level: float = 0.0
    height: int = 0
    width: int = 0


@dataclasses.dataclass(frozen=True)
class FileCopy:
    """Two files of a folder that are identical or near-duplicates.

    Args:
        first: Path of the first.
        second: Path of the second.
        kind: `"audio"` or `"image"`.
        reason: `"identical"` or `"near-duplicate"`.
        similarity: Correlation, 1 where they are identical.
        same_class: Whether both are in the same class.
    """

    first: str
    second: str
    kind: str
    reason: str
    similarity: float
    same_class: bool


@dataclasses.dataclass(frozen=True)
class FolderReport:
    """Result of `check_folders`.

    Args:
        root: The folder.
        files: One `FileReport` a file, sorted by path.
        copies: Pairs of files that are copies of each other.
        ignored: Paths of files that are neither recordings nor pictures of a class.

    Example:
        ```python
        report = check_folders("sounds")
        print(report.table())
        ```
    """

    root: str
    files: tuple[FileReport, ...]
    copies: tuple[FileCopy, ...]
    ignored: tuple[str, ...]

    def __repr__(self) -> str:
        return one_line(self, self.summary())

    @property
    def usable(self) -> tuple[FileReport, ...]:
        """The files without a problem."""
        return tuple(file for file in self.files if not file.problem)

    @property
    def problems(self) -> tuple[FileReport, ...]:
        """The files that cannot be used."""
        return tuple(file for file in self.files if file.problem)

    def counts(self) -> dict[str, dict[str, Any]]:
        """Returns numbers, durations in seconds and sampling rates in Hz by class."""
        files = defaultdict(list)
        for file in self.files:
            files[file.class_name].append(file)
        copied = {path for copy in self.copies for path in (copy.first, copy.second)}
        return {name: _counts(files[name], copied) for name in sorted(files)}

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields and counts as JSON-ready dicts, lists, strings and numbers."""
        return {"classes": self.counts()} | dataclasses.asdict(self)

    def table(self) -> Table:
        """Returns a line for each class, the problems, and a summary; Markdown in notebooks."""
        problems = [f"{file.path}: {file.problem}" for file in self.problems]
        return join_tables(
            [
                make_table(_HEAD, [(name, *_cells(row)) for name, row in self.counts().items()]),
                *_named("cannot be used", problems),
                *_named("copies", [_words(copy) for copy in self.copies]),
                *_named("ignored", self.ignored),
                self.summary(),
            ]
        )

    def _repr_markdown_(self) -> str:
        return self.table().markdown()

    def summary(self) -> str:
        """Returns one line: the numbers of usable files, problems and copies."""
        rows = self.counts().values()
        both = sum(bool(row["clips"] and row["pictures"]) for row in rows)
        clips, pictures = (sum(row[kind] for row in rows) for kind in ("clips", "pictures"))
        minutes = sum(row["seconds"] for row in rows) / 60
        mixed = sum(not copy.same_class for copy in self.copies)
        return (
            f"{self.root}: {len(rows)} classes, {both} with both recordings and pictures; "
            f"{clips} recordings ({minutes:.1f} min) and {pictures} pictures; "
            f"{len(self.problems)} files cannot be used; {len(self.copies)} pairs of copies, "
            f"{mixed} of them in two classes"
        )


def _counts(files: Sequence[FileReport], copied: set[str]) -> dict[str, Any]:
    """Numbers of one class."""
    usable = [file for file in files if not file.problem]
    clips = [file for file in usable if file.kind == "audio"]
    return {
        "clips": len(clips),
        "pictures": len(usable) - len(clips),
        "unusable": len(files) - len(usable),
        "copied": sum(file.path in copied for file in files),
        "min_seconds": min((file.seconds for file in clips), default=0.0),
        "seconds": round(sum(file.seconds for file in clips), 4),
        "sampling_rates": sorted({file.sampling_rate for file in clips}),
    }


def _cells(counts: dict[str, Any]) -> tuple[Any, ...]:
    rates = ", ".join(map(str, counts["sampling_rates"]))
    numbers = (counts[name] for name in ("clips", "pictures", "unusable", "copied"))
    return (*numbers, f"{counts['min_seconds']:.2f}", f"{counts['seconds']:.1f}", rates)


def _words(copy: FileCopy) -> str:
    mixed = "" if copy.same_class else ", in two classes"
    return f"{copy.first}  {copy.second}: {copy.reason} ({copy.similarity:.2f}{mixed})"


def _named(title: str, lines: Sequence[str]) -> list[Table]:
    """A heading and the first lines below it; empty for no lines."""
    if not lines:
        return []
    named = list(lines[:_NAMED])
    if len(lines) > _NAMED:
        named.append(f"and {len(lines) - _NAMED} more")
    text, markdown = ("".join(mark + line for line in named) for mark in ("\n  ", "\n- "))
    return [Table(f"{title}:{text}", f"{title}:\n{markdown}")]
