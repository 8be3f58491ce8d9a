"""Files that come as bytes or opened, in place of their paths."""

import io
import os
from pathlib import Path
from typing import Any, BinaryIO

# What may stand wherever the path of a file may.
File = str | os.PathLike | bytes | BinaryIO


class Contents(io.BytesIO):
    """All that is in a file, in memory, and what errors call the file.

    Args:
        content: Bytes.
        label: Str.
    """

    def __init__(self, content: bytes, label: str) -> None:
        super().__init__(content)
        self.label = label


def is_path(thing: Any) -> bool:
    """Whether it is the path of a file."""
    return isinstance(thing, (str, os.PathLike))


def is_file(thing: Any) -> bool:
    """Whether it is a file: its path, its bytes, or the file itself, opened."""
    return is_path(thing) or isinstance(thing, (bytes, bytearray, memoryview)) or _is_open(thing)


def as_contents(thing: Any, name: str) -> Any:
    """Reads bytes and opened files, whole from their beginning; all else is returned as it is.

    An opened file stands at its beginning afterwards, so that it can be given once more.

    Args:
        thing: What was given.
        name: Name of the argument, for errors.

    Returns:
        `Contents`, or `thing`.

    Raises:
        TypeError: If a file is opened as text.
        ValueError: If there is nothing in it, or it is closed.
    """
    if is_path(thing) or isinstance(thing, Contents) or not is_file(thing):
        return thing
    if not _is_open(thing):
        content, label = bytes(thing), f"`{name}`"
    else:
        content, label = _read(thing), f"`{name}`"
        if isinstance(getattr(thing, "name", None), str):
            label = f"`{name}` '{thing.name}'"
    if not isinstance(content, bytes):
        raise TypeError(f"{label} must be opened in binary mode, `open(path, 'rb')`.")
    if not content:
        raise ValueError(f"{label} is empty: it has 0 bytes.")
    return Contents(content, label)


def whole_content(file: str | os.PathLike | Contents) -> bytes:
    """All bytes of a file."""
    return file.getvalue() if isinstance(file, Contents) else Path(file).read_bytes()


def _is_open(thing: Any):
    return callable(getattr(thing, "read", None))


def _read(file):
    seekable = getattr(file, "seekable", None)
    if seekable is None or not seekable():
        return file.read()
    file.seek(0)
    content = file.read()
    file.seek(0)
    return content
