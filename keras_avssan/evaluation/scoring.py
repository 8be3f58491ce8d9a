"""Scores of a set of scenes, and their bootstrap intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import count, one_line

TOLERANCES = (5, 10, 20)  # degrees
_DRAWS_AT_ONCE = 2**18  # of a bootstrap, which bounds its memory


@dataclass(frozen=True, eq=False)
class SceneScores:
    """Truth and estimates of a set of scenes, and the scores that follow from them.

    Args:
        azimuth: Azimuths of the targets in degrees, shape (scenes,).
        interferer_azimuth: Azimuths of the interferers in degrees, shape (scenes,), or (scenes,
            interferers) where there are several; NaN where a scene has no or fewer interferers.
        estimate: Estimated azimuths in degrees, shape (scenes,).

    Raises:
        ValueError: If the three differ in shape, are empty, or hold values outside of 0 to 180.

    Example:
        >>> scores = SceneScores([90.0, 20.0], [30.0, 80.0], [92.0, 78.0])
        >>> scores.means()["selection"]
        0.5
    """

    azimuth: np.ndarray
    interferer_azimuth: np.ndarray
    estimate: np.ndarray

    def __post_init__(self) -> None:
        for name in ("azimuth", "interferer_azimuth", "estimate"):
            values = np.asarray(getattr(self, name), dtype="float64")
            known = (values >= 0) & (values <= 180)
            if name == "interferer_azimuth":
                known |= np.isnan(values)
            shaped = values.ndim == 1 or (values.ndim == 2 and name == "interferer_azimuth")
            if not shaped or not values.size or not known.all():
                raise ValueError(
                    f"`{name}` must be a non-empty list of finite angles from 0 to 180 degrees. "
                    f"Received: {name} of shape {values.shape}"
                    + (f" with {values[~known][0]}" if values.size and shaped else "")
                )
            object.__setattr__(self, name, values)
        if not len(self.azimuth) == len(self.interferer_azimuth) == len(self.estimate):
            raise ValueError(
                "`azimuth`, `interferer_azimuth` and `estimate` must have the same length. "
                f"Received: len(azimuth)={len(self.azimuth)}, len(interferer_azimuth)="
                f"{len(self.interferer_azimuth)}, len(estimate)={len(self.estimate)}"
            )

    def __repr__(self) -> str:
        means = self.means()
        selection = "" if np.isnan(means["selection"]) else f"selection {means['selection']:.1%}"
        return one_line(
            self, count(len(self.azimuth), "scene"), f"MAE {means['mae']:.1f}°", selection
        )

    @property
    def error(self) -> np.ndarray:
        """Absolute error to the target in degrees, shape (scenes,)."""
        return np.abs(self.estimate - self.azimuth)

    @property
    def interferer_error(self) -> np.ndarray:
        """Angle from the estimate to the nearest interferer in degrees, (scenes,); NaN if none."""
        return self._nearest_interferer(self.estimate)

    @property
    def selected(self) -> np.ndarray:
        """Whether the estimate is nearer to the target than to any interferer, (scenes,).

        `False` without an interferer.
        """
        return self.error < self.interferer_error

    @property
    def separation(self) -> np.ndarray:
        """Angle from the target to the nearest interferer in degrees, (scenes,); NaN if none."""
        return self._nearest_interferer(self.azimuth)

    def _nearest_interferer(self, azimuth: np.ndarray) -> np.ndarray:
        return np.fmin.reduce(np.abs(azimuth[:, None] - self._interferers), axis=1)

    @property
    def _interferers(self) -> np.ndarray:
        """Azimuths of the interferers, (scenes, interferers)."""
        return self.interferer_azimuth.reshape(len(self.azimuth), -1)

    def per_scene(self) -> dict[str, np.ndarray]:
        """Computes the scores of every scene.

        Returns:
            Dict from score to an array of shape (scenes,): `selection`, NaN without an interferer;
            `mae` in degrees, `acc_5deg`, `acc_10deg`, `acc_20deg`; `selected_mae` in degrees, which
            is NaN if the wrong source was selected or there was no interferer; `nearest_acc_5deg`
            counts an estimate within 5° of any source, so it measures localisation without
            selection.
        """
        nearest = np.fmin(self.error, self.interferer_error)
        return {
            "selection": np.where(np.isnan(self.separation), np.nan, self.selected),
            "mae": self.error,
            **{f"acc_{t}deg": (self.error <= t).astype("float64") for t in TOLERANCES},
            "selected_mae": np.where(self.selected, self.error, np.nan),
            "nearest_acc_5deg": (nearest <= TOLERANCES[0]).astype("float64"),
        }

    def means(self) -> dict[str, float]:
        """Computes the mean of every score over the scenes, a dict."""
        return {name: nan_mean(values) for name, values in self.per_scene().items()}

    def random_source_baseline(self) -> dict[str, float]:
        """Computes the expected scores of the random-source baseline on these scenes.

        The baseline localises perfectly a source that it chooses at random, each with the same
        probability.

        Returns:
            Dict with the expected `selection`, `mae` in degrees, and accuracies; in a scene without
            interferers it chooses the target.
        """
        known = ~np.isnan(self._interferers)
        apart = np.where(known, np.abs(self.azimuth[:, None] - self._interferers), 0.0)
        chance = 1 / (1 + known.sum(axis=1))  # of each source
        several = chance < 1
        return {
            "selection": float(np.mean(chance[several])) if several.any() else float("nan"),
            "mae": float(np.mean(chance * apart.sum(axis=1))),
            **{
                f"acc_{t}deg": float(np.mean(chance * (1 + np.sum(known & (apart <= t), axis=1))))
                for t in TOLERANCES
            },
        }


def check_bootstrap(confidence: float, resamples: int) -> int:
    """Checks the settings of a bootstrap; returns `resamples` as an int.

    Raises a ValueError if `confidence` is not between 0 and 1, or `resamples` not positive.
    """
    number = isinstance(confidence, (int, float, np.integer, np.floating))
    if not number or not 0 < confidence < 1:
        raise ValueError(
            "`confidence` must be a probability above 0 and below 1. "
            f"Received: confidence={confidence!r}"
        )
    return check_integer("resamples", resamples, least=1)


def bootstrap_interval(
    values: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Computes the percentile bootstrap interval of a mean.

    Args:
        values: Score of every scene, shape (scenes,); NaN entries do not count.
        confidence: Coverage of the interval, between 0 and 1.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        Tuple of the lower and the upper bound.

    Raises:
        ValueError: If all values are NaN, `confidence` is not between 0 and 1, or `resamples` is
            not a positive integer.

    Example:
        >>> low, high = bootstrap_interval([0.0, 1.0] * 50)
        >>> low < 0.5 < high
        True
    """
    resamples = check_bootstrap(confidence, resamples)
    numbers = np.asarray(values, dtype="float64")
    numbers = numbers[~np.isnan(numbers)]
    if not numbers.size:
        raise ValueError(
            f"`values` must hold at least one number that is not NaN. Received: values={values!r}"
        )
    rng = np.random.default_rng(seed)
    count = len(numbers)
    at_once = max(1, _DRAWS_AT_ONCE // count)
    means = np.concatenate(
        [
            np.mean(numbers[rng.integers(count, size=(min(at_once, resamples - start), count))], 1)
            for start in range(0, resamples, at_once)
        ]
    )
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return float(low), float(high)


def score_with_interval(
    values: np.ndarray, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> dict[str, Any] | None:
    """Mean and bootstrap interval, two bounds, of a score; `None` if all values are NaN."""
    mean = nan_mean(values)
    if np.isnan(mean):
        return None
    interval = bootstrap_interval(values, confidence, resamples, seed)
    return {"mean": mean, "interval": list(interval)}


def nan_mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if there is no such value."""
    values = values[~np.isnan(values)]
    return float(np.mean(values)) if values.size else float("nan")
