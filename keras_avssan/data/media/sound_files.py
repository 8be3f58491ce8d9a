"""Sound files whose headers do not know how long they are."""

import io
import os
import re
from typing import Any

import numpy as np
import soundfile

from keras_avssan._internal.atomic_files import check_file
from keras_avssan.data.media.contents import Contents, whole_content

# What libsndfile notes of a size that a header declares and the file does not have.
_SIZES = re.compile(r"^\s*([\w ]+?)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_LENGTH = re.compile(r"^Length : (\d+)", re.MULTILINE)
_OF_THE_SAMPLES = ("data", "SSND", "Data Size")
# Formats of which libsndfile notes the size of the whole file only.
_BY_CONTAINER = {"W64": "riff", "RF64": "Riff size"}
# What counters of 31 and 32 bits hold. Who writes a stream cannot know its length, and declares
# about as much as there can be; how far below it the value is, differs from program to program.
_GREATEST = (2**31, 2**32)
_UNKNOWN_FRAMES = 2**62
_BLOCK = 65536


def open_sound(path: str | os.PathLike | Contents, name: str) -> soundfile.SoundFile:
    """Opens a sound file that is there as a whole.

    The file is believed rather than a header that cannot know: where it declares no size, as a
    stream does, or the greatest that there is, or that of the whole file, the samples go to the
    end. Otherwise a file that ends before its header says is truncated.

    Args:
        path: Path of the file, or its `Contents`.
        name: What an error calls it.

    Returns:
        `soundfile.SoundFile`, to be closed.

    Raises:
        ValueError: The file is missing, a directory, unreadable, truncated or without samples.
    """
    if isinstance(path, Contents):
        path.seek(0)
    else:
        check_file(path, name)
    try:
        file = soundfile.SoundFile(path)
    except soundfile.SoundFileError as error:
        raise ValueError(f"{name} cannot be read as audio: {error}") from error
    if _is_truncated(file):
        file.close()
        raise ValueError(f"{name} is truncated: it ends before its header says.")
    if file.frames == 0:
        file.close()
        content = _sized_to_the_end(whole_content(path))
        if content is None:
            raise ValueError(f"{name} is empty: it holds no samples.")
        file = soundfile.SoundFile(io.BytesIO(content))
    return file


def knows_its_length(file: soundfile.SoundFile) -> bool:
    """Whether a header tells the number of samples; FLAC from a stream does not."""
    return file.frames < _UNKNOWN_FRAMES


def read_to_the_end(file: soundfile.SoundFile) -> np.ndarray:
    """Samples `(samples, channels)` of a file that does not know its length."""
    file.seekable = lambda: False  # it cannot be sought in, though soundfile believes so
    blocks = [file.read(_BLOCK, dtype="float32", always_2d=True)]
    while len(blocks[-1]) == _BLOCK:
        blocks.append(file.read(_BLOCK, dtype="float32", always_2d=True))
    return np.concatenate(blocks)


def _is_truncated(file):
    """Whether libsndfile's notes say that data are missing at the end (not of FLAC and MP3)."""
    notes = file.extra_info
    if "lacks an end-of-stream" in notes or "Junk after the last page" in notes:
        return True
    sizes = {name: (int(said), int(found)) for name, said, found in _SIZES.findall(notes)}
    own = (*_OF_THE_SAMPLES, _BY_CONTAINER.get(file.format))
    declared, present = next((sizes[name] for name in own if name in sizes), (0, 0))
    # The size of the whole file, or of all but the first 8 bytes, in place of the samples' own.
    length = _LENGTH.search(notes)
    whole = int(length[1]) if length else 0
    if declared <= present or declared in (whole, whole - 8):
        return False
    return all(abs(declared - greatest) > greatest / 100 for greatest in _GREATEST)


def _sized_to_the_end(content: Any):
    """A WAV or AU file of size 0 with the size that it has; `None` where nothing follows."""
    if content[:4] == b".snd":
        begin = int.from_bytes(content[4:8], "big")
        return content[:8] + b"\xff" * 4 + content[12:] if 24 <= begin < len(content) else None
    place = 12
    while content[:4] == b"RIFF" and place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        if content[place : place + 4] == b"data":
            rest = content[place + 8 :]
            if size or not rest or _are_chunks(rest):
                return None
            length = min(len(rest), 2**32 - 1).to_bytes(4, "little")
            return content[: place + 4] + length + rest
        place += 8 + size + size % 2
    return None


def _are_chunks(content: Any) -> bool:
    """Whether bytes are the further chunks of a RIFF file, rather than samples."""
    place = 0
    while place + 8 <= len(content) and content[place : place + 4].isascii():
        if not content[place : place + 4].decode().isprintable():
            return False
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return place in (len(content), len(content) + 1)
