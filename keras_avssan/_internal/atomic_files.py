"""Files that are written atomically."""

import contextlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

PART_SUFFIX = ".part"  # of partial files

# Of a path that was meant, in a string that may be words: an ending, or how paths begin.
_ENDING = re.compile(r"\.(?=\w*[A-Za-z])\w{2,5}$", re.ASCII)
_BEGINNING = re.compile(r"\.{0,2}/|~|[A-Za-z]:[\\/]|\\\\")


@contextlib.contextmanager
def whole_file(path: str | os.PathLike, *, exclusive: bool = False) -> Iterator[Path]:
    """Writes a file atomically, even if the machine loses its power.

    Args:
        path: Path of the file; one that is there is replaced.
        exclusive: Whether a file that is there is an error instead.

    Yields:
        Path beside it to write to. It is renamed at the end, and removed after an exception.

    Raises:
        FileExistsError: If `exclusive` is set and the file exists.

    Example:
        >>> with whole_file("table.md") as part:
        ...     length = part.write_text("| a |")
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PART_SUFFIX}")
    try:
        yield part
        _sync(part)
        if exclusive:
            _link(part, path)
        else:
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every system opens folders
        _sync(path.parent)


def write_whole(path: str | os.PathLike, write: Callable[[BinaryIO], Any]) -> Any:
    """Writes a binary file, see `whole_file`.

    Args:
        path: Path of the file; one that is there is replaced.
        write: Function that is given the open file.

    Returns:
        What `write` returned.

    Raises:
        OSError: The disk is full, or something else keeps the file from being written.
    """
    with whole_file(path) as part, open(part, "wb") as file:
        return write(file)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes text in UTF-8, see `whole_file`.

    Args:
        path: Path of the file.
        text: Its content, with the ends of lines that it is to have.
    """
    write_whole(path, lambda file: file.write(text.encode()))


def write_json(
    path: str | os.PathLike, content: Any, indent: int | None = 2, *, exclusive: bool = False
) -> None:
    """Writes JSON, see `whole_file`.

    Args:
        path: Path of the file.
        content: What JSON can hold.
        indent: Spaces a level; `None` writes a single line.
        exclusive: Whether a file that is there is an error.

    Raises:
        FileExistsError: If `exclusive` is set and the file exists.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False) + "\n"
    with whole_file(path, exclusive=exclusive) as part:
        part.write_bytes(text.encode())


def is_meant_as_file(text: str) -> bool:
    """Whether a string names a file, that may be missing, rather than being words.

    Args:
        text: What was given as a prompt.

    Returns:
        Bool. A file that exists is one; so is what ends or begins like a path. A folder counts
        where it is not written as a plain word.

    Example:
        >>> [is_meant_as_file(text) for text in ("nowhere/dog.jpge", "./dog", "a dog. It barks")]
        [True, True, False]
    """
    if _ENDING.search(text) or _BEGINNING.match(text):
        return True
    return os.path.isfile(text) or (os.sep in text and os.path.exists(text))


def check_file(path: str | os.PathLike, name: str) -> None:
    """Refuses what is missing, a directory or empty, each with words of its own.

    Args:
        path: Path of a file to be read.
        name: What it is called in the message, with its path.

    Raises:
        ValueError: If there is no such file, or nothing in it.

    Example:
        >>> check_file("mix.wav", "audio file 'mix.wav'")
    """
    if os.path.isdir(path):
        raise ValueError(f"{name} is a directory.")
    if not os.path.exists(path):
        raise ValueError(f"{name} does not exist.")
    if os.path.isfile(path) and not os.path.getsize(path):
        raise ValueError(f"{name} is empty: it has 0 bytes.")


def read_json(path: str | os.PathLike) -> Any:
    """Reads a JSON file.

    Args:
        path: Path of the file.

    Returns:
        Its content; `None` where there is no such file.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged: {error}") from error


def remove_parts(folder: Path, names: Iterable[str] | None = None) -> None:
    """Removes the partial files that killed processes left in a folder.

    Args:
        folder: Path; it need not exist.
        names: Names of the files whose partial files are removed, all if not given.
    """
    wanted = None if names is None else set(names)
    for path in folder.glob(f"*{PART_SUFFIX}"):
        if wanted is None or path.name.rsplit(".", 2)[0] in wanted:
            path.unlink(missing_ok=True)


def _link(part: Path, path: Path) -> None:
    """Gives a file its name, unless there is a file of that name."""
    try:
        os.link(part, path)  # unlike a replacement, it fails where there is one
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:  # not every file system has hard links
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(part, path)


def _sync(path: Path) -> None:
    """Brings a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
