"""Peaks of a posterior, and the choice of the one nearest to the truth."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

from keras_avssan._internal.checks import check_integer
from keras_avssan.doa.grid import GRID_DEGREES, NUM_DIRECTIONS


def strongest_peaks(posterior: ArrayLike, count: int = 2) -> np.ndarray:
    """Finds the highest local maxima of each posterior.

    The first and the last direction count if they exceed their one neighbour. A plateau is one
    peak, at its middle; of two middles the lower direction. Of peaks of the same height the lower
    direction comes first.

    Args:
        posterior: Posteriors or spectra, array of shape (batch, 180).
        count: Number of peaks.

    Returns:
        float32 array of shape (batch, count): azimuths in degrees, the highest peak first; NaN in
        place of those that there are not.

    Raises:
        ValueError: If `posterior` has another shape or is not finite, or `count` is not a positive
            integer.

    Example:
        >>> posterior = np.zeros((1, 180))
        >>> posterior[0, [29, 99, 149]] = 0.3, 0.5, 0.2
        >>> strongest_peaks(posterior, count=3).tolist()
        [[100.0, 30.0, 150.0]]
    """
    count = check_integer("count", count, 1)
    posterior = np.asarray(posterior, "float64")
    if posterior.ndim != 2 or posterior.shape[1] != NUM_DIRECTIONS:
        raise ValueError(
            f"`posterior` must have shape (batch, {NUM_DIRECTIONS}). "
            f"Received: posterior.shape={posterior.shape}"
        )
    if not np.isfinite(posterior).all():
        raise ValueError("`posterior` must be finite. Received: posterior with NaN or infinity")
    peaks = np.full((len(posterior), count), np.nan, "float32")
    # Lower values beyond both ends, so that a maximum at an end counts.
    bordered = np.pad(posterior, [(0, 0), (1, 1)], constant_values=-np.inf)
    for row, values in enumerate(bordered):
        found, _ = find_peaks(values)
        strongest = found[np.argsort(-values[found], kind="stable")][:count]
        peaks[row, : len(strongest)] = GRID_DEGREES[strongest - 1]
    return peaks


def two_strongest_peaks(posterior: ArrayLike) -> np.ndarray:
    """Finds the two highest local maxima of each posterior, see `strongest_peaks`.

    Args:
        posterior: Posteriors or spectra, array of shape (batch, 180).

    Returns:
        float32 array of shape (batch, 2): azimuths in degrees, the higher peak first; NaN in place
        of the second where there is a single one.

    Raises:
        ValueError: If `posterior` has another shape or is not finite.

    Example:
        >>> posterior = np.zeros((1, 180))
        >>> posterior[0, [29, 99]] = 0.4, 0.6
        >>> two_strongest_peaks(posterior).tolist()
        [[100.0, 30.0]]
    """
    return strongest_peaks(posterior, 2)


def nearest_of_two_peaks(posterior: ArrayLike, azimuth: ArrayLike) -> np.ndarray:
    """Chooses the one of the two strongest peaks that is nearer to the truth.

    It is the upper bound of a method that finds the directions of two sources and always selects
    the target: localisation without the errors of selection.

    Args:
        posterior: Posteriors or spectra, array of shape (batch, 180).
        azimuth: True azimuths in degrees, shape (batch,).

    Returns:
        float32 array of azimuths in degrees, shape (batch,). Of two peaks at the same distance the
        higher.

    Raises:
        ValueError: If a shape does not fit or a value is not finite.

    Example:
        >>> posterior = np.zeros((1, 180))
        >>> posterior[0, [29, 99]] = 0.4, 0.6
        >>> float(nearest_of_two_peaks(posterior, [35.0])[0])
        30.0
    """
    peaks = two_strongest_peaks(posterior)
    azimuth = np.asarray(azimuth, "float64")
    if azimuth.shape != peaks.shape[:1]:
        raise ValueError(
            f"`azimuth` must have shape ({len(peaks)},), one per posterior. "
            f"Received: azimuth.shape={azimuth.shape}"
        )
    if not np.isfinite(azimuth).all():
        raise ValueError(
            "`azimuth` must be finite angles in degrees. Received: azimuth with NaN or infinity"
        )
    error = np.abs(peaks - azimuth[:, None])
    nearer = np.nanargmin(error, axis=1)  # the first is never NaN
    return peaks[np.arange(len(peaks)), nearer]
