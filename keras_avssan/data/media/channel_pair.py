"""Checks that the two channels of a recording have a direction."""

import sys
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_avssan.doa.grid import posterior_confidence

# A channel this far below the other one is silent: two microphones of a pair differ by less.
_DEAD_DB = -40.0
# Greatest share of a channel's power that a copy of the other one leaves unexplained. It is above
# the rounding of 16-bit samples, and below the share that noise and reverberation cause.
_COPY_REST = 1e-6
# What `find_dead` finds.
SILENT, ONE_DEAD = "silent", "dead channel"


def check_both_alive(samples: np.ndarray, name: str) -> None:
    """Refuses samples (samples, M) of which one channel is 40 dB or more below the loudest.

    Their means do not count; `name` is the recording's name in errors.
    """
    power = _channels_of(samples).var(axis=1)
    level = 10 * np.log10(np.maximum(power.min() / power.max(), 1e-12))
    if level > _DEAD_DB:
        return
    dead = int(np.argmin(power))
    pair = len(power) == 2
    channels, rest = ("both channels", "other channel") if pair else ("all channels", "loudest")
    found = "constant" if power[dead] == 0 else f"{level:.0f} dB below the {rest}"
    raise ValueError(
        f"{name} must hold sound in {channels}: their difference has the direction. "
        f"Received: channel {dead} is {found}"
    )


def find_dead(samples: np.ndarray) -> str:
    """`SILENT` for samples (samples, 2) that are constant, `ONE_DEAD` if one channel is, else "".

    A channel that is 40 dB or more below the other one counts as constant.
    """
    power = _channels_of(samples).var(axis=1)
    if not power.any():
        return SILENT
    return "" if power.min() > 10 ** (_DEAD_DB / 10) * power.max() else ONE_DEAD


def find_copies(audio: ArrayLike) -> np.ndarray:
    """Returns which recordings (batch, samples, M) have channels that are copies, bool (batch,).

    One channel that was written twice, whatever its gain and sign, looks like a source exactly in
    front of the pair; the signals of two microphones always differ.
    """
    return np.array([bool(_copies_in(recording)) for recording in np.asarray(audio)], bool)


def _channels_of(samples: np.ndarray) -> np.ndarray:
    """Samples (samples, M) as float64 (M, samples): sums over each channel are quick there."""
    return np.ascontiguousarray(samples.T, dtype="float64")


def _copies_in(recording: np.ndarray) -> tuple[int, ...]:
    """The first two channels of (samples, M) that a gain and an offset make one; else empty."""
    channels = _channels_of(recording)
    centred = channels - channels.mean(axis=1, keepdims=True)
    products = centred @ centred.T
    powers = np.outer(np.diag(products), np.diag(products))
    copies = np.triu((powers > 0) & (products**2 >= (1 - _COPY_REST) * powers), k=1)
    return tuple(np.argwhere(copies)[0].tolist()) if copies.any() else ()


def confidence(
    posterior: np.ndarray, audio: ArrayLike, azimuths: np.ndarray | None = None
) -> np.ndarray:
    """Returns the probability within 5° of a posterior's peak, (batch,); 0 for copied channels.

    In place of the peak, `azimuths` in degrees, (batch,) or (batch, n).
    """
    sure = posterior_confidence(posterior, azimuths)
    copies = find_copies(audio)
    return np.where(copies.reshape(-1, *[1] * (sure.ndim - 1)), np.float32(0), sure)


def warn_of_copies(audio: ArrayLike, names: Sequence[str]) -> None:
    """Warns where channels of recordings (batch, samples, M) are copies."""
    audio = np.asarray(audio)
    found = zip(names, map(_copies_in, audio), strict=True)
    copies = [(name, pair) for name, pair in found if pair]
    if copies:
        first, second = copies[0][1]
        which = "both channels" if audio.shape[-1] == 2 else f"channels {first} and {second}"
        names = [name for name, _ in copies]
        warnings.warn(
            f"{', '.join(names)}: {which} hold the same signal, so that there is no "
            "direction in them and the confidence is 0. Is it a mono recording?",
            stacklevel=_levels_to_the_caller(),
        )


def _levels_to_the_caller() -> int:
    """Number of stack levels up to the code that called this library, for the warning's location.

    The command line counts as a caller: it prints a warning as a line of its own.
    """
    frame, levels = sys._getframe(1), 1
    while frame.f_back and _is_inside(frame.f_globals.get("__name__", "")):
        frame, levels = frame.f_back, levels + 1
    return levels


def _is_inside(module: str) -> bool:
    return module.startswith("keras_avssan.") and not module.startswith("keras_avssan.cli.main")
