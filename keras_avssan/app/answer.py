"""What the page computes, without the page."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from keras_avssan.data.audio_io import audio_num_samples

MAX_SECONDS = 30.0
MAX_PIXELS = 40_000_000


@dataclass(frozen=True, eq=False)
class Answer:
    """What a page shows of one question.

    Args:
        azimuth: Direction in degrees, 0 beside microphone 1.
        confidence: Posterior probability within 5° of it.
        explanation: What `model.explain` returned.
        masked_audio: What the mask leaves of the recording, int16 of shape (samples, 2).
        sampling_rate: Its sampling rate in hertz.
    """

    azimuth: float
    confidence: float
    explanation: dict[str, Any]
    masked_audio: np.ndarray
    sampling_rate: int


def answer(model, recording, picture=None, words=None, sound=None, max_seconds=MAX_SECONDS):
    """Asks a model about files that somebody gave.

    Args:
        model: A trained `AVSSAN`.
        recording: Path of a recording with two channels.
        picture: Path of a picture that asks, or `None`.
        words: Words that ask, or `None`; for models that read words.
        sound: Path of a recording that asks, or `None`.
        max_seconds: Greatest length of either recording in seconds.

    Returns:
        An `Answer`.

    Raises:
        ValueError: If there is no recording, not exactly one thing asks, a file is unreadable, too
            long or too large, or the recording has not two channels. Files are named without
            their folder.

    Example:
        >>> answer(model, "mix.wav", picture="dog.jpg").azimuth
    """
    asked = {"picture": picture, "words": (words or "").strip() or None, "recording": sound}
    given = [name for name, value in asked.items() if value]
    if not recording:
        raise ValueError("Give a recording with two channels.")
    if len(given) != 1:
        raise ValueError(
            "Ask with one thing: a picture, words or a recording. "
            f"Received: {' and '.join(given) or 'none of them'}"
        )
    paths = [path for path in (recording, picture, sound) if path]
    try:
        for path in (recording, sound):
            if path:
                _check_length(path, max_seconds)
        if picture:
            _check_pixels(picture)
        explanation = model.explain(recording, asked[given[0]])
    except ValueError as error:
        raise ValueError(_without_folders(str(error), paths)) from error
    return Answer(
        explanation["azimuth"],
        explanation["confidence"],
        explanation,
        _to_int16(explanation["masked_audio"]),
        explanation["sampling_rate"],
    )


def _check_length(path, max_seconds):
    seconds = audio_num_samples(path, 16000) / 16000
    if seconds > max_seconds:
        raise ValueError(
            f"audio file '{path}' must last at most {max_seconds:g} s. Received: {seconds:.1f} s"
        )


def _check_pixels(path):
    try:
        with Image.open(path) as picture:
            width, height = picture.size  # from its header
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return  # the reader of pictures says what is wrong
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"image file '{path}' must have at most {MAX_PIXELS // 10**6} million pixels. "
            f"Received: {width} x {height}"
        )


def _without_folders(message, paths):
    """A message that says nothing of where the files lie."""
    for path in paths:
        message = message.replace(os.fspath(path), os.path.basename(path))
    return message


def _to_int16(audio):
    """Samples of a WAV file, as loud as it can be."""
    peak = max(float(np.abs(audio).max()), 1e-9)
    return np.round(32767 * 0.9 * audio / peak).astype("int16")
