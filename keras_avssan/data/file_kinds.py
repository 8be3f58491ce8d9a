"""Which files are sound and which are pictures, by their names."""

import os
from pathlib import PurePath

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def file_kind(path: str | os.PathLike) -> str | None:
    """Kind of a file.

    Args:
        path: Path of a file; it need not exist.

    Returns:
        `"audio"`, `"image"` or `None`.

    Example:
        >>> file_kind("dog/bark.WAV")
        'audio'
    """
    suffix = PurePath(path).suffix.lower()
    if suffix in AUDIO_SUFFIXES:
        return "audio"
    return "image" if suffix in IMAGE_SUFFIXES else None
