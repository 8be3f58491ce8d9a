"""Recognition of recordings and pictures by content."""

import os
from pathlib import PurePath
from typing import BinaryIO

import soundfile
from PIL import Image, UnidentifiedImageError

from keras_avssan._internal.types import PathLike

# Kinds by suffix, for a file that is missing or cannot be read.
_AUDIO_SUFFIXES = frozenset(
    ".aac .aif .aifc .aiff .au .caf .flac .m4a .mp3 .oga .ogg .opus .rf64 .snd .w64 .wav .wave "
    ".wma".split()
)
_IMAGE_SUFFIXES = frozenset(
    ".avif .bmp .gif .heic .heif .jfif .jp2 .jpe .jpeg .jpg .png .tif .tiff .webp".split()
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NOT_RECOGNISED = 1  # code of libsndfile
# Brands of the container of a phone's pictures.
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def file_kind(file: PathLike | BinaryIO) -> str | None:
    """Returns `"audio"`, `"image"` or `None`: by content, or by suffix if that is not recognised.

    `file` is a path or a seekable binary file. A damaged file is of the kind of its suffix.
    """
    if not isinstance(file, (str, os.PathLike)):
        return _content_kind(file)
    if os.path.isfile(file) and os.access(file, os.R_OK):
        with open(file, "rb") as stream:
            kind = _content_kind(stream)
        if kind:
            return kind
    elif os.path.isdir(file):
        return None
    suffix = PurePath(file).suffix.lower()
    if suffix in _AUDIO_SUFFIXES:
        return "audio"
    return "image" if suffix in _IMAGE_SUFFIXES else None


def is_heif(beginning: bytes) -> bool:
    """Whether the first bytes of a file are those of HEIC or HEIF."""
    return beginning[4:8] == b"ftyp" and beginning[8:12] in _HEIF


def _content_kind(stream: BinaryIO) -> str | None:
    stream.seek(0)
    beginning = stream.read(12)
    try:
        # libsndfile takes text in UTF-16 for MPEG.
        if beginning and not beginning.startswith(_UTF16):
            if _is_sound(stream):
                return "audio"
            return "image" if is_heif(beginning) or _is_picture(stream) else None
    finally:
        stream.seek(0)
    return None


def _is_sound(stream: BinaryIO) -> bool:
    stream.seek(0)
    try:
        with soundfile.SoundFile(stream):
            return True
    except soundfile.LibsndfileError as error:
        return error.code != _NOT_RECOGNISED  # it is one, but damaged


def _is_picture(stream: BinaryIO) -> bool:
    stream.seek(0)
    try:
        with Image.open(stream):
            return True
    except UnidentifiedImageError:
        return False
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return True  # damaged, or larger than is read
