"""Figure of example scenes of a separation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.image import AxesImage

from keras_avssan._internal.checks import check_positive_number
from keras_avssan.doa import GRID_DEGREES, NUM_DIRECTIONS
from keras_avssan.evaluation.examples import SeparationExample
from keras_avssan.visualization import style
from keras_avssan.visualization.checks import as_array, as_examples, entry, frame_times
from keras_avssan.visualization.panels import (
    draw_image,
    draw_level,
    loudest_power,
    panel_extent,
)

_COLUMNS = ("mix", "target alone", "mask", "masked mix", "posterior")
_ROW_HEIGHT = 2.0  # inches


@style.styled
def plot_separation(
    examples: Sequence[SeparationExample],
    *,
    dynamic_range: float = 60.0,
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws scenes one below the other: mix, target alone, mask, masked mix, posterior.

    The label of a row holds the regions of frequencies of its two sounds, high (H), mid (M) or low
    (L), and their classes; a wrong estimate is marked as a failure. All levels of a row are in
    decibels below the loudest bin of its mixture. The title of the masked mixture is the share of
    energy that the mask leaves of the target and of the interferer, each alone.

    Args:
        examples: Result of `keras_avssan.evaluation.separation_examples`, or a selection.
        dynamic_range: Range of the colours in decibels.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure, one row of five panels an example.

    Raises:
        TypeError: If `examples` holds other objects.
        ValueError: If `examples` is empty, arrays do not fit each other, or `dynamic_range` is
            not positive.

    Example:
        ```python
        from keras_avssan.evaluation import separation_examples
        from keras_avssan.visualization import plot_separation

        examples = separation_examples(model, plan, num_scenes=500)
        plot_separation(examples).savefig("separation.png")
        ```

    Reference:
        AV-SSAN, Figure 2.
    """
    examples = as_examples("examples", examples)
    check_positive_number("dynamic_range", dynamic_range, "number of decibels")
    figure = style.canvas(figure, (style.COLUMN_WIDTH, _ROW_HEIGHT * len(examples) + 1.5))
    grid = figure.subplots(
        len(examples),
        len(_COLUMNS),
        squeeze=False,
        sharex="col",
        width_ratios=(1, 1, 1, 1, 1.25),
    )
    for row, example in zip(grid, examples, strict=True):
        images = _draw_row(row, example, dynamic_range)
    _name_columns(grid)
    _draw_keys(figure, grid, images)
    return figure


def describe(example: SeparationExample) -> str:
    """Returns three lines on a scene: regions and failure, target, interferer."""
    verdict = "" if example.correct else "failure, "
    return (
        f"{verdict}{example.region_pair}\n"
        f"{_words(example.target_class)} ({example.target_region})\n"
        f"in {_words(example.interferer_class)} ({example.interferer_region})"
    )


def _words(class_name: str) -> str:
    return class_name.replace("_", " ")


def _draw_row(
    row: np.ndarray, example: SeparationExample, dynamic_range: float
) -> tuple[AxesImage, AxesImage]:
    """One scene; returns the images for the colour bars of level and mask."""
    explanation = example.explanation
    mix = as_array("spectrogram", entry(explanation, "spectrogram"), (None, None, 4))
    mask = as_array("mask", entry(explanation, "mask"), mix.shape[:2])
    masked = as_array("masked_spectrogram", entry(explanation, "masked_spectrogram"), mix.shape)
    target = as_array("target", example.target, mix.shape)
    extent = panel_extent(explanation, len(mix))
    loudest = loudest_power(mix)
    for axes, values in zip(row[[0, 1, 3]], (mix, target, masked), strict=True):
        level = draw_level(axes, values, extent, loudest, dynamic_range)
    masks = draw_image(row[2], mask, extent, style.MASK_COLORS, (0.0, 1.0))
    times = frame_times(explanation, len(mix))
    for axes in row[:4]:
        style.show_time(axes, times)
        axes.set_xlabel("")
    for axes in row[1:4]:
        axes.tick_params(labelleft=False)
    row[0].set_ylabel(f"{describe(example)}\n\nfrequency (kHz)")
    row[3].set_title(
        f"target {style.signed(example.target_gain, 1)} dB\n"
        f"interferer {style.signed(example.interferer_gain, 1)} dB",
        fontsize=style.TEXT,
    )
    _draw_posterior(row[4], example)
    return level, masks


def _draw_posterior(axes: Axes, example: SeparationExample) -> None:
    posterior = as_array("posterior", entry(example.explanation, "posterior"), (NUM_DIRECTIONS,))
    axes.fill_between(GRID_DEGREES, posterior, color=style.POSTERIOR, alpha=0.55, linewidth=0.0)
    axes.plot(GRID_DEGREES, posterior, color=style.TARGET, linewidth=1.0, label="_posterior")
    top = 1.25 * max(float(posterior.max()), 1e-6)
    directions = {
        "target": example.azimuth,
        "interferer": example.interferer_azimuth,
        "predicted": example.estimate,
    }
    for role, degrees in directions.items():
        # The truth reaches to the top, the estimate ends a little lower.
        look = style.ROLES[role]
        ends = (0.0, 0.97 * top) if role != "predicted" else (0.0, 0.86 * top)
        axes.plot(
            [degrees] * 2, ends, label=role, markevery=[1], markersize=6, linewidth=1.4, **look
        )
    axes.set_xlim(0.0, 180.0)
    axes.set_ylim(0.0, top)
    axes.set_xticks(range(0, 181, 45))
    axes.set_yticks([])
    axes.set_title(
        f"estimate {example.estimate:.0f}°\nerror {example.error:.0f}°", fontsize=style.TEXT
    )


def _name_columns(grid: np.ndarray) -> None:
    """Names above the titles of the first row, and labels of the axes of the last row."""
    for axes, name in zip(grid[0], _COLUMNS, strict=True):
        axes.annotate(
            name,
            (0.0, 1.0),
            xytext=(0, 32),
            xycoords="axes fraction",
            textcoords="offset points",
            weight="bold",
        )
    for axes in grid[-1, :-1]:
        axes.set_xlabel("time (s)")
    grid[-1, -1].set_xlabel("direction (°)")


def _draw_keys(figure: FigureBase, grid: np.ndarray, images: tuple[AxesImage, AxesImage]) -> None:
    """Two colour bars below the spectrograms, and a legend of the posteriors."""
    level, masks = images
    bar: dict[str, Any] = {"location": "bottom", "shrink": 0.7, "aspect": 30, "pad": 0.01}
    figure.colorbar(level, ax=grid[:, :2].ravel().tolist(), label="level (dB)", **bar)
    figure.colorbar(masks, ax=grid[:, 2:4].ravel().tolist(), label="mask", **bar)
    lines, names = grid[-1, -1].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower right", ncols=3, handlelength=2.0)
