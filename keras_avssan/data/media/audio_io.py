"""Reading of recordings: decode, check, resample."""

import os
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import PathLike
from keras_avssan.data.media.contents import Contents, File, as_contents
from keras_avssan.data.media.sound_files import knows_its_length, open_sound, read_to_the_end

# MP3 decoders may drop up to one frame at either end.
MP3_FRAME = 1152


def read_audio(
    audio: File | np.ndarray,
    sampling_rate: int = 16000,
    *,
    channels: int | tuple[int, ...] | None = None,
    source_rate: int | None = None,
    resample: bool = True,
) -> np.ndarray:
    """Reads a recording as float32 samples at a given sampling rate.

    Args:
        audio: File that soundfile reads (WAV, FLAC, Ogg Vorbis, MP3, …): its path, its bytes, or
            the file opened in binary mode; or an array of shape `(samples,)` or
            `(samples, channels)`.
        sampling_rate: Rate of the result in Hz.
        channels: Number of channels that the recording must have, or a tuple of the channels to
            take, 0 the first, in this order; `None` takes all. Channels are never duplicated or
            mixed.
        source_rate: Rate of `audio` in Hz where it is an array; `None` means `sampling_rate`. A
            file has its own rate.
        resample: Whether a recording at another rate is resampled; `False` refuses it.

    Returns:
        Float32 array of shape `(samples,)` for one channel, else `(samples, channels)`.

    Raises:
        ValueError: The recording is unreadable, truncated, empty, not finite, at a rate that may
            not be resampled, or has another number of channels.

    Example:
        >>> tone = np.sin(np.arange(48000) / 10)
        >>> read_audio(tone, 16000, source_rate=48000).shape
        (16000,)
    """
    sampling_rate = check_integer("sampling_rate", sampling_rate, least=1)
    source_rate = sampling_rate if source_rate is None else source_rate
    audio = as_contents(audio, "audio")
    name = recording_name(audio)
    samples, source_rate = load_samples(audio, channels, source_rate, name)
    samples = resample_samples(samples, source_rate, sampling_rate, resample, name)
    return np.ascontiguousarray(samples if samples.shape[1] > 1 else samples[:, 0])


def recording_name(audio: Any) -> str:
    """The name of a recording in errors."""
    if isinstance(audio, (str, os.PathLike)):
        return f"audio file '{os.fspath(audio)}'"
    if isinstance(audio, Contents):
        return audio.label
    return "`audio`"


def load_samples(
    audio: Any,
    channels: int | tuple[int, ...] | None,
    source_rate: int,
    name: str,
    min_duration: float = 0.0,
    max_duration: float = np.inf,
) -> tuple[np.ndarray, int]:
    """Returns checked samples `(samples, channels)` of a file or array, and their rate in Hz."""
    if isinstance(audio, (str, os.PathLike, Contents)):
        samples, source_rate = _decode(audio, name, min_duration, max_duration)
    else:
        samples = _as_samples(audio)
        source_rate = check_integer("sampling_rate", source_rate, least=1)
    return _check_samples(samples, channels, name), source_rate


def check_duration(
    duration: float, name: str, min_duration: float = 0.0, max_duration: float = np.inf
) -> None:
    """Refuses a recording that is too short or too long, all in seconds."""
    if not min_duration <= duration <= max_duration:
        raise ValueError(
            f"{name} must last from {min_duration:g} to {max_duration:g} seconds. "
            f"Received: {duration:.3f} s"
        )


def resample_samples(
    samples: np.ndarray, source_rate: int, sampling_rate: int, resample: bool, name: str
) -> np.ndarray:
    """Returns samples `(samples, channels)` at another rate."""
    if source_rate == sampling_rate:
        return samples
    if not resample:
        raise ValueError(
            f"{name} must be sampled at {sampling_rate} Hz with `resample=False`. "
            f"Received: {source_rate} Hz"
        )
    resampled = soxr.resample(samples, source_rate, sampling_rate)
    if not len(resampled):
        raise ValueError(
            f"{name} is too short to be resampled to {sampling_rate} Hz. "
            f"Received: {len(samples)} sample(s) at {source_rate} Hz"
        )
    return resampled


def audio_num_samples(path: PathLike | Contents, sampling_rate: int = 16000) -> int:
    """Returns the number of samples, at least 1, that a file has at a sampling rate."""
    name = recording_name(path)
    with open_sound(path, name) as file:
        known = knows_its_length(file)
        frames, rate = file.frames, file.samplerate
    if not known:
        frames = len(_decode(path, name, 0.0, np.inf)[0])
    return max(1, round(frames * sampling_rate / rate))


def _as_samples(audio: ArrayLike) -> np.ndarray:
    samples = np.asarray(audio)
    if samples.dtype.kind != "f":
        raise ValueError(
            "`audio` must hold floating-point samples; divide integer samples by their full scale "
            f"first. Received: audio of dtype {samples.dtype}"
        )
    if samples.ndim not in (1, 2):
        raise ValueError(
            "`audio` must have shape (samples,) or (samples, channels). "
            f"Received: audio of shape {samples.shape}"
        )
    with np.errstate(over="ignore", under="ignore"):
        single = samples.astype("float32")
    if np.isfinite(samples).all() and (np.isinf(single).any() or samples.any() > single.any()):
        raise ValueError(
            "`audio` must hold samples that float32 can hold, full scale is 1. "
            f"Received: samples of up to {np.abs(samples).max():g}"
        )
    return single.reshape(len(samples), -1 if len(samples) else 1)


def _decode(
    path: PathLike | Contents, name: str, min_duration: float, max_duration: float
) -> tuple[np.ndarray, int]:
    with open_sound(path, name) as file:
        if knows_its_length(file) and file.frames > max_duration * file.samplerate:
            check_duration(file.frames / file.samplerate, name, min_duration, max_duration)
        try:
            if not knows_its_length(file):
                return read_to_the_end(file), file.samplerate
            samples = file.read(dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise ValueError(f"{name} is truncated or damaged: {error}") from error
        missing = file.frames - len(samples)
        if missing > (MP3_FRAME if file.format == "MP3" else 0):
            raise ValueError(
                f"{name} is truncated. Received: {len(samples)} of {file.frames} samples"
            )
        return samples, file.samplerate


def _check_samples(
    samples: np.ndarray, channels: int | tuple[int, ...] | None, name: str
) -> np.ndarray:
    """The chosen channels; refuses samples that are empty or not finite."""
    if not len(samples):
        raise ValueError(f"{name} is empty. Received: 0 samples")
    samples = _choose_channels(samples, channels, name)
    finite = np.isfinite(samples).all(axis=1)
    if not finite.all():
        first = int(np.argmin(finite))
        raise ValueError(
            f"{name} holds NaN or infinite samples. Received: {samples[first].tolist()} at sample "
            f"{first}"
        )
    return samples


def _choose_channels(
    samples: np.ndarray, channels: int | tuple[int, ...] | None, name: str
) -> np.ndarray:
    length, present = samples.shape
    sideways = present > length
    hint = " The first axis must be the samples: transpose it." if sideways else ""
    received = f"samples of shape {samples.shape}" if sideways else f"{present} channel(s)"
    if isinstance(channels, tuple):
        if sideways:
            raise ValueError(f"{name} has more channels than samples.{hint} Received: {received}")
        if not all(0 <= channel < present for channel in channels):
            raise ValueError(
                f"{name} has {present} channel(s), numbered from 0. Received: channels={channels}"
            )
        return samples[:, channels]
    if channels is not None and present != channels:
        if not sideways and present > channels:
            example = tuple(range(channels))
            hint = f" Choose {channels} of them with `channels`, such as `channels={example}`."
        raise ValueError(f"{name} must have {channels} channel(s).{hint} Received: {received}")
    return samples
