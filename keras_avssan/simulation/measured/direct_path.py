"""Comparison of the direct paths of measured responses with the positions."""

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np

# The direct path begins where a response first has this share of its largest sample.
_ONSET = 0.25
# What is compared: from before that on, for the time between the microphones and a bit more.
_BEFORE, _AFTER = 5e-4, 7e-4  # seconds
# The largest lead that is looked for, in times of that from one free microphone to the other.
_LONGEST, _LONGEST_ON_HEAD = 1.1, 1.6
_OVERSAMPLING = 8
# Leads that differ by less agree: a share of the time from one microphone to the other.
# On a head, whose sphere is an approximation, they differ by more.
_SAME, _SAME_ON_HEAD = 0.25, 0.4


@dataclasses.dataclass(frozen=True, eq=False)
class Leads:
    """How much earlier the direct path reaches microphone 1, in seconds, `(responses,)` each."""

    measured: np.ndarray
    expected: np.ndarray
    azimuths: np.ndarray  # in degrees
    tolerances: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["Leads"]) -> "Leads":
        """Those of several places of the microphones together."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def warn(self, name: str) -> None:
        """Warns, with the numbers, where the responses disagree with the positions."""
        differences = np.abs(self.measured - self.expected)
        wrong = differences > self.tolerances
        if not wrong.any():
            return
        worst = int(np.argmax(np.where(wrong, differences, 0)))
        tolerance = 1e3 * self.tolerances[worst]
        measured, expected = 1e3 * self.measured[worst], 1e3 * self.expected[worst]
        warnings.warn(
            f"The direct path disagrees with the positions in {wrong.sum()} of {len(wrong)} "
            f"responses of {name}, by more than {tolerance:.3f} ms. The worst, at "
            f"{self.azimuths[worst]:.0f} degrees: it leads by {measured:.3f} ms at microphone 1, "
            f"and by the positions by {expected:.3f} ms. Check the order of the microphones, the "
            "positions and `baffle`.",
            UserWarning,
            stacklevel=4,
        )


def measure_leads(
    responses: np.ndarray,
    sources: np.ndarray,
    microphones: np.ndarray,
    azimuths: np.ndarray,
    sampling_rate: int,
    speed_of_sound: float,
    is_head: bool,
) -> Leads:
    """Leads of responses `(S, 2, N)` from sources `(S, 3)` to microphones `(2, 3)`."""
    distances = np.linalg.norm(sources[:, None] - microphones, axis=-1)
    longest, same = (_LONGEST_ON_HEAD, _SAME_ON_HEAD) if is_head else (_LONGEST, _SAME)
    travel = float(np.linalg.norm(microphones[0] - microphones[1])) / speed_of_sound
    return Leads(
        measured=np.array([lead(pair, sampling_rate, longest * travel) for pair in responses]),
        expected=(distances[:, 1] - distances[:, 0]) / speed_of_sound,
        azimuths=azimuths,
        tolerances=np.full(len(sources), max(1 / sampling_rate, same * travel)),
    )


def lead(pair: np.ndarray, sampling_rate: int, most: float) -> float:
    """Seconds by which the direct path is earlier in the first of two responses `(2, N)`.

    The peak of their cross-correlation, at `most` seconds.
    """
    level = np.abs(pair).max(axis=0)
    if not level.any():
        return np.nan
    onset = int(np.argmax(level >= _ONSET * level.max()))
    longest = round(most * sampling_rate) + 1
    start = max(0, onset - round(_BEFORE * sampling_rate) - 1)
    direct = pair[:, start : onset + longest + round(_AFTER * sampling_rate) + 1]
    # Long enough for all lags, also where the responses are shorter.
    size = 2 ** int(np.ceil(np.log2(2 * max(direct.shape[-1], longest + 1))))
    first, second = np.fft.rfft(direct, size)
    correlation = np.fft.irfft(first.conj() * second, size * _OVERSAMPLING)
    reach = longest * _OVERSAMPLING
    lags = np.arange(-reach, reach + 1)
    best = lags[np.argmax(correlation[lags])]
    return float(best / (_OVERSAMPLING * sampling_rate))
