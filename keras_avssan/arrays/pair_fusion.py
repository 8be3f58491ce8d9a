"""Fusion of the posteriors of microphone pairs into one on a grid of directions."""

import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_number
from keras_avssan._internal.one_line import span
from keras_avssan.arrays.direction_grid import DirectionGrid
from keras_avssan.arrays.microphone_array import MicrophoneArray, num_dimensions

WEIGHTS = ("uniform", "spacing")
# Share of every pair's posterior that is spread evenly, of the order of the share of prompts that a
# single pair of the packaged model answers with the other one of two sources.
FLOOR = 0.3
_LEVEL = 0.02  # height of an axis of unit length that counts as level


def fuse_posteriors(
    posteriors: ArrayLike,
    array: MicrophoneArray,
    pairs: ArrayLike,
    grid: DirectionGrid | None = None,
    weights: str | ArrayLike = "uniform",
    floor: float = FLOOR,
) -> np.ndarray:
    """Fuses posteriors over the angles of pairs into one over the directions of a grid.

    A product of experts: every direction u has one angle θ_p(u) at each pair p, and
    p(u) ∝ Ω(u) Π ((1 - ε) p_p(θ_p(u)) + ε / 180)^w_p, with the solid angle Ω of a direction, the
    weights w_p of the pairs, of mean one, and the floor ε. Between the 180 angles of a pair its
    posterior is interpolated. Pairs along different axes distinguish front from back, which a
    single pair cannot.

    Args:
        posteriors: Posteriors of the P pairs, shape (..., P, 180); index k is k + 1 degrees.
        array: The array.
        pairs: Numbers of the first and the second microphone of the pairs, shape (P, 2).
        grid: Grid of directions; 360 level ones if not given.
        weights: `"uniform"`, `"spacing"` (in proportion to the spacings), or a number for each
            pair, shape (P,).
        floor: Share ε of every posterior that is spread evenly, so that one pair that is wrong
            cannot rule out a direction; from 0 to 1, about the share of the answers of a pair that
            are wrong.

    Returns:
        float32 array of shape (..., *grid.shape), of sum one.

    Raises:
        ValueError: If a shape does not fit, a posterior is negative or not finite, `weights` or
            `floor` is out of range, or the pairs cannot distinguish the directions of the grid:
            all along one axis, or a level array and elevations on both sides of its plane.
        TypeError: If `array` or `grid` is of another kind.

    Example:
        >>> array = MicrophoneArray([(0.1, 0.0), (-0.1, 0.0), (0.0, 0.1)])
        >>> pairs = array.pairs()
        >>> angles = array.angles(pairs, [(0.0, -1.0, 0.0)])[:, 0]  # of a source at 270°
        >>> posteriors = np.exp(-abs(np.arange(1, 181) - angles[:, None]) / 5)
        >>> int(fuse_posteriors(posteriors, array, pairs).argmax())
        270

    Reference:
        G. E. Hinton, Training products of experts by minimizing contrastive divergence, Neural
        Computation 14, 2002. Beyond the paper.
    """
    for name, value, kind in (("array", array, MicrophoneArray), ("grid", grid, DirectionGrid)):
        if not isinstance(value, kind) and (name, value) != ("grid", None):
            raise TypeError(f"`{name}` must be a `{kind.__name__}`. Received: {name}={value!r}")
    grid = DirectionGrid() if grid is None else grid
    pairs = check_pairs(pairs, array)
    values = _numbers(posteriors)
    if values.ndim < 2 or values.shape[-2:] != (len(pairs), 180):
        raise ValueError(
            f"`posteriors` must have shape (..., {len(pairs)}, 180), one of 180 angles for each "
            f"pair. Received: posteriors.shape={values.shape}"
        )
    if not np.all((values >= 0) & (values < np.inf)):
        raise ValueError(
            "`posteriors` must be finite and not negative. Received: posteriors from "
            f"{values.min():g} to {values.max():g}"
        )
    check_number("floor", floor, 0.0, 1.0)
    powers = pair_weights(weights, array, pairs)
    check_resolves(array, pairs[powers > 0], grid)
    total = np.maximum(values.sum(axis=-1, keepdims=True), 1e-30)
    logarithm = np.log(np.maximum((1 - floor) * values / total + floor / 180, 1e-30))
    # Index k is k + 1 degrees; below 1 degree the first counts.
    place = np.maximum(array.angles(pairs, grid.directions) - 1.0, 0.0)
    lower = np.minimum(place.astype(int), 178)
    share = np.clip(place - lower, 0.0, 1.0)
    fused = np.zeros((*values.shape[:-2], len(grid.directions)))
    for pair, (at, between) in enumerate(zip(lower, share, strict=True)):
        of_pair = logarithm[..., pair, :]
        fused += powers[pair] * (of_pair[..., at] * (1 - between) + of_pair[..., at + 1] * between)
    density = np.exp(fused - fused.max(axis=-1, keepdims=True)) * grid.solid_angles
    posterior = density / density.sum(axis=-1, keepdims=True)
    return posterior.reshape(*values.shape[:-2], *grid.shape).astype("float32")


def pair_weights(weights: str | ArrayLike, array: MicrophoneArray, pairs: np.ndarray) -> np.ndarray:
    """Weights of pairs as float64 (P,), of mean one."""
    if isinstance(weights, str):
        if weights not in WEIGHTS:
            raise ValueError(
                f"`weights` must be one of {WEIGHTS} or a number for each pair. "
                f"Received: weights={weights!r}"
            )
        values = array.spacings(pairs) if weights == "spacing" else np.ones(len(pairs))
    else:
        values = _numbers(weights)
        usable = np.isfinite(values).all() and np.all(values >= 0) and np.any(values > 0)
        if values.shape != (len(pairs),) or not usable:
            raise ValueError(
                f"`weights` must be a number for each of the {len(pairs)} pairs, none of them "
                f"negative and not all zero. Received: weights={weights!r}"
            )
    return values / values.mean()


def check_pairs(pairs: ArrayLike, array: MicrophoneArray) -> np.ndarray:
    """Pairs as an int array (P, 2) of microphones of the array, P above 0."""
    found = _numbers(pairs)
    whole = found.ndim == 2 and found.shape[1:] == (2,) and np.all(found == np.rint(found))
    if not whole or not len(found) or found.min() < 0 or found.max() >= len(array):
        raise ValueError(
            f"`pairs` must have shape (P, 2), numbers of microphones from 0 to {len(array) - 1}. "
            f"Received: pairs={pairs!r}"
        )
    if np.any(found[:, 0] == found[:, 1]):
        raise ValueError(
            "`pairs` must be of two different microphones. "
            f"Received: pairs={np.asarray(pairs).tolist()}"
        )
    return found.astype(int)


def check_resolves(array: MicrophoneArray, pairs: np.ndarray, grid: DirectionGrid) -> None:
    """Refuses pairs that see two directions of the grid under the same angles."""
    axes = array.axes(pairs)
    if num_dimensions(axes[:, :2]) < 2:
        raise ValueError(
            "`array` must have pairs along two level axes or more: along one axis front and back "
            "are the same. `localize(..., channels=(i, j), microphone_spacing=...)` gives the "
            f"angle at a single pair. Received: {len(pairs)} pairs of {array!r}"
        )
    elevations = np.zeros(1) if grid.elevations is None else grid.elevations
    if len(elevations) == 1 or num_dimensions(axes) == 3:
        return
    if np.abs(axes[:, 2]).max() > _LEVEL:
        raise ValueError(
            "`array` must be level, or not flat, for a grid with elevations. "
            f"Received: a flat array whose heights differ, {array!r}"
        )
    if elevations[0] < 0 < elevations[-1]:
        raise ValueError(
            "`grid` must have elevations on one side, such as from 0 to 90: above and below a "
            f"flat array are the same. Received: elevations {span(elevations, '°')} for {array!r}"
        )


def _numbers(value: ArrayLike) -> np.ndarray:
    """An array of numbers as float64; without dimensions for words and lists of unequal lengths."""
    try:
        return np.asarray(value, "float64")
    except (TypeError, ValueError):
        return np.zeros(())
