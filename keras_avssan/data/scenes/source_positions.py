"""Source positions of a bank's rooms that are far enough apart for a scene."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from keras_avssan.simulation import RIRBank


class SourcePositions:
    """Positions of target and interferers in each of a bank's rooms.

    Args:
        bank: `RIRBank`, or something with its `azimuths` of shape `(rooms, slots)`, in degrees.
        rooms: `(start, stop)` of the rooms that may be used.
        min_separation: Least angle between any two sources in degrees.
        num_interferers: Interferers of a scene.
    """

    def __init__(
        self,
        bank: "RIRBank",
        rooms: tuple[int, int],
        min_separation: float,
        num_interferers: int,
    ) -> None:
        self._azimuths = bank.azimuths
        self._min_separation = min_separation
        self._num_further = num_interferers - 1
        #: The rooms that may be used, each with its allowed pairs of slots, `(pairs, 2)`.
        self.pairs = self._find_pairs(*rooms)
        self._chances = _room_chances(bank, [room for room, _ in self.pairs])

    def draw_room(self, rng: np.random.Generator) -> tuple[int, np.ndarray]:
        """Draws one of `pairs`: all alike, or by the shares of a mixed bank."""
        if self._chances is None:
            return self.pairs[int(rng.integers(len(self.pairs)))]
        number = np.searchsorted(self._chances, rng.random(), side="right")
        return self.pairs[min(int(number), len(self.pairs) - 1)]

    def _find_pairs(self, start: int, stop: int) -> list[tuple[int, np.ndarray]]:
        azimuths = np.asarray(self._azimuths[start:stop], "float64")
        separation = np.abs(azimuths[:, :, None] - azimuths[:, None, :])
        different = ~np.eye(azimuths.shape[1], dtype=bool)
        allowed = (separation >= self._min_separation) & different
        pairs = ((start + room, np.argwhere(allowed[room])) for room in range(stop - start))
        if self._num_further and self._min_separation > 0:
            pairs = ((room, self._with_room_for_more(room, slots)) for room, slots in pairs)
        return [(room, slots) for room, slots in pairs if len(slots)]

    def _with_room_for_more(self, room: int, pairs: np.ndarray) -> np.ndarray:
        """The pairs of slots that leave slots for all further interferers."""
        keep = [pair for pair in pairs if next(self.further_slots(room, pair), None)]
        return np.array(keep).reshape(-1, 2)

    def further_slots(self, room: int, used: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Yields slots for the further interferers, `min_separation` or more from all others."""
        azimuths = np.asarray(self._azimuths[room], "float64")
        free = [slot for slot in range(len(azimuths)) if slot not in used]
        for slots in itertools.permutations(free, self._num_further):
            together = np.sort(azimuths[[*used, *slots]])
            if np.diff(together).min() >= self._min_separation:
                yield slots


def _room_chances(bank: "RIRBank", rooms: list[int]) -> np.ndarray | None:
    """Chances of rooms by the shares of their banks, summed up to each; `None` if all are alike."""
    shares = getattr(bank, "shares", None)
    if shares is None:
        return None
    origins = np.asarray(bank.origins)[rooms]
    counts = np.bincount(origins, minlength=len(shares))
    chances = np.asarray(shares)[origins] / counts[origins]
    return np.cumsum(chances / chances.sum())
