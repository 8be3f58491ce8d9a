"""Figure of the band attention by class."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import FigureBase

from keras_avssan.evaluation.class_attention import ClassBandAttention
from keras_avssan.visualization import style

# The full band is one patch, whose weight is always 1.
_PATCHED = ("fine", "mid")
# Levels more than this below a class's loudest patch are drawn alike, in decibels.
_RANGE = 40.0


@style.styled
def plot_class_band_attention(
    result: ClassBandAttention, *, figure: FigureBase | None = None
) -> FigureBase:
    """Draws, class by class, the mean weights β beside where the class has its energy, and α.

    For the fine and for the mid band: on the left the mean weight of every patch in the scenes
    prompted with the class, as a multiple of the weight that all would have if they weighed the
    same; on the right the mean energy of the class alone in the same patches, in decibels below
    its loudest patch. At the right edge stands the class's agreement, the mean rank correlation
    between a patch's weight and how much louder the target is there than the interferer. The bars
    are the mean weights α of the band types.

    Args:
        result: Result of `keras_avssan.evaluation.class_band_attention`.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure. A model with the full band alone has the bars only.

    Raises:
        TypeError: If `result` is of another type.

    Example:
        ```python
        from keras_avssan.evaluation import class_band_attention
        from keras_avssan.visualization import plot_class_band_attention

        attention = class_band_attention(model, plan, num_scenes=500)
        plot_class_band_attention(attention).savefig("classes.png")
        ```

    Reference:
        AV-SSAN, Figure 3 and equations (7) and (8).
    """
    if not isinstance(result, ClassBandAttention):
        raise TypeError(
            f"`result` must be what `class_band_attention` returns. "
            f"Received: result of type {type(result).__name__}"
        )
    bands = [band for band in _PATCHED if band in result.bands]
    height = (0.24 * len(result.classes) + 0.9) * max(len(bands), 1) + 0.7
    figure = style.canvas(figure, (style.COLUMN_WIDTH if bands else 4.4, height))
    halves = style.split(figure, 1, 2 if bands else 1, width_ratios=[2.7, 1.0] if bands else None)
    if bands:
        _draw_patches(halves[0], result, bands)
    _draw_band_weights(halves[-1], result)
    return figure


def _draw_patches(figure: FigureBase, result: ClassBandAttention, bands: list[str]) -> None:
    grid = figure.subplots(len(bands), 2, sharex=True, sharey=True, squeeze=False)
    heaviest = max(result.attention[band].max() * result.attention[band].shape[1] for band in bands)
    for (left, right), band in zip(grid, bands, strict=True):
        attention, energy = result.attention[band], result.energy[band]
        times_even = attention * attention.shape[1]
        weights = _draw_rows(left, result, times_even, style.MASK_COLORS, (0.0, heaviest))
        loudest = energy.max(axis=1, keepdims=True)
        level = 10.0 * np.log10(np.maximum(energy / np.maximum(loudest, 1e-12), 1e-12))
        levels = _draw_rows(right, result, level, style.DECIBEL_COLORS, (-_RANGE, 0.0))
        left.set_title(f"{band}: weight β")
        right.set_title(f"{band}: energy of the class")
        _write_agreement(right, result.agreement[band])
    for axes in grid[-1]:
        axes.set_xlabel("frequency (kHz)")
    bar: dict[str, Any] = {"location": "bottom", "shrink": 0.8, "aspect": 30, "pad": 0.01}
    figure.colorbar(weights, ax=grid[:, 0].tolist(), label="× even weight", **bar)
    figure.colorbar(levels, ax=grid[:, 1].tolist(), label="level (dB)", **bar)


def _draw_rows(
    axes: Axes,
    result: ClassBandAttention,
    values: np.ndarray,
    colors: str,
    limits: tuple[float, float],
) -> QuadMesh:
    """One row a class, the first at the top, over the frequencies of the patches."""
    edges = np.linspace(0.0, result.sampling_rate / 2000.0, values.shape[1] + 1)
    rows = np.arange(len(values) + 1) - 0.5
    mesh = axes.pcolormesh(edges, rows, values, cmap=colors, vmin=limits[0], vmax=limits[1])
    _name_classes(axes, result)
    return mesh


def _name_classes(axes: Axes, result: ClassBandAttention) -> None:
    axes.set_yticks(range(len(result.classes)), [name.replace("_", " ") for name in result.classes])
    axes.set_ylim(len(result.classes) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)


def _write_agreement(axes: Axes, agreement: np.ndarray) -> None:
    """A number after every row, under a heading; nothing if no agreement is known."""
    if np.isnan(agreement).all():
        return
    place: dict[str, Any] = {
        "transform": axes.get_yaxis_transform(),
        "fontsize": style.TEXT,
        "clip_on": False,
    }
    axes.text(1.02, -0.62, "agreement", va="bottom", **place)
    for row, value in enumerate(agreement):
        words = "–" if np.isnan(value) else style.signed(value, 2)
        axes.text(1.02, row, words, va="center", **place)


def _draw_band_weights(figure: FigureBase, result: ClassBandAttention) -> None:
    axes = figure.subplots()
    start = np.zeros(len(result.classes))
    for band, weights in zip(result.bands, result.band_weights.T, strict=True):
        axes.barh(
            range(len(result.classes)),
            weights,
            left=start,
            height=0.72,
            label=band,
            color=style.BANDS[band]["color"],
            hatch=style.HATCHES[band],
            edgecolor="white",
            linewidth=0.8,
        )
        start = start + weights
    _name_classes(axes, result)
    axes.set_xlim(0.0, 1.0)
    axes.set_title("weight α of bands")
    axes.set_xlabel("mean over time")
    figure.legend(loc="outside lower center", ncols=len(result.bands), handlelength=1.6)
