"""Files that appear whole or not at all."""

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

PART_SUFFIX = ".part"


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> Any:
    """Write a file under another name, and rename it when it is whole and on the disk.

    Args:
        path: Path of the file.
        write: Function that is given the open file.

    Returns:
        What `write` returned.

    Raises:
        OSError: The disk is full, or something else keeps the file from being written. Nothing is
            left behind.
    """
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PART_SUFFIX}")
    try:
        with open(part, "wb") as file:
            result = write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return result


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all.

    Args:
        path: Path of the file.
        content: Dict or list of what JSON knows.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def remove_parts(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder.

    Args:
        folder: Path; it need not exist.
    """
    for path in folder.glob(f"*{PART_SUFFIX}"):
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """SHA-256 of a file.

    Args:
        path: Path of the file.

    Returns:
        Str of 64 hexadecimal digits.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
