"""Recordings of a pair of microphones, from files and arrays to one batch."""

import os

import numpy as np
from keras import ops

from keras_avssan.data.audio_io import read_audio


def read_recordings(audio, sampling_rate, source_rate=None, min_samples=1):
    """Reads and checks recordings of two microphones.

    Args:
        audio: Path, array (samples, 2) or (batch, samples, 2), or a list of paths or arrays.
        sampling_rate: Sampling rate of the result in hertz.
        source_rate: Sampling rate of arrays in hertz; `sampling_rate` if not given.
        min_samples: Least number of samples of the result.

    Returns:
        float32 array of shape (batch, samples, 2).

    Raises:
        ValueError: If a recording is unreadable, has a wrong shape, is silent, not finite or too
            short, or if their durations differ.
        TypeError: If it is neither a path nor an array.
    """
    recordings = [
        read_audio(recording, sampling_rate, channels=2, source_rate=source_rate)
        for recording in _one_by_one(audio)
    ]
    lengths = [len(recording) for recording in recordings]
    if not lengths or len(set(lengths)) > 1:
        raise ValueError(
            "`audio` must hold recordings of one duration, at least one. "
            f"Received: {lengths} samples"
        )
    if lengths[0] < min_samples:
        raise ValueError(
            f"`audio` must last at least {min_samples} samples at {sampling_rate} Hz. "
            f"Received: {lengths[0]} samples"
        )
    if not all(recording.any() for recording in recordings):
        raise ValueError("`audio` must not be silent. Received: all samples are zero")
    return np.stack(recordings)


def _one_by_one(audio):
    """Recordings as a list of paths and arrays."""
    if isinstance(audio, (str, os.PathLike)):
        return [audio]
    if isinstance(audio, (list, tuple)):
        return [r if isinstance(r, (str, os.PathLike)) else _to_numpy(r) for r in audio]
    audio = _to_numpy(audio)
    if audio.ndim not in (2, 3):
        raise ValueError(
            "`audio` must have shape (samples, 2) or (batch, samples, 2). "
            f"Received: shape {audio.shape}"
        )
    return list(audio) if audio.ndim == 3 else [audio]


def _to_numpy(recording):
    try:
        array = ops.convert_to_numpy(recording)
    except (TypeError, ValueError):
        array = np.empty(0, object)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"`audio` must be a path or an array of numbers. Received: {type(recording).__name__}"
        )
    return array
