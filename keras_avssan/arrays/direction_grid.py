"""`DirectionGrid`: azimuths all around, or azimuths and elevations, and the peaks on them."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import maximum_filter

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import one_line, span
from keras_avssan.arrays.geometries import unit_vector

# Degrees on a great circle: between two peaks, and from an estimate for its confidence.
_APART, _NEAR = 10.0, 5.0
# Of cosines: directions exactly 10° apart are two peaks, those exactly 5° away are near.
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class DirectionGrid:
    """Grid of directions around an array: azimuths, or azimuths × elevations.

    Args:
        azimuths: Azimuths in degrees, counter-clockwise from the x axis, increasing and from 0 to
            below 360; all whole degrees if not given.
        elevations: Elevations in degrees above the plane of x and y, increasing and from -90 to
            90; `None` for level directions alone.

    Raises:
        ValueError: If a list is empty, not increasing, or out of range.

    Example:
        >>> DirectionGrid()
        <DirectionGrid: 360 azimuths 0–359°, level>
        >>> DirectionGrid(range(0, 360, 5), range(0, 91, 5)).shape
        (72, 19)
    """

    azimuths: np.ndarray | None = None
    elevations: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Checks the angles and freezes them."""
        azimuths = np.arange(360.0) if self.azimuths is None else self.azimuths
        object.__setattr__(self, "azimuths", _angles(azimuths, "azimuths", 0.0, 360.0, False))
        if self.elevations is not None:
            checked = _angles(self.elevations, "elevations", -90.0, 90.0, True)
            object.__setattr__(self, "elevations", checked)

    def __eq__(self, other: object) -> bool:
        """Whether the directions are the same."""
        if not isinstance(other, DirectionGrid):
            return NotImplemented
        return self.shape == other.shape and np.array_equal(self._pairs, other._pairs)

    def __hash__(self) -> int:
        return hash(self._pairs.tobytes())

    def __repr__(self) -> str:
        heights = "level"
        if self.elevations is not None:
            heights = f"{len(self.elevations)} elevations {span(self.elevations, '°')}"
        azimuths = self._azimuths
        return one_line(self, f"{len(azimuths)} azimuths {span(azimuths, '°')}", heights)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a posterior on the grid: `(azimuths,)` or `(azimuths, elevations)`."""
        count = len(self._azimuths)
        return (count,) if self.elevations is None else (count, len(self.elevations))

    @property
    def directions(self) -> np.ndarray:
        """Unit vectors of the directions, shape (K, 3), in the order of a flat posterior."""
        return unit_vector(*self._pairs.T)

    @property
    def solid_angles(self) -> np.ndarray:
        """Share of the sphere for which each direction stands, shape (K,), of sum one."""
        if self.elevations is None:
            share = np.ones(self.shape)
        else:
            middles = (self.elevations[1:] + self.elevations[:-1]) / 2
            edges = np.concatenate([self.elevations[:1], middles, self.elevations[-1:]])
            # The first and the last stand for as much beyond them, up to the pole.
            ends = 2 * self.elevations[[0, -1]] - edges[[1, -2]] if len(middles) else [-90, 90]
            edges[[0, -1]] = np.clip(ends, -90.0, 90.0)
            heights = np.diff(np.sin(np.radians(edges)))
            share = np.broadcast_to(heights, self.shape)
        return share.ravel() / share.sum()

    @property
    def _azimuths(self) -> np.ndarray:
        assert self.azimuths is not None
        return self.azimuths

    @property
    def _pairs(self) -> np.ndarray:
        """Azimuth and elevation of each direction, (K, 2)."""
        elevations = np.zeros(1) if self.elevations is None else self.elevations
        both = np.meshgrid(self._azimuths, elevations, indexing="ij")
        return np.stack(both, axis=-1).reshape(-1, 2)

    def peak(self, posterior: ArrayLike) -> np.ndarray:
        """Finds the most probable direction of each posterior, see `peaks`.

        Args:
            posterior: Posteriors or spectra on the grid, shape (batch, *shape).

        Returns:
            float32 array of azimuths (batch,) in degrees; of azimuths and elevations (batch, 2) on
            a grid with elevations.

        Example:
            >>> grid = DirectionGrid()
            >>> float(grid.peak(np.eye(360)[[270]])[0])
            270.0
        """
        return self.peaks(posterior, 1)[:, 0]

    def peaks(self, posterior: ArrayLike, count: int) -> np.ndarray:
        """Finds the highest local maxima of each posterior, at least 10° from each other.

        The height is the density, the probability divided by the solid angle of a direction.

        Args:
            posterior: Posteriors or spectra on the grid, shape (batch, *shape).
            count: Number of peaks.

        Returns:
            float32 array of azimuths (batch, count) in degrees, the highest first, or of azimuths
            and elevations (batch, count, 2); NaN in place of peaks that there are not.

        Raises:
            ValueError: If a shape does not fit, a value is not finite, or `count` is not a positive
                integer.

        Example:
            >>> posterior = np.zeros((1, 360))
            >>> posterior[0, [359, 30, 200]] = 0.5, 0.2, 0.3
            >>> DirectionGrid().peaks(posterior, 2).tolist()
            [[359.0, 200.0]]
        """
        count = check_integer("count", count, 1)
        density = self._flat(posterior) / self.solid_angles
        directions, pairs = self.directions, self._pairs.astype("float32")
        found = np.full((len(density), count, 2), np.nan, "float32")
        apart = np.cos(np.radians(_APART)) + _ROUNDING
        for row, values in enumerate(density):
            # The maximum itself always is one, however flat its surroundings.
            order = np.argsort(-values, kind="stable")
            summits = self._summits(values)
            chosen = [order[0]]
            for index in order[summits[order]] if count > 1 else ():
                if len(chosen) == count:
                    break
                if np.all(directions[chosen] @ directions[index] < apart):
                    chosen.append(index)
            found[row, : len(chosen)] = pairs[chosen]
        return found[..., 0] if self.elevations is None else found

    def near(self, posterior: ArrayLike, estimates: ArrayLike) -> np.ndarray:
        """Computes the probability within 5° of estimates.

        Args:
            posterior: Posteriors on the grid, shape (batch, *shape).
            estimates: Directions as `peak` or `peaks` returns them.

        Returns:
            float32 array of shape (batch,), or (batch, count); 0 for NaN.

        Raises:
            ValueError: If a shape does not fit, or a posterior is not finite.

        Example:
            >>> posterior = np.full((1, 360), 1 / 360)
            >>> float(DirectionGrid().near(posterior, [359.0])[0].round(3))
            0.031
        """
        flat = self._flat(posterior)
        angles = np.asarray(estimates, "float64")
        last = () if self.elevations is None else (2,)
        count = angles.shape[1 : angles.ndim - len(last)]
        if len(count) > 1 or angles.shape != (len(flat), *count, *last):
            raise ValueError(
                f"`estimates` must have shape {(len(flat), *last)}, or {(len(flat), 'n', *last)}. "
                f"Received: estimates.shape={angles.shape}"
            )
        if self.elevations is None:
            angles = np.stack([angles, np.zeros_like(angles)], axis=-1)
        vectors = np.nan_to_num(unit_vector(angles[..., 0], angles[..., 1]))
        close = vectors @ self.directions.T >= np.cos(np.radians(_NEAR)) - _ROUNDING
        flat = flat if close.ndim == 2 else flat[:, None]
        return np.sum(flat * close, axis=-1).astype("float32")

    def _flat(self, posterior: ArrayLike) -> np.ndarray:
        """Posteriors as float64 (batch, K)."""
        values = np.asarray(posterior, "float64")
        if values.shape[1:] != self.shape:
            raise ValueError(
                f"`posterior` must have shape (batch, {', '.join(map(str, self.shape))}). "
                f"Received: posterior.shape={values.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError("`posterior` must be finite. Received: posterior with NaN or infinity")
        return values.reshape(len(values), len(self._pairs))

    def _summits(self, values: np.ndarray) -> np.ndarray:
        """Which directions (K,) are local maxima above the lowest value."""
        grid = values.reshape(self.shape)
        azimuths = self._azimuths
        step = np.max(np.diff(azimuths), initial=0.0)
        closed = azimuths[0] + 360 - azimuths[-1] <= 1.5 * step
        modes = ["wrap" if closed else "nearest", "nearest"][: grid.ndim]
        highest = maximum_filter(grid, size=3, mode=modes)
        return ((grid == highest) & (grid > grid.min())).ravel()


def _angles(value: ArrayLike, name: str, low: float, high: float, ends: bool) -> np.ndarray:
    """Increasing angles in degrees as a frozen float64 array; `ends` says whether `high` counts."""
    try:
        angles = np.array(list(value), dtype="float64")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        angles = np.zeros(0)
    inside = (angles >= low) & ((angles <= high) if ends else (angles < high))
    if angles.ndim != 1 or not angles.size or not inside.all() or np.any(np.diff(angles) <= 0):
        below = "" if ends else "below "
        raise ValueError(
            f"`{name}` must be increasing angles in degrees, from {low:g} to {below}{high:g}. "
            f"Received: {name}={value!r}"
        )
    angles.flags.writeable = False
    return angles
