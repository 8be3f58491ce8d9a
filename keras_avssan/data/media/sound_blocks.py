"""Recordings of any length, read block by block."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import soundfile

from keras_avssan._internal.checks import check_integer, transpose_hint
from keras_avssan.data.media.audio_io import MP3_FRAME, recording_name
from keras_avssan.data.media.contents import as_contents, is_file
from keras_avssan.data.media.recordings import check_channels, to_numpy
from keras_avssan.data.media.sound_files import knows_its_length, open_sound

# Samples of a channel that are read at a time: a few megabytes.
_BLOCK = 2**18


class SoundBlocks:
    """Channels of a recording in blocks: an iterator of float32 arrays (samples, channels).

    Samples may be NaN or infinite. `num_samples` is `None` where a header lacks it.
    """

    def __init__(
        self, blocks: Iterator[np.ndarray], sampling_rate: int, num_samples: int | None
    ) -> None:
        self._blocks = blocks
        self.sampling_rate = sampling_rate
        self.num_samples = num_samples

    def __iter__(self) -> Iterator[np.ndarray]:
        return self._blocks


@contextlib.contextmanager
def open_blocks(
    recording: Any,
    sampling_rate: int,
    channels: Sequence[int] | None = None,
    num_channels: int = 2,
) -> Iterator[SoundBlocks]:
    """Opens a file, or an array (samples, channels) at a rate in Hz, to be read block by block.

    `channels` are those of more channels to take, `num_channels` of them.
    """
    recording = as_contents(recording, "recording")
    if not is_file(recording):
        samples = check_samples(to_numpy(recording, "recording"), "recording")
        chosen = choose_channels(samples.shape[1], channels, "`recording`", num_channels)
        rate = check_integer("sampling_rate", sampling_rate, least=1)
        if not len(samples):
            raise ValueError("`recording` is empty. Received: 0 samples")
        yield SoundBlocks(_of_array(samples, chosen), rate, len(samples))
        return
    name = recording_name(recording)
    with open_sound(recording, name) as file:
        chosen = choose_channels(file.channels, channels, name, num_channels)
        known = knows_its_length(file)
        if not known:
            file.seekable = lambda: False  # seeking fails, although soundfile reports that it works
        count = file.frames if known else None
        yield SoundBlocks(_of_file(file, chosen, name, known), file.samplerate, count)


def choose_channels(
    present: int, channels: Sequence[int] | None, name: str, wanted: int = 2
) -> tuple[int, ...]:
    """The channels, counted from 0, to take of those that are present in a recording."""
    if channels is None:
        if present != wanted:
            hint = ""
            if present > wanted:
                example = f"`channels={tuple(range(wanted))}`"
                hint = f" Choose {wanted} of them with `channels`, such as {example}."
            raise ValueError(
                f"{name} must have {wanted} channels.{hint} Received: {present} channel(s)"
            )
        return tuple(range(wanted))
    chosen = check_channels(channels, wanted)
    if max(chosen) >= present:
        raise ValueError(
            f"{name} has {present} channel(s), numbered from 0. Received: channels={channels}"
        )
    return chosen


def check_samples(samples: np.ndarray, name: str) -> np.ndarray:
    """Refuses samples that are not floats of shape (samples, channels)."""
    if samples.dtype.kind != "f":
        raise TypeError(
            f"`{name}` must hold floating-point samples; divide integer samples by their full "
            f"scale first. Received: {name} of dtype {samples.dtype}"
        )
    if samples.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (samples, channels). Received: {name} of shape "
            f"{samples.shape}"
        )
    hint = transpose_hint(samples.shape)
    if hint and samples.shape[1] > 64:  # more than any array of microphones has
        raise ValueError(
            f"`{name}` must have shape (samples, channels).{hint} Received: {name} of shape "
            f"{samples.shape}"
        )
    return samples


def as_float32(samples: np.ndarray) -> np.ndarray:
    """Samples in float32; those that it cannot hold become infinite."""
    with np.errstate(over="ignore", under="ignore"):
        return np.ascontiguousarray(samples, "float32")


def _of_array(samples: np.ndarray, chosen: tuple[int, ...]) -> Iterator[np.ndarray]:
    for start in range(0, len(samples), _BLOCK):
        yield as_float32(samples[start : start + _BLOCK, list(chosen)])


def _of_file(
    file: soundfile.SoundFile, chosen: tuple[int, ...], name: str, known: bool
) -> Iterator[np.ndarray]:
    """Blocks of an open file; refuses one that ends before its header says."""
    read = 0
    while True:
        try:
            block = file.read(_BLOCK, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise ValueError(f"{name} is truncated or damaged. Received: {error}") from error
        read += len(block)
        if len(block):
            yield np.ascontiguousarray(block[:, list(chosen)])
        if len(block) < _BLOCK:
            break
    missing = file.frames - read if known else 0
    if missing > (MP3_FRAME if file.format == "MP3" else 0):
        raise ValueError(f"{name} is truncated. Received: {read} of {file.frames} samples")
