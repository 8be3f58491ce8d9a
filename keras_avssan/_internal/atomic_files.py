"""Files that are written atomically, and digests of what they hold."""

import contextlib
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from keras_avssan._internal.types import PathLike

_Result = TypeVar("_Result")

PART_SUFFIX = ".part"  # of partial files

# Signs of a path in a string that may also be words: a file ending, or the start of a path.
_ENDING = re.compile(r"\.(?=\w*[A-Za-z])\w{2,5}$", re.ASCII)
_BEGINNING = re.compile(r"\.{0,2}/|~|[A-Za-z]:[\\/]|\\\\")


@contextlib.contextmanager
def whole_file(path: PathLike, *, exclusive: bool = False) -> Iterator[Path]:
    """Writes a file atomically: yields a path beside `path`, renamed at the end, removed on errors.

    An old file is replaced, or with `exclusive` raises `FileExistsError`.
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


def write_whole(path: PathLike, write: Callable[[BinaryIO], _Result]) -> _Result:
    """Writes a binary file atomically; returns the result of `write`, which gets the open file."""
    with whole_file(path) as part, open(part, "wb") as file:
        return write(file)


def write_text(path: PathLike, text: str) -> None:
    """Writes text in UTF-8 atomically, with its line ends as they are."""
    write_whole(path, lambda file: file.write(text.encode()))


def write_json(
    path: PathLike, content: Any, indent: int | None = 2, *, exclusive: bool = False
) -> None:
    """Writes JSON atomically; `indent=None` writes a single line.

    Raises `FileExistsError` if `exclusive` is set and the file exists.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False) + "\n"
    with whole_file(path, exclusive=exclusive) as part:
        part.write_bytes(text.encode())


def is_meant_as_file(text: str) -> bool:
    """Whether a string names a file, which may be missing, rather than being words.

    So do existing files, and paths by their start or ending; folders only if not a plain word.
    """
    if _ENDING.search(text) or _BEGINNING.match(text):
        return True
    return os.path.isfile(text) or (os.sep in text and os.path.exists(text))


def check_file(path: PathLike, name: str) -> None:
    """Raises a ValueError, which calls the file `name`, if it is missing, a directory or empty."""
    if os.path.isdir(path):
        raise ValueError(f"{name} must be a file. Received: a directory")
    if not os.path.exists(path):
        raise ValueError(f"{name} does not exist.")
    if os.path.isfile(path) and not os.path.getsize(path):
        raise ValueError(f"{name} is empty. Received: 0 bytes")


def read_json(path: PathLike) -> Any:
    """Reads a JSON file; `None` if there is no file. Raises a ValueError if it is damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged: {error}") from error


def sha256(*parts: Any) -> str:
    """SHA-256 of texts, bytes and the values of arrays in turn, in 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(content if isinstance(content, bytes) else content.tobytes())
    return digest.hexdigest()


def sha256_of_file(path: PathLike) -> str:
    """SHA-256 of the bytes of a file, in 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_parts(folder: Path, names: Iterable[str] | None = None) -> None:
    """Removes partial files of killed processes, all or those of the files of these names."""
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
