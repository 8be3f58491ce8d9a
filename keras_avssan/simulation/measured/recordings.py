"""Measured responses with their positions, and the pairs of microphones among receivers."""

import dataclasses
import itertools

import numpy as np

from keras_avssan._internal.checks import check_integer, check_number, check_positive_number

# Distances between microphones that differ by less are the same spacing, in metres.
_SAME_SPACING = 5e-4
# Spacings that a message lists.
_LISTED = 6
_MOST_METRES = 5.0
# Places that are closer are one, in metres.
_SAME_PLACE = 1e-3
_LONGEST_DELAY = 2**20  # samples


@dataclasses.dataclass(frozen=True, eq=False)
class Recordings:
    """Responses from P positions of sources to K pairs of microphones, with what is known of them.

    Rooms are numbers; times and sizes that are not known are NaN.
    """

    name: str  # of the file, for messages
    responses: np.ndarray  # (P, K, 2, N), float64
    microphones: np.ndarray  # (P, K, 2, 3) in metres
    sources: np.ndarray  # (P, 3) in metres
    rooms: np.ndarray  # (P,)
    sizes: np.ndarray  # (P, 3) in metres
    t60: np.ndarray  # (P,) in seconds
    sampling_rate: int
    is_head: bool  # whether the microphones are the ears of a head

    def check(self) -> None:
        """Refuses places that no recording has, such as those in millimetres, and silence."""
        argument = self.name.partition("=")[0]
        first, second = np.moveaxis(self.microphones, 2, 0)
        apart = np.linalg.norm(first - second, axis=-1)
        wrong = apart[(apart < _SAME_PLACE) | (apart > _MOST_METRES)]
        if wrong.size:
            raise ValueError(
                f"`{argument}` must have the microphones of a pair {_SAME_PLACE:g} to "
                f"{_MOST_METRES:g} m apart; positions are in metres. Received: {self.name} with "
                f"{wrong[0]:g} m"
            )
        away = np.linalg.norm((first + second) / 2 - self.sources[:, None], axis=-1)
        if away.min() < _SAME_PLACE:
            raise ValueError(
                f"`{argument}` must have sources away from the microphones. Received: {self.name} "
                "with a source in the middle of the pair"
            )
        silent = ~np.any(self.responses, axis=-1)
        if silent.any():
            raise ValueError(
                f"`{argument}` must have responses other than zero. Received: {self.name} with "
                f"{np.count_nonzero(silent)} of {silent.size} responses of zeros"
            )


@dataclasses.dataclass(frozen=True)
class PairChoice:
    """Which pairs of receivers are wanted: their distance in metres, and how many."""

    spacing: float | None = None
    tolerance: float = 0.005
    max_pairs: int = 1

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.spacing is not None:
            check_positive_number("microphone_spacing", self.spacing, "distance in metres")
            check_number("microphone_spacing", self.spacing, 0, _MOST_METRES)
        check_number("tolerance", self.tolerance, 0, _MOST_METRES)
        check_integer("max_pairs", self.max_pairs, 1)

    def of(self, receivers: np.ndarray, name: str) -> list[tuple[int, int]]:
        """The pairs of receivers (R, 3) nearest to the spacing, those of the same one alone."""
        numbers = list(itertools.combinations(range(len(receivers)), 2))
        if not numbers:
            raise ValueError(
                f"`file` must hold the responses of two receivers or more. Received: {name} with "
                f"{len(receivers)}"
            )
        distances = np.array([np.linalg.norm(receivers[i] - receivers[j]) for i, j in numbers])
        if not distances.any():
            raise ValueError(
                "`file` must hold positions of the receivers. Received: "
                f"{name}, whose receivers are all in one point"
            )
        if self.spacing is None:
            if len(numbers) > 1:
                raise ValueError(
                    f"`microphone_spacing` must be given for the {len(receivers)} receivers of "
                    f"{name}. Their distances in metres are {_listed(distances)}. "
                    "Received: microphone_spacing=None"
                )
            return numbers
        away = np.abs(distances - self.spacing)
        order = np.argsort(away.round(6), kind="stable")
        if away[order[0]] > self.tolerance:
            raise ValueError(
                f"`microphone_spacing` must be within `tolerance` {self.tolerance:g} m of the "
                f"distance between two receivers of {name}, which are {_listed(distances)} m "
                f"apart. Received: microphone_spacing={self.spacing:g}"
            )
        same = np.abs(distances - distances[order[0]]) <= _SAME_SPACING
        return [numbers[k] for k in order if same[k]][: self.max_pairs]


def _listed(distances: np.ndarray) -> str:
    """Some distances in words, or the least and the greatest."""
    different = np.unique(distances.round(4))
    if len(different) > _LISTED:
        return f"{different[0]:g} to {different[-1]:g}"
    return ", ".join(f"{distance:g}" for distance in different)


def delayed(responses: np.ndarray, delays: np.ndarray, name: str) -> np.ndarray:
    """Responses `(..., N)` later by delays `(...)` in samples, whole or fractional."""
    if not delays.any():
        return responses
    wrong = delays[~((delays >= 0) & (delays <= _LONGEST_DELAY))]
    if wrong.size:
        raise ValueError(
            f"`file` must hold delays of zero to {_LONGEST_DELAY} samples. Received: {name} with "
            f"a delay of {wrong[0]:g}"
        )
    whole = np.ceil(delays).astype(int)
    length = responses.shape[-1] + int(whole.max())
    later = np.zeros((*responses.shape[:-1], length))
    for index in np.ndindex(delays.shape):
        later[index][whole[index] : whole[index] + responses.shape[-1]] = responses[index]
    early = whole - delays
    if not early.any():
        return later
    # A fraction of a sample back: a shift of the phase, on a grid long enough not to wrap around.
    size = 2 * length
    turn = np.exp(2j * np.pi * np.fft.rfftfreq(size) * early[..., None])
    return np.fft.irfft(np.fft.rfft(later, size) * turn, size)[..., :length]
