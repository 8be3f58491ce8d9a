"""What an answer says in words, and what is known of it."""

from typing import Any

import numpy as np
from scipy.signal import find_peaks

from keras_avssan._internal.types import Tensor
from keras_avssan.doa.grid import GRID_DEGREES

# Degrees to either side of a direction whose probability counts as its own.
_NEAR = 5.0
# Least probability of a second candidate that is worth a line.
_LEAST = 0.05
# Means of 1,000 mixes of real recordings where a class was absent and where it was present, by one
# model of twelve classes: docs/robustness.md. In between nothing is said.
_ABSENT, _PRESENT = 0.03, 0.30


def describe_direction(azimuth: Tensor) -> str:
    """Says where a direction is, seen from the pair with microphone 1 on the left.

    Args:
        azimuth: Direction in degrees, 0 beside microphone 1.

    Returns:
        String.

    Example:
        >>> describe_direction(40)
        'left of the middle'
    """
    side, apart = ("left", 90 - azimuth) if azimuth < 90 else ("right", azimuth - 90)
    if apart <= 3:
        return "in the middle"
    if apart <= 20:
        return f"a little {side} of the middle"
    if apart <= 70:
        return f"{side} of the middle"
    return f"far to the {side}"


def second_candidate(posterior: Tensor, azimuth: Tensor):
    """The second peak of a posterior.

    Args:
        posterior: Probabilities of the directions 1° to 180°, shape (180,).
        azimuth: The answer in degrees.

    Returns:
        Tuple: direction of the highest peak more than 10° away in degrees, and the probability
        within 5° of it; `None` where that is less than 0.05.

    Example:
        >>> posterior = np.zeros(180)
        >>> posterior[[29, 99]] = 0.3, 0.7
        >>> second_candidate(posterior, 100.0)
        (30.0, 0.3)
    """
    posterior = np.asarray(posterior, "float64")
    peaks, _ = find_peaks(np.pad(posterior, 1, constant_values=-np.inf))
    peaks = [peak - 1 for peak in peaks if abs(GRID_DEGREES[peak - 1] - azimuth) > 2 * _NEAR]
    if not peaks:
        return None
    best = max(peaks, key=lambda peak: posterior[peak])
    probability = float(posterior[np.abs(GRID_DEGREES - GRID_DEGREES[best]) <= _NEAR].sum())
    return (float(GRID_DEGREES[best]), probability) if probability >= _LEAST else None


def describe_presence(similarity) -> str:
    """Says what is known of whether the sound is there at all.

    A direction is always given, and its probability hardly depends on it. The similarity does, in
    three of four pairs of scenes; no threshold has been measured, so values between the two means
    that are known say nothing.

    Args:
        similarity: Cosine of prompt and recording, from -1 to 1, or NaN.

    Returns:
        String.

    Example:
        >>> describe_presence(0.4)
        'Perhaps: prompt and recording are alike (similarity 0.40)'
    """
    if not np.isfinite(similarity):
        return "This model does not say"
    number = f"(similarity {similarity:.2f})".replace("-", "\N{MINUS SIGN}")
    if similarity >= _PRESENT:
        return f"Perhaps: prompt and recording are alike {number}"
    if similarity <= _ABSENT:
        return f"Doubtful: prompt and recording are not alike {number}"
    return f"Cannot be told {number}"


PRESENCE_NOTE = (
    "A direction is always given, also for a sound that is not there. The similarity of prompt and "
    "recording, from −1 to 1, is a hint: for one model of twelve real classes it was "
    f"{_PRESENT:.2f} on average where the sound was there and {_ABSENT:.2f} where it was "
    "not, and in the wrong order in one pair of four. "
    "For this model no threshold has been measured."
)


def known_classes(model: Any):
    """The classes that a model was trained on.

    Args:
        model: A `Localizer`.

    Returns:
        List of strings, sorted; empty where that is not recorded.
    """
    record = getattr(model, "training_record", None)
    names: set[str] = set()
    for training in getattr(record, "trainings", None) or ():
        names.update(training.get("classes") or ())
    return sorted(names)
