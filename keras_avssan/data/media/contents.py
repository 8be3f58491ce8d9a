"""Files given as bytes or opened files in place of paths."""

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from keras_avssan._internal.types import PathLike

# Accepted wherever the path of a file is.
File: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO


class Contents(io.BytesIO):
    """The bytes of a file in memory, with the name that errors give the file."""

    def __init__(self, content: bytes, label: str) -> None:
        super().__init__(content)
        self.label = label


def is_path(thing: Any) -> bool:
    """Whether `thing` is the path of a file."""
    return isinstance(thing, (str, os.PathLike))


def is_file(thing: Any) -> bool:
    """Whether `thing` is a file: its path, its bytes, or the opened file."""
    return is_path(thing) or isinstance(thing, (bytes, bytearray, memoryview)) or _is_open(thing)


def as_contents(thing: Any, name: str) -> Any:
    """Returns `Contents` of bytes and opened files, read from their beginning; all else as it is.

    An opened file is at its beginning afterwards. `name` is the argument's name in errors.
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
        raise TypeError(
            f"{label} must be opened in binary mode, `open(path, 'rb')`. "
            f"Received: {name} opened as text"
        )
    if not content:
        raise ValueError(f"{label} is empty. Received: 0 bytes")
    return Contents(content, label)


def whole_content(file: PathLike | Contents) -> bytes:
    """Returns all bytes of a file."""
    return file.getvalue() if isinstance(file, Contents) else Path(file).read_bytes()


def _is_open(thing: Any) -> bool:
    return callable(getattr(thing, "read", None))


def _read(file: Any) -> Any:
    seekable = getattr(file, "seekable", None)
    if seekable is None or not seekable():
        return file.read()
    file.seek(0)
    content = file.read()
    file.seek(0)
    return content
