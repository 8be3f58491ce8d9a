"""Panels over time and frequency."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from keras_avssan.evaluation.examples import spectral_power
from keras_avssan.visualization import style
from keras_avssan.visualization.checks import entry, frame_times

Extent = tuple[float, float, float, float]
# Below this power a bin counts as silent.
_SILENCE = 1e-12


def panel_extent(explanation: Mapping[str, Any], frames: int) -> Extent:
    """Returns the range in seconds and kilohertz that the bins of `frames` frames cover."""
    half_hop = entry(explanation, "hop_length") / entry(explanation, "sampling_rate") / 2.0
    last = frame_times(explanation, frames)[-1]
    return -half_hop, last + half_hop, 0.0, entry(explanation, "sampling_rate") / 2000.0


def loudest_power(spectrogram: np.ndarray) -> float:
    """Returns the power of the loudest bin of a spectrogram `(T, F, 4)`, never zero."""
    return max(float(spectral_power(spectrogram).max()), _SILENCE)


def draw_level(
    axes: Axes, spectrogram: np.ndarray, extent: Extent, loudest: float, dynamic_range: float
) -> AxesImage:
    """Draws a spectrogram `(T, F, 4)` in decibels below the power `loudest`."""
    power = np.maximum(spectral_power(spectrogram), _SILENCE)
    level = 10.0 * np.log10(power / loudest)
    return draw_image(axes, level, extent, style.DECIBEL_COLORS, (-dynamic_range, 0.0))


def draw_image(
    axes: Axes, values: np.ndarray, extent: Extent, colors: str, limits: tuple[float, float]
) -> AxesImage:
    """Draws values `(T, F)` with time to the right and frequency upwards."""
    return axes.imshow(
        values.T,
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap=colors,
        vmin=limits[0],
        vmax=limits[1],
        interpolation="nearest",
    )
