"""Descriptions of an answer in words, for the page."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

from keras_avssan.arrays import DirectionGrid
from keras_avssan.doa.grid import GRID_DEGREES
from keras_avssan.tracking import Track

# Eighths of the circle from the x axis on, counter-clockwise.
_AROUND = (
    "in front",
    "in front, to the left",
    "to the left",
    "behind, to the left",
    "behind",
    "behind, to the right",
    "to the right",
    "in front, to the right",
)
# Degrees to either side of a direction within which probability is summed.
_NEAR = 5.0
# Least probability of a second candidate that is worth a line.
_LEAST = 0.05
# Mean similarities over 1,000 mixtures of real recordings without the prompted class, and with it,
# of one model of twelve classes: docs/robustness.md. In between, the page says that it is unclear.
_ABSENT, _PRESENT = 0.19, 0.41


def describe_direction(azimuth: float) -> str:
    """A direction in words, seen from the pair with microphone 1, at 0°, on the left."""
    side, apart = ("left", 90 - azimuth) if azimuth < 90 else ("right", azimuth - 90)
    if apart <= 3:
        return "in the middle"
    if apart <= 20:
        return f"a little {side} of the middle"
    if apart <= 70:
        return f"{side} of the middle"
    return f"far to the {side}"


def describe_azimuth(azimuth: float) -> str:
    """An azimuth all around in words, seen along the x axis of the array."""
    return f"{_AROUND[round(azimuth / 45) % 8]}, where the x axis of the array is in front"


def second_candidate(posterior: ArrayLike, azimuth: float) -> tuple[float, float] | None:
    """The highest peak more than 10° away from the answer, and the probability within 5° of it.

    `None` where the probability is less than 0.05.
    """
    values = np.asarray(posterior, "float64")
    peaks, _ = find_peaks(np.pad(values, 1, constant_values=-np.inf))
    peaks = [peak - 1 for peak in peaks if abs(GRID_DEGREES[peak - 1] - azimuth) > 2 * _NEAR]
    if not peaks:
        return None
    best = max(peaks, key=lambda peak: values[peak])
    probability = float(values[np.abs(GRID_DEGREES - GRID_DEGREES[best]) <= _NEAR].sum())
    return (float(GRID_DEGREES[best]), probability) if probability >= _LEAST else None


def second_azimuth(posterior: ArrayLike, azimuth: float) -> tuple[float, float] | None:
    """The same of a posterior (360,) over azimuths all around; `azimuth` is its highest peak."""
    grid = DirectionGrid()
    values = np.asarray(posterior, "float64")[None]
    peaks = grid.peaks(values, 2)
    probability = float(grid.near(values, peaks)[0, 1])  # 0 without a second peak
    return (float(peaks[0, 1]), probability) if probability >= _LEAST else None


def describe_presence(similarity: float, presence: float | None = None) -> str:
    """What the similarity of prompt and recording, or NaN, indicates about the sound's presence.

    No threshold has been measured, so values between the two known means indicate nothing.
    `presence`, the probability that networks with candidates give, takes its place.
    """
    if presence is not None:
        found = "Probably" if presence >= 0.5 else "Probably not"
        return (
            f"{found}: the probability that the sound is in the recording is {100 * presence:.0f} %"
        )
    if not np.isfinite(similarity):
        return "This model does not say"
    number = f"(similarity {similarity:.2f})".replace("-", "\N{MINUS SIGN}")
    if similarity >= _PRESENT:
        return f"Perhaps: prompt and recording are alike {number}"
    if similarity <= _ABSENT:
        return f"Doubtful: prompt and recording are not alike {number}"
    return f"Unclear {number}"


def describe_track(track: Track) -> str:
    """The range of the directions over time, and how long the sound is probably there."""
    if not track.valid.any():
        return "in none of its parts has the recording a direction"
    low, high = np.nanmin(track.azimuth), np.nanmax(track.azimuth)
    where = f"{low:.0f}°" if low == high else f"from {low:.0f}° to {high:.0f}°"
    if track.presence is None:
        return where
    return f"{where}, probably there in {100 * np.mean(track.valid):.0f} % of the time"


PRESENCE_NOTE = (
    "A direction is always given, also for a sound that is not there. The similarity of prompt and "
    "recording, from −1 to 1, is a hint: for one model of twelve real classes it was "
    f"{_PRESENT:.2f} on average where the sound was there and {_ABSENT:.2f} where it was "
    "not, and in the wrong order in one pair of four. "
    "For this model no threshold has been measured."
)

PROBABILITY_NOTE = (
    "A direction is always given, also for a sound that is not there. Whether it is there is the "
    "model's own estimate too; where the sound is probably not there, the direction means nothing."
)


def known_classes(model: Any) -> list[str]:
    """The classes that a model was trained on, sorted; empty if they are not recorded."""
    record = getattr(model, "training_record", None)
    names: set[str] = set()
    for training in getattr(record, "trainings", None) or ():
        names.update(training.get("classes") or ())
    return sorted(names)
