"""Figure of the energy of both sounds and the attention to each patch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Patch

from keras_avssan.evaluation.class_attention import band_agreement, patch_energy
from keras_avssan.evaluation.examples import SeparationExample
from keras_avssan.visualization import style
from keras_avssan.visualization.checks import as_array, as_examples, entry
from keras_avssan.visualization.separation import describe

_ROW_HEIGHT = 2.1  # inches
# Levels more than this below the loudest patch are drawn at the floor, in decibels.
_RANGE = 60.0
# Filled where the target is louder, hatched where the interferer is: distinct in grey too.
_TARGET_BAR: dict[str, Any] = {"facecolor": style.TARGET, "edgecolor": "white"}
_INTERFERER_BAR: dict[str, Any] = {
    "facecolor": "white",
    "edgecolor": style.INTERFERER,
    "hatch": "////",
}


@style.styled
def plot_attended_energy(
    examples: Sequence[SeparationExample],
    *,
    bands: Sequence[str] = ("fine", "mid"),
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws, scene by scene, the energy of both sounds in every patch above the patch's weight β.

    The upper curves are the energies of the target alone and of the interferer alone, in decibels
    below the loudest patch of both. The bars below are the weights: filled where the target is
    the louder of the two, hatched where the interferer is, with a thin line at the weight that
    every patch would have if all weighed the same. Above the curves stands the rank correlation
    between the weights and the target's share of the energy: 1 where a patch weighs more the more
    the target dominates it.

    Args:
        examples: Result of `keras_avssan.evaluation.separation_examples`, or a selection.
        bands: The band types to draw.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure: for each example a row, for each band type two axes, one above the other.

    Raises:
        TypeError: If `examples` holds other objects.
        ValueError: If `examples` or `bands` is empty, or a model had no such band type.

    Example:
        ```python
        from keras_avssan.evaluation import separation_examples
        from keras_avssan.visualization import plot_attended_energy

        examples = separation_examples(model, plan, num_scenes=500)
        plot_attended_energy(examples[:3]).savefig("attended.png")
        ```

    Reference:
        AV-SSAN, Figure 3 and equation (7).
    """
    examples = as_examples("examples", examples)
    if not bands:
        raise ValueError(f"`bands` must name one or more band types. Received: bands={bands!r}")
    figure = style.canvas(
        figure, (style.PHONE_WIDTH * len(bands), _ROW_HEIGHT * len(examples) + 0.7)
    )
    rows = style.split(figure, len(examples), 1)
    grids = [
        row.subplots(2, len(bands), squeeze=False, sharex=True, height_ratios=[1.0, 0.8])
        for row in rows
    ]
    for row, grid, example in zip(rows, grids, examples, strict=True):
        for (upper, lower), band in zip(grid.T, bands, strict=True):
            _draw_band(upper, lower, example, band)
        grid[0, 0].set_ylabel("level (dB)")
        grid[1, 0].set_ylabel("β")
        row.align_ylabels(grid[:, 0])
        row.supylabel(describe(example), fontsize=9, ha="left", multialignment="center")
    for axes in grids[-1][1]:
        axes.set_xlabel("frequency (kHz)")
    _draw_legend(figure, grids[0][0, 0])
    return figure


def _draw_band(upper: Axes, lower: Axes, example: SeparationExample, band: str) -> None:
    attention = entry(example.explanation, "band_attention") or {}
    if band not in attention:
        raise ValueError(
            f"`bands` must be among those of the model, {sorted(attention)}. "
            f"Received: bands with {band!r}"
        )
    weights = as_array(f"band_attention[{band!r}]", attention[band], (None,))
    count = len(weights)
    target = patch_energy(example.target, count)
    interferer = patch_energy(example.interferer, count)
    edges = np.linspace(0.0, entry(example.explanation, "sampling_rate") / 2000.0, count + 1)
    _draw_levels(upper, edges, target, interferer)
    _draw_weights(lower, edges, weights, target >= interferer)
    agreement = band_agreement(weights, target, interferer)
    known = "" if np.isnan(agreement) else f", agreement {style.signed(agreement, 2)}"
    upper.set_title(f"{band}{known}")


def _draw_levels(axes: Axes, edges: np.ndarray, target: np.ndarray, interferer: np.ndarray) -> None:
    loudest = max(target.max(), interferer.max(), np.finfo("float64").tiny)
    centres = (edges[1:] + edges[:-1]) / 2.0
    for role, energy in (("target", target), ("interferer", interferer)):
        level = 10.0 * np.log10(np.maximum(energy / loudest, 10.0 ** (-_RANGE / 10.0)))
        look = style.ROLES[role]
        axes.plot(centres, level, label=f"{role} alone", markersize=4, linewidth=1.4, **look)
    axes.set_ylim(-_RANGE - 2.0, 3.0)
    axes.set_yticks([-_RANGE, -_RANGE / 2.0, 0.0])
    axes.set_xlim(edges[0], edges[-1])
    axes.grid(axis="y", color=style.GRID, linewidth=0.7)


def _draw_weights(
    axes: Axes, edges: np.ndarray, weights: np.ndarray, target_is_louder: np.ndarray
) -> None:
    bars = axes.bar(edges[:-1], weights, width=np.diff(edges), align="edge", linewidth=0.8)
    for bar, louder in zip(bars, target_is_louder, strict=True):
        bar.set(**(_TARGET_BAR if louder else _INTERFERER_BAR))
    axes.axhline(1.0 / len(weights), color="black", linewidth=0.8, linestyle="--")
    axes.set_ylim(0.0, 1.15 * max(weights.max(), 1.0 / len(weights)))


def _draw_legend(figure: FigureBase, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    handles += [Patch(**_TARGET_BAR), Patch(**_INTERFERER_BAR)]
    labels += ["β, target louder", "β, interferer louder"]
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=4 if style.width_of(figure) > style.NARROW else 2,
        handlelength=2.4,
    )
