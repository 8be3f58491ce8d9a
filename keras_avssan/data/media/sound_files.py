"""Sound files, also those whose headers lack their length."""

import io
import re

import numpy as np
import soundfile

from keras_avssan._internal.atomic_files import check_file
from keras_avssan._internal.types import PathLike
from keras_avssan.data.media.contents import Contents, whole_content

# A note of libsndfile about a size that differs between header and file.
_SIZES = re.compile(r"^\s*([\w ]+?)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_LENGTH = re.compile(r"^Length : (\d+)", re.MULTILINE)
_OF_THE_SAMPLES = ("data", "SSND", "Data Size")
# Formats for which libsndfile notes only the size of the entire file.
_BY_CONTAINER = {"W64": "riff", "RF64": "Riff size"}
# Limits of counters of 31 and 32 bits. A program that writes a stream cannot know its length, and
# declares about the limit; how far below it the value is differs from program to program.
_GREATEST = (2**31, 2**32)
_UNKNOWN_FRAMES = 2**62
_BLOCK = 65536


def open_sound(path: PathLike | Contents, name: str) -> soundfile.SoundFile:
    """Opens a sound file; refuses one that is missing, unreadable, truncated or without samples.

    Where a header cannot know the size, as in a stream, samples extend to the end of the file.
    `name` is the file's name in errors.
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
            raise ValueError(f"{name} is empty. Received: 0 samples")
        file = soundfile.SoundFile(io.BytesIO(content))
    return file


def knows_its_length(file: soundfile.SoundFile) -> bool:
    """Whether a header has the number of samples; that of streamed FLAC does not."""
    return file.frames < _UNKNOWN_FRAMES


def read_to_the_end(file: soundfile.SoundFile) -> np.ndarray:
    """Reads samples `(samples, channels)` of a file whose header lacks their number."""
    file.seekable = lambda: False  # seeking fails, although soundfile reports that it works
    blocks = [file.read(_BLOCK, dtype="float32", always_2d=True)]
    while len(blocks[-1]) == _BLOCK:
        blocks.append(file.read(_BLOCK, dtype="float32", always_2d=True))
    return np.concatenate(blocks)


def _is_truncated(file: soundfile.SoundFile) -> bool:
    """Whether libsndfile's notes say that data are missing at the end (not of FLAC and MP3)."""
    notes = file.extra_info
    if "lacks an end-of-stream" in notes or "Junk after the last page" in notes:
        return True
    sizes = {name: (int(said), int(found)) for name, said, found in _SIZES.findall(notes)}
    own = (*_OF_THE_SAMPLES, _BY_CONTAINER.get(file.format))
    declared, present = next((sizes[name] for name in own if name in sizes), (0, 0))
    # The size of the entire file, or of all but the first 8 bytes, in place of the samples' own.
    length = _LENGTH.search(notes)
    whole = int(length[1]) if length else 0
    if declared <= present or declared in (whole, whole - 8):
        return False
    return all(abs(declared - greatest) > greatest / 100 for greatest in _GREATEST)


def _sized_to_the_end(content: bytes) -> bytes | None:
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


def _are_chunks(content: bytes) -> bool:
    """Whether bytes are the further chunks of a RIFF file, rather than samples."""
    place = 0
    while place + 8 <= len(content) and content[place : place + 4].isascii():
        if not content[place : place + 4].decode().isprintable():
            return False
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
    return place in (len(content), len(content) + 1)
