"""Figure of the band attention of one scene."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from keras_avssan.visualization import style
from keras_avssan.visualization.checks import as_array, entry, frame_times


@style.styled
def plot_band_attention(
    explanation: Mapping[str, Any], *, figure: FigureBase | None = None
) -> FigureBase:
    """Draws the weights β of the frequency patches and the weights α(t) of the band types.

    On the left one row a band type: a bar for each patch over the frequencies that it covers, and
    a thin line at the weight that every patch would have if all weighed the same. On the right,
    or below in a figure of less than 6 inches, how the weights of the band types change over time.

    Args:
        explanation: Result of `model.explain`; used are `band_attention` (a dictionary from
            band type to the weights of its patches, shape `(patches,)`), `band_weights`
            `(T, number of bands)`, `bands` (the names of its columns), `sampling_rate` and
            `hop_length`. A model without band attention has an empty dictionary or none, and one
            without a refiner no `band_weights`: only the other half is drawn then.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: If there is nothing to draw, or shapes do not fit each other.

    Example:
        ```python
        explanation = model.explain(audio, "dog.jpg")
        plot_band_attention(explanation).savefig("bands.png")
        ```

    Reference:
        Equations (7) and (8) of the AV-SSAN paper.
    """
    attention = explanation.get("band_attention") or {}
    patches = {
        band: as_array(f"band_attention[{band!r}]", attention[band], (None,))
        for band in style.BANDS
        if band in attention
    }
    over_time = explanation.get("band_weights")
    if not patches and over_time is None:
        raise ValueError(
            "`explanation` must hold 'band_attention' or 'band_weights': this model has neither "
            f"band attention nor a refiner. Received: explanation with keys {sorted(explanation)}"
        )
    figure = style.canvas(figure, (8.6, 3.2))
    parts = bool(patches) + (over_time is not None)
    if style.width_of(figure) < style.NARROW:
        halves = style.split(figure, parts, 1, height_ratios=[1.3, 1.0][-parts:], hspace=0.03)
    else:
        halves = style.split(figure, 1, parts, wspace=0.03)
    if patches:
        _draw_patches(halves[0], patches, entry(explanation, "sampling_rate"))
    if over_time is not None:
        _draw_weights(halves[-1].subplots(), over_time, explanation)
    return figure


def _draw_patches(figure: FigureBase, patches: dict[str, np.ndarray], sampling_rate: float) -> None:
    highest = sampling_rate / 2000.0
    rows = figure.subplots(len(patches), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (band, weights) in zip(rows, patches.items(), strict=True):
        edges = np.linspace(0.0, highest, len(weights) + 1)
        axes.bar(
            edges[:-1],
            weights,
            width=np.diff(edges),
            align="edge",
            color=style.BANDS[band]["color"],
            edgecolor="white",
            linewidth=0.8,
        )
        axes.axhline(1.0 / len(weights), color="black", linewidth=0.8, linestyle="--")
        axes.set_ylim(0.0, 1.15 * max(weights.max(), 1.0 / len(weights)))
        axes.set_ylabel(f"β {band}")
    rows[0].set_title("weight of each patch")
    rows[-1].set_xlim(0.0, highest)
    rows[-1].set_xlabel("frequency (kHz)")
    figure.align_ylabels(rows)


def _draw_weights(axes: Axes, over_time: Any, explanation: Mapping[str, Any]) -> None:
    bands = tuple(entry(explanation, "bands"))
    weights = as_array("band_weights", over_time, (None, len(bands)))
    times = frame_times(explanation, len(weights))
    for band, values in zip(bands, weights.T, strict=True):
        axes.plot(times, values, label=band, linewidth=1.8, **style.BANDS[band])
    axes.set_ylim(0.0, 1.02)
    axes.set_ylabel("α(t)")
    axes.set_title("weight of each band type")
    axes.grid(axis="y", color=style.GRID, linewidth=0.7)
    axes.legend(loc="upper right", ncols=len(bands), handlelength=2.4)
    style.show_time(axes, times)
