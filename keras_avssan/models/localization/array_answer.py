"""`ArrayAnswer`: what an `ArrayLocalizer` finds."""

import dataclasses

import numpy as np

from keras_avssan._internal.one_line import count, one_line
from keras_avssan.arrays.direction_grid import DirectionGrid


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ArrayAnswer:
    """Holds the directions that an array found for one or several scenes, and why.

    Args:
        directions: Azimuths in degrees, shape (batch,), or azimuths and elevations, (batch, 2).
        confidence: Posterior probability within 5° of them, shape (batch,).
        presence: Probability that the prompted sound is there, the mean of those of the pairs,
            shape (batch,); `None` for networks without candidates.
        posterior: Fused posterior, shape (batch, *grid.shape), of sum one.
        pair_posteriors: Posteriors of the pairs over their own angles, shape (batch, P, 180).
        pair_presences: Presences of the pairs, shape (batch, P), or `None`.
        pairs: Numbers of the first and the second microphone of the pairs, shape (P, 2).
        grid: Grid of the posterior.

    Example:
        >>> from keras_avssan.arrays import MicrophoneArray
        >>> array = MicrophoneArray([(0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1)])
        >>> recording = 0.1 * np.random.default_rng(0).normal(size=(16000, 4))
        >>> answer = ArrayLocalizer(model, array).answer(recording, "dog.jpg")
        >>> isinstance(answer, ArrayAnswer), answer.posterior.shape, answer.pair_posteriors.shape
        (True, (1, 360), (1, 6, 180))
    """

    directions: np.ndarray
    confidence: np.ndarray
    presence: np.ndarray | None
    posterior: np.ndarray
    pair_posteriors: np.ndarray
    pair_presences: np.ndarray | None
    pairs: np.ndarray
    grid: DirectionGrid

    def __len__(self) -> int:
        return len(self.directions)

    def __repr__(self) -> str:
        first = np.atleast_1d(self.directions[0]) if len(self) else ()
        at = " and ".join(f"{angle:.0f}°" for angle in first)
        return one_line(
            self, count(len(self), "direction"), at, f"from {count(len(self.pairs), 'pair')}"
        )
