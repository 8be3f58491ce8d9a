"""Tar files whose bytes depend on their content alone, with random access to members."""

import io
import os
import tarfile
from typing import BinaryIO

from keras_avssan._internal.types import PathLike


class TarWriter:
    """Writes members one after the other, and returns the place of each.

    Members have no date and no owner, so that the same content makes the same bytes.

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
        """Adds a member; returns the offset and size of its content in the file, in bytes."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        offset = self._file.tell() + tarfile.BLOCKSIZE  # after the header
        self._tar.addfile(member, io.BytesIO(content))
        return offset, len(content)

    def close(self) -> None:
        """Ends the archive; the file stays open."""
        self._tar.close()


def read_member(path: PathLike, place: tuple[int, int]) -> bytes:
    """Reads one member at `(offset, size)`, as `TarWriter.add` returned it, without the others."""
    offset, size = place
    with open(path, "rb") as file:
        file.seek(offset)
        content = file.read(size)
    if len(content) < size:
        raise ValueError(
            f"'{path}' is truncated: it must have {offset + size} bytes or more. "
            f"Received: {os.path.getsize(path)} bytes"
        )
    return content
