"""The checksum that manifests hold."""

import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """SHA-256 of a file.

    Args:
        path: Path of the file.

    Returns:
        Str of 64 hexadecimal digits.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
