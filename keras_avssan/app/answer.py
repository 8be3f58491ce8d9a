"""What the page computes, without the page."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from keras_avssan._internal.one_line import one_line
from keras_avssan._internal.types import Tensor
from keras_avssan.data.media.audio_io import audio_num_samples, recording_name
from keras_avssan.data.media.contents import Contents, as_contents, is_path
from keras_avssan.data.media.sound_files import open_sound
from keras_avssan.models.prompts import as_prompt

MAX_SECONDS = 30.0
MAX_PIXELS = 40_000_000
MAX_RATE = 192_000
# Pillow knows formats that run other programs or that are old and little tested.
PICTURES = ("JPEG", "PNG", "WEBP")
_KINDS = {"picture": "picture", "words": "text", "recording": "recording"}


@dataclass(frozen=True, eq=False)
class Answer:
    """What a page shows of one question.

    Args:
        azimuth: Direction in degrees, 0 beside microphone 1.
        confidence: Posterior probability within 5° of it.
        explanation: What `model.explain` returned.
        masked_audio: What the mask leaves of the recording, int16 of shape (samples, 2).
        sampling_rate: Its sampling rate in hertz.
        warnings: What is to be known about the answer, such as that both channels are the same.

    Example:
        >>> told = answer(model, "mix.wav", picture="dog.jpg")
        >>> 1 <= told.azimuth <= 180
        True
        >>> told.masked_audio.dtype
        dtype('int16')
    """

    azimuth: float
    confidence: float
    explanation: dict[str, Any]
    masked_audio: np.ndarray
    sampling_rate: int
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        seconds = len(self.masked_audio) / self.sampling_rate
        return one_line(
            self,
            f"{self.azimuth:.0f}°",
            f"confidence {self.confidence:.2f}",
            f"{seconds:.2f} s at {self.sampling_rate} Hz",
        )


def answer(
    model: Any,
    recording: Any,
    picture: Any = None,
    words: Sequence[str] | None = None,
    sound: Any = None,
    max_seconds=MAX_SECONDS,
):
    """Asks a model about files that somebody gave.

    Args:
        model: A trained `AVSSAN`.
        recording: Recording with two channels: a file, by its path, its bytes, or opened in binary
            mode.
        picture: Picture as prompt, a file likewise, or `None`.
        words: Words as prompt, or `None`; for models that read words.
        sound: Recording as prompt, a file likewise, or `None`.
        max_seconds: Greatest length of either recording in seconds.

    Returns:
        An `Answer`.

    Raises:
        ValueError: If there is no recording, not exactly one thing asks, a file is unreadable, too
            long or too large, or of another kind, or the recording has not two channels. Files are
            named without their folder.
        TypeError: If a file is opened as text.

    Example:
        >>> answer(model, "mix.wav", picture="dog.jpg").azimuth
    """
    asked = {"picture": picture, "words": (words or "").strip() or None, "recording": sound}
    given = [name for name, value in asked.items() if value]
    if not recording:
        raise ValueError("Give a recording with two channels.")
    if len(given) != 1:
        kinds = "a picture, words or" if reads_words(model) else "a picture or"
        raise ValueError(
            f"Ask with one thing: {kinds} a recording. "
            f"Received: {' and '.join(given) or 'none of them'}"
        )
    paths = [_path(file) for file in (recording, picture, sound) if file]
    try:
        recording = as_contents(recording, "recording")
        asked["picture"] = picture = as_contents(picture, "picture")
        asked["recording"] = sound = as_contents(sound, "sound")
        for file in (recording, sound):
            if file:
                _check_sound(file, max_seconds)
        if picture:
            check_picture(picture)
        # Named by kind: words that look like a path are words, and no file of this machine.
        prompt = as_prompt(asked[given[0]], _KINDS[given[0]])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            explanation = model.explain(recording, prompt)
    except ValueError as error:
        raise ValueError(_without_folders(str(error), paths)) from error
    return Answer(
        explanation["azimuth"],
        explanation["confidence"],
        explanation,
        _to_int16(explanation["masked_audio"]),
        explanation["sampling_rate"],
        tuple(_without_folders(str(one.message), paths) for one in caught),
    )


def reads_words(model: Any) -> bool:
    """Whether words can ask a model.

    Args:
        model: A `Localizer`.

    Returns:
        Bool.
    """
    return getattr(model.preprocessor, "tokenize", None) is not None


def _path(file):
    """Path of a file as errors have it; empty for bytes."""
    named = file if is_path(file) else getattr(file, "name", "")
    return os.fspath(named) if is_path(named) else ""


def _check_sound(file, max_seconds):
    seconds = audio_num_samples(file, 16000) / 16000
    name = recording_name(file)
    if seconds > max_seconds:
        raise ValueError(f"{name} must last at most {max_seconds:g} s. Received: {seconds:.1f} s")
    with open_sound(file, name) as header:
        channels, rate = header.channels, header.samplerate
    if channels > 2 or rate > MAX_RATE:
        raise ValueError(
            f"{name} must have at most 2 channels and {MAX_RATE} Hz. "
            f"Received: {channels} channels, {rate} Hz"
        )


def check_picture(file):
    """Refuses a file that is no picture of a kind that is read, or a vast one, by its header.

    Args:
        file: Path of the file, or its `Contents`.

    Raises:
        ValueError: If it is.
    """
    name = file.label if isinstance(file, Contents) else f"image file '{file}'"
    try:
        with Image.open(file, formats=PICTURES) as picture:
            width, height = picture.size  # from its header
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} must be a picture. Expected: {', '.join(PICTURES)}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return  # the reader of pictures says what is wrong
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{name} must have at most {MAX_PIXELS // 10**6} million pixels. "
            f"Received: {width} x {height}"
        )


def _without_folders(message: str, paths):
    """A message that says nothing of where the files lie."""
    for path in filter(None, paths):
        message = message.replace(path, os.path.basename(path))
    return message


def _to_int16(audio: Tensor):
    """Samples of a WAV file, as loud as it can be."""
    peak = max(float(np.abs(audio).max()), 1e-9)
    return np.round(32767 * 0.9 * audio / peak).astype("int16")
