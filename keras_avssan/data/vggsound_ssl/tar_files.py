"""Tar files whose bytes depend on their content alone, and whose members can be sought."""

import io
import tarfile
from pathlib import Path
from typing import BinaryIO


class TarWriter:
    """Writes members one after the other, and tells where each lies.

    Members have no date and no owner, so that the same content gives the same bytes.

    Args:
        file: Binary file, open for writing.

    Example:
        ```python
        with open("shard.tar", "wb") as file:
            tar = TarWriter(file)
            offset, size = tar.add("a.json", b"{}")
            tar.close()
        read_member("shard.tar", (offset, size))  # b"{}"
        ```
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)

    def add(self, name: str, content: bytes) -> tuple[int, int]:
        """Add a member.

        Args:
            name: Str.
            content: Bytes.

        Returns:
            Tuple `(offset, size)` of the content in the file, in bytes.
        """
        member = tarfile.TarInfo(name)
        member.size = len(content)
        offset = self._file.tell() + tarfile.BLOCKSIZE  # after the header
        self._tar.addfile(member, io.BytesIO(content))
        return offset, len(content)

    def close(self) -> None:
        """End the archive; the file stays open."""
        self._tar.close()


def read_member(path: str | Path, place: tuple[int, int]) -> bytes:
    """Reads one member of a tar file, without reading the others.

    Args:
        path: Path of the file.
        place: Tuple `(offset, size)` in bytes, as `TarWriter.add` gave it.

    Returns:
        Bytes.

    Raises:
        ValueError: The file ends before.
    """
    offset, size = place
    with open(path, "rb") as file:
        file.seek(offset)
        content = file.read(size)
    if len(content) < size:
        raise ValueError(f"'{path}' is truncated: it ends before byte {offset + size}.")
    return content
