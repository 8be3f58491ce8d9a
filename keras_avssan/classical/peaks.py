"""Peaks of a posterior, and the choice of the one nearest to the truth."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

from keras_avssan.doa.grid import GRID_DEGREES, NUM_DIRECTIONS


def two_strongest_peaks(posterior: ArrayLike) -> np.ndarray:
    """Azimuths of the two highest local maxima, float32 (batch, 2), the higher first, else NaN.

    A plateau is one peak, at its middle. Of equal peaks, or middles, the lower direction is first.
    """
    posterior = np.asarray(posterior, "float64")
    if posterior.ndim != 2 or posterior.shape[1] != NUM_DIRECTIONS:
        raise ValueError(
            f"`posterior` must have shape (batch, {NUM_DIRECTIONS}). "
            f"Received: posterior.shape={posterior.shape}"
        )
    if not np.isfinite(posterior).all():
        raise ValueError("`posterior` must be finite. Received: posterior with NaN or infinity")
    peaks = np.full((len(posterior), 2), np.nan, "float32")
    # Lower values beyond both ends, so that a maximum at an end counts.
    bordered = np.pad(posterior, [(0, 0), (1, 1)], constant_values=-np.inf)
    for row, values in enumerate(bordered):
        found, _ = find_peaks(values)
        strongest = found[np.argsort(-values[found], kind="stable")][:2]
        peaks[row, : len(strongest)] = GRID_DEGREES[strongest - 1]
    return peaks


def nearest_of_two_peaks(posterior: ArrayLike, azimuth: ArrayLike) -> np.ndarray:
    """The one of the two strongest peaks that is nearer to the true azimuth, float32 (batch,).

    The upper bound for a method that localises two sources: no errors of selection are left.
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
