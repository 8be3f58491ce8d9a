"""Answers of a model about uploaded files."""

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from keras_avssan._internal.one_line import one_line
from keras_avssan._internal.types import PathLike
from keras_avssan.app.over_time import follow
from keras_avssan.arrays import MicrophoneArray
from keras_avssan.data.media.audio_io import audio_num_samples, recording_name
from keras_avssan.data.media.contents import Contents, as_contents, is_path
from keras_avssan.data.media.sound_files import open_sound
from keras_avssan.models import ArrayLocalizer
from keras_avssan.models.prompts import as_prompt
from keras_avssan.tracking import Track

MAX_SECONDS = 30.0
MAX_PIXELS = 40_000_000
MAX_RATE = 192_000
# Pairs of an array that recordings of the greatest length may have: all are one batch.
_PAIRS = 4
# Pillow reads other formats too, but some run other programs, and some are old and little tested.
PICTURES = ("JPEG", "PNG", "WEBP")
_KINDS = {"picture": "picture", "words": "text", "recording": "recording"}


@dataclass(frozen=True, eq=False)
class Answer:
    """Holds the answer to one prompt, as the page shows it.

    Args:
        azimuth: Direction in degrees, 0 beside microphone 1; of an array, the azimuth from 0 to
            359, counter-clockwise from its x axis.
        confidence: Posterior probability within 5° of `azimuth`.
        explanation: Dict that `model.explain` returned; of an array, `posterior` over the azimuths
            0° to 359°, shape (360,), and, of networks with candidates, `presence`.
        masked_audio: The masked recording, int16 of shape (samples, 2); `None` of an array.
        sampling_rate: Sampling rate of `masked_audio` in hertz.
        warnings: Warnings about the answer, such as that both channels are the same.
        track: Directions over time of a recording of more than 2 s, else `None`; also where both
            channels are the same, and of an array.
        array: The array, a `keras_avssan.arrays.MicrophoneArray`; `None` for two microphones.
        seconds: Length of the recording in seconds.

    Example:
        >>> found = answer(model, "mix.wav", picture="dog.jpg")
        >>> 1 <= found.azimuth <= 180
        True
        >>> found.masked_audio.dtype
        dtype('int16')
    """

    azimuth: float
    confidence: float
    explanation: dict[str, Any]
    masked_audio: np.ndarray | None
    sampling_rate: int
    warnings: tuple[str, ...] = ()
    track: Track | None = None
    array: MicrophoneArray | None = None
    seconds: float = 0.0

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{self.azimuth:.0f}°",
            f"confidence {self.confidence:.2f}",
            f"{self.seconds:.2f} s at {self.sampling_rate} Hz",
        )


def answer(
    model: Any,
    recording: Any,
    picture: Any = None,
    text: str | None = None,
    reference: Any = None,
    max_seconds: float = MAX_SECONDS,
    array: MicrophoneArray | None = None,
) -> Answer:
    """Localises the prompted sound in an uploaded recording.

    Exactly one of `picture`, `text` and `reference` is the prompt. Errors and warnings name files
    without their folders.

    Args:
        model: A trained `AVSSAN`.
        recording: Recording with two channels, or one for each microphone of `array`: a file, by
            its path, its bytes, or opened in binary mode.
        picture: Picture as prompt, a file likewise, or `None`.
        text: Words as prompt, or `None`; for models that read words.
        reference: Recording as prompt, a file likewise, or `None`.
        max_seconds: Greatest length of either recording in seconds; of a recording of an array
            with more than four pairs, as many times less.
        array: The array that made the recording, a `keras_avssan.arrays.MicrophoneArray`; two
            microphones if not given.

    Returns:
        An `Answer`.

    Raises:
        ValueError: If there is no recording, there is not exactly one prompt, a file is
            unreadable, too long, too large or of another kind, the recording does not have two
            channels, or those of `array`, or the model does not accept the pairs of `array`.
        TypeError: If a file is opened as text.

    Example:
        >>> answer(model, "mix.wav", picture="dog.jpg").azimuth
    """
    prompts = {"picture": picture, "words": (text or "").strip() or None, "recording": reference}
    given = [name for name, value in prompts.items() if value]
    if not recording:
        channels = "two channels" if array is None else f"{len(array)} channels"
        raise ValueError(f"`recording` must be a file with {channels}. Received: no file")
    if len(given) != 1:
        kinds = "a picture, words or" if reads_words(model) else "a picture or"
        raise ValueError(
            f"Give exactly one prompt: {kinds} a recording. "
            f"Received: {' and '.join(given) or 'none of them'}"
        )
    paths = [_path(file) for file in (recording, picture, reference) if file]
    try:
        recording = as_contents(recording, "recording")
        prompts["picture"] = picture = as_contents(picture, "picture")
        prompts["recording"] = reference = as_contents(reference, "reference")
        seconds = _check_sound(recording, max_seconds, array)
        if reference:
            _check_sound(reference, max_seconds)
        if picture:
            check_picture(picture)
        # The kind is named, so that words that look like a path never open a local file.
        prompt = as_prompt(prompts[given[0]], _KINDS[given[0]])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            # Embedded once for the whole recording and for its windows.
            inputs = model.prompt_inputs(prompt)
            track = None
            if array is not None:
                localizer = ArrayLocalizer(model, array)
                _check_length(recording, seconds, max_seconds, len(localizer.pairs))
                explanation = _all_around(localizer, recording, inputs)
            else:
                explanation = model.explain(recording, inputs)
                seconds = len(explanation["masked_audio"]) / explanation["sampling_rate"]
                if explanation["confidence"] > 0:
                    track = follow(model, recording, inputs, seconds)
    except ValueError as error:
        raise ValueError(_without_folders(str(error), paths)) from error
    return Answer(
        explanation["azimuth"],
        explanation["confidence"],
        explanation,
        _to_int16(explanation["masked_audio"]) if array is None else None,
        model.preprocessor.sampling_rate,
        tuple(dict.fromkeys(_without_folders(str(one.message), paths) for one in caught)),
        track,
        array,
        seconds,
    )


def _check_length(recording: Any, seconds: float, max_seconds: float, pairs: int) -> None:
    """Bounds the cost of an array, which grows with its pairs."""
    most = max_seconds * min(1.0, _PAIRS / pairs)
    if seconds > most:
        raise ValueError(
            f"{recording_name(recording)} must last at most {most:.3g} s, for an array with "
            f"{pairs} pairs of microphones. Received: {seconds:.1f} s"
        )


def _all_around(localizer: ArrayLocalizer, recording: Any, prompt: Any) -> dict[str, Any]:
    """What the pairs of an array find together."""
    found = localizer.answer(recording, prompt)
    explanation = {
        "azimuth": float(found.directions[0]),
        "confidence": float(found.confidence[0]),
        "posterior": found.posterior[0],
    }
    if found.presence is not None:
        explanation["presence"] = float(found.presence[0])
    return explanation


def reads_words(model: Any) -> bool:
    """Whether a model can be prompted with words."""
    return hasattr(model.backbone.image_encoder, "tokenize")


def _path(file: Any) -> str:
    """Path of a file as errors have it; empty for bytes."""
    named = file if is_path(file) else getattr(file, "name", "")
    return os.fspath(named) if is_path(named) else ""


def _check_sound(file: Any, max_seconds: float, array: MicrophoneArray | None = None) -> float:
    """Refuses a recording by its header; returns its seconds."""
    seconds = audio_num_samples(file, 16000) / 16000
    name = recording_name(file)
    if seconds > max_seconds:
        raise ValueError(f"{name} must last at most {max_seconds:g} s. Received: {seconds:.1f} s")
    with open_sound(file, name) as header:
        channels, rate = header.channels, header.samplerate
    wrong = channels > 2 if array is None else channels != len(array)
    if wrong or rate > MAX_RATE:
        count = "at most 2 channels and"
        if array is not None:
            count = f"{len(array)} channels, one for each microphone of the array, and at most"
        raise ValueError(
            f"{name} must have {count} {MAX_RATE} Hz. Received: {channels} channels, {rate} Hz"
        )
    return seconds


def check_picture(file: PathLike | Contents) -> None:
    """Refuses, by its header, a file that is not a picture of a known format, or is too large."""
    name = file.label if isinstance(file, Contents) else f"image file '{file}'"
    try:
        with Image.open(file, formats=PICTURES) as picture:
            width, height = picture.size  # from its header
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{name} must be a picture in one of the formats {', '.join(PICTURES)}. "
            "Received: another format"
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return  # the reader of pictures reports the error
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{name} must have at most {MAX_PIXELS // 10**6} million pixels. "
            f"Received: {width} x {height}"
        )


def _without_folders(message: str, paths: Iterable[str]) -> str:
    """A message in which the paths of files are reduced to their names."""
    for path in filter(None, paths):
        message = message.replace(path, os.path.basename(path))
    return message


def _to_int16(audio: np.ndarray) -> np.ndarray:
    """Samples of a WAV file, with a peak of 0.9."""
    peak = max(float(np.abs(audio).max()), 1e-9)
    return np.round(32767 * 0.9 * audio / peak).astype("int16")
