"""Recordings of microphone pairs, from files and arrays to one batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_avssan.data.media.audio_io import (
    check_duration,
    load_samples,
    recording_name,
    resample_samples,
)
from keras_avssan.data.media.channel_pair import check_both_alive, warn_of_copies
from keras_avssan.data.media.contents import as_contents, is_file
from keras_avssan.layers.stereo_stft import GREATEST_PEAK, LEAST_PEAK

_MOST_SPACING = 5.0  # metres; a greater number is likely in centimetres


def to_numpy(value: Any, name: str) -> np.ndarray:
    """Brings an array or a tensor of any backend to NumPy; refuses anything but numbers."""
    try:
        array = ops.convert_to_numpy(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`{name}` must be a path, a file or an array. Received: {type(value).__name__}"
        ) from error
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"`{name}` must be a path, a file or an array of numbers. "
            f"Received: {type(value).__name__}"
        )
    return array


def read_recordings(
    audio: Any,
    sampling_rate: int,
    *,
    channels: Sequence[int] | None = None,
    source_rate: int | None = None,
    resample: bool = True,
    min_duration: float = 0.0,
    max_duration: float = np.inf,
    num_channels: int = 2,
) -> np.ndarray:
    """Reads and checks recordings of microphones: float32 (batch, samples, 2), rates in Hz.

    `channels` are those of more channels to take, two or `num_channels`. Peaks below 1e-3 or above
    1e6 are scaled by a power of two. A `UserWarning` names recordings whose channels are copies.
    """
    wanted = num_channels if channels is None else check_channels(channels, num_channels)
    audio = [as_contents(recording, "audio") for recording in _one_by_one(audio)]
    names = [recording_name(recording) for recording in audio]
    if len(audio) > 1:
        names = [f"`audio[{k}]`" if name == "`audio`" else name for k, name in enumerate(names)]
    rates = sampling_rate if source_rate is None else source_rate, sampling_rate
    recordings = [
        _read(recording, name, wanted, rates, resample, min_duration, max_duration)
        for recording, name in zip(audio, names, strict=True)
    ]
    lengths = [len(recording) for recording in recordings]
    if not lengths:
        raise ValueError("`audio` must hold at least one recording. Received: none")
    if len(set(lengths)) > 1:
        raise ValueError(
            f"Recordings of one batch must have the same duration. Received: {lengths} samples"
        )
    batch = np.stack(recordings)
    warn_of_copies(batch, names)
    return batch


def read_reference(
    recording: Any,
    sampling_rate: int,
    *,
    source_rate: int | None = None,
    resample: bool = True,
    min_duration: float = 0.0,
    max_duration: float = np.inf,
) -> np.ndarray:
    """Reads and checks a recording that serves as a prompt: float32 (samples,), mono."""
    recording = as_contents(recording, "prompt")
    name = recording_name(recording).replace("`audio`", "A recording as `prompt`")
    rates = sampling_rate if source_rate is None else source_rate, sampling_rate
    samples = _read(recording, name, None, rates, resample, min_duration, max_duration)
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)


def _read(
    recording: Any,
    name: str,
    channels: int | tuple[int, ...] | None,
    rates: tuple[int, int],
    resample: bool,
    min_duration: float,
    max_duration: float,
) -> np.ndarray:
    """One recording (samples, channels); with `channels=None` all, checked by their mean."""
    samples, rate = load_samples(recording, channels, rates[0], name, min_duration, max_duration)
    samples = at_usual_level(samples)
    # Checked before resampling, which a wrong rate makes endless, and which gives a constant
    # channel audible edges.
    checked = samples.mean(axis=1) if channels is None else samples
    _check_recording(checked, name, rate, min_duration, max_duration)
    if channels is not None:
        check_both_alive(samples, name)
    return resample_samples(samples, rate, rates[1], resample, name)


def at_usual_level(samples: np.ndarray) -> np.ndarray:
    """Scales samples of which float32 cannot compute the power; others stay as they are."""
    peak = np.max(np.abs(samples), initial=0)
    if not peak or LEAST_PEAK <= peak <= GREATEST_PEAK:
        return samples
    return np.ldexp(samples, -np.frexp(peak)[1])


def _check_recording(
    samples: np.ndarray, name: str, sampling_rate: int, min_duration: float, max_duration: float
) -> None:
    """Refuses a recording (samples, …) that is too short, too long or silent."""
    check_duration(len(samples) / sampling_rate, name, min_duration, max_duration)
    if not (samples != samples[0]).any():
        found = "of the same value" if np.any(samples) else "zero"
        raise ValueError(f"{name} must not be silent. Received: all samples are {found}")


def check_pair(channels: Sequence[int]) -> tuple[int, ...]:
    """The two channels as a tuple of ints."""
    return check_channels(channels, 2)


def check_channels(channels: Sequence[int], count: int) -> tuple[int, ...]:
    """The channels of `count` microphones as a tuple of ints."""
    found = np.asarray(channels)
    whole = found.shape == (count,) and found.dtype.kind in "iu"
    if not whole or found.min() < 0 or len(set(found.tolist())) < count:
        number = "two" if count == 2 else str(count)
        raise ValueError(
            f"`channels` must be {number} different channels, counted from 0, such as "
            f"{tuple(range(count))}. Received: channels={channels!r}"
        )
    return tuple(found.tolist())


def _one_by_one(audio: Any) -> Sequence[Any]:
    """Recordings as a sequence of files and arrays."""
    if is_file(audio):
        return [audio]
    if isinstance(audio, (list, tuple)):
        return audio
    audio = to_numpy(audio, "audio")
    if audio.ndim not in (2, 3):
        raise ValueError(
            "`audio` must have shape (samples, channels) or (batch, samples, channels). "
            f"Received: shape {audio.shape}"
        )
    return list(audio) if audio.ndim == 3 else [audio]


def check_spacings(microphone_spacing: ArrayLike) -> np.ndarray:
    """Returns distances between two microphones as float64; refuses those not in (0, 5] metres."""
    spacings = np.asarray(microphone_spacing)
    numbers = spacings.size and spacings.dtype.kind in "iuf"
    if not (numbers and np.all((spacings > 0) & (spacings <= _MOST_SPACING))):
        raise ValueError(
            "`microphone_spacing` must be a positive distance in metres, of at most "
            f"{_MOST_SPACING:g}. Received: microphone_spacing={microphone_spacing!r}"
        )
    return spacings.astype("float64")


def spacing_input(microphone_spacing: ArrayLike | None, count: int) -> dict[str, np.ndarray]:
    """Returns the input `microphone_spacing` (count,) of a batch; an empty dict for `None`."""
    if microphone_spacing is None:
        return {}
    spacings = check_spacings(microphone_spacing).astype("float32")
    if spacings.shape not in ((), (1,), (count,)):
        raise ValueError(
            f"`microphone_spacing` must be one distance, or one for each of the {count} "
            f"recordings. Received: shape {spacings.shape}"
        )
    return {"microphone_spacing": np.broadcast_to(spacings, (count,)).copy()}
