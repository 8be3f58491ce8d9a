"""Whether the two channels of a recording can tell a direction at all."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_avssan._internal.types import Tensor
from keras_avssan.doa.grid import posterior_confidence

# A channel this far below the other one hears nothing: two microphones of a pair differ by less.
_DEAD_DB = -40.0
# Share of a channel's power that a copy of the other one leaves unexplained, at most. It is above
# the rounding of 16-bit samples, and below what noise and reverberation leave of any real pair.
_COPY_REST = 1e-6


def check_both_alive(samples: np.ndarray, name: str):
    """Refuses a recording of which one channel hears nothing.

    Args:
        samples: Float array (samples, 2), not silent in both channels.
        name: What it is, for the error.

    Raises:
        ValueError: If one channel, its mean aside, is 40 dB or more below the other.

    Example:
        >>> check_both_alive(np.random.default_rng(0).normal(size=(8000, 2)), "`audio`")
    """
    power = np.var(samples, axis=0, dtype="float64")
    level = 10 * np.log10(np.maximum(power.min() / power.max(), 1e-12))
    if level > _DEAD_DB:
        return
    dead = int(np.argmin(power))
    found = "constant" if power[dead] == 0 else f"{level:.0f} dB below the other channel"
    raise ValueError(
        f"{name} must hold sound in both channels, a direction is in their difference. "
        f"Received: channel {dead} is {found}"
    )


def find_copies(audio: Tensor):
    """Tells of which recordings the two channels are copies of each other.

    One channel that was written twice, whatever its gain and sign, looks like a source exactly
    in front of the pair, and is none: two microphones never hear the very same.

    Args:
        audio: Float array (batch, samples, 2).

    Returns:
        Bool array (batch,).

    Example:
        >>> audio = np.random.default_rng(0).normal(size=(2, 8000, 2))
        >>> audio[1, :, 1] = -0.5 * audio[1, :, 0]
        >>> find_copies(audio).tolist()
        [False, True]
    """
    return np.array([_are_copies(recording) for recording in np.asarray(audio, "float64")], bool)


def _are_copies(recording: Any):
    """Whether a gain and an offset make one channel the other."""
    first, second = (recording - recording.mean(axis=0)).T
    powers = (first @ first) * (second @ second)
    return bool(powers > 0 and (first @ second) ** 2 >= (1 - _COPY_REST) * powers)


def confidence(posterior: Tensor, audio: Tensor):
    """Confidence of an answer: none where the channels are copies.

    Args:
        posterior: Array (batch, 180).
        audio: The recordings that it was computed from, array (batch, samples, 2).

    Returns:
        float32 array (batch,): the probability within 5° of the highest one, or 0.

    Example:
        >>> posterior = np.full((1, 180), 1 / 180, "float32")
        >>> source = np.random.default_rng(0).normal(size=8000)
        >>> confidence(posterior, np.stack([source, source], axis=-1)[None]).tolist()
        [0.0]
    """
    return np.where(find_copies(audio), np.float32(0), posterior_confidence(posterior))


def warn_of_copies(audio: Tensor, names: Sequence[str]) -> None:
    """Warns where the channels of recordings are copies.

    Args:
        audio: Float array (batch, samples, 2).
        names: List of what each recording is called.
    """
    copies = [name for name, copied in zip(names, find_copies(audio), strict=True) if copied]
    if copies:
        warnings.warn(
            f"{', '.join(copies)}: both channels hold the same signal, so that there is no "
            "direction in them and the confidence is 0. Is it a mono recording?",
            stacklevel=_levels_to_the_caller(),
        )


def _levels_to_the_caller():
    """How far up the stack the code is that called this library, so that it is shown.

    The command line counts as a caller: it shows what is warned of as a line of its own.
    """
    frame, levels = sys._getframe(1), 1
    while frame.f_back and _is_inside(frame.f_globals.get("__name__", "")):
        frame, levels = frame.f_back, levels + 1
    return levels


def _is_inside(module):
    return module.startswith("keras_avssan.") and not module.startswith("keras_avssan.cli.main")
