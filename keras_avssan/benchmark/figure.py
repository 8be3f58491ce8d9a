"""Figure of the selection rates of all systems, by SNR."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from keras_avssan.visualization import style

if TYPE_CHECKING:
    from keras_avssan.benchmark.results import TableResults

# From the easiest level to the hardest; they differ in a grey print too.
_LOOKS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "color": "#000000", "markerfacecolor": "#000000"},
    {"marker": "s", "color": "#0072B2", "markerfacecolor": "#9DC3E6"},
    {"marker": "^", "color": "#D55E00", "markerfacecolor": "#FFFFFF"},
    {"marker": "D", "color": "#6E6E6E", "markerfacecolor": "#FFFFFF"},
)
_SPREAD = 0.22  # between the levels of a system, in rows


@style.styled
def plot_selection(results: "TableResults", figure: FigureBase | None = None) -> FigureBase:
    """Draws the selection rate of every scored row with its 95 % interval; needs one such row."""
    rows = results.scored[::-1]
    figure = style.canvas(figure, (6.4, 1.2 + 0.34 * len(rows)))
    axes = figure.subplots()
    for number, level in enumerate(results.levels):
        shift = _SPREAD * ((len(results.levels) - 1) / 2 - number)
        points = [
            (place + shift, results.summary(row, level)["scores"]["selection"])
            for place, row in enumerate(rows)
            if level in row["evaluations"]
        ]
        _draw(axes, points, results.level_title(level), _LOOKS[number % len(_LOOKS)])
    axes.axvline(50, color=style.NEUTRAL, linestyle="--", linewidth=1)
    axes.text(
        50.4,
        len(rows) - 0.45,
        "random source",
        color=style.NEUTRAL,
        fontsize=style.TEXT,
        va="bottom",
    )
    axes.set_yticks(range(len(rows)), [row["title"].replace("`", "") for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.1)
    axes.grid(axis="x", color=style.GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("scenes in which the right source was selected (%), 95 % interval")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.6 / (0.6 + 0.34 * len(rows))), ncols=4)
    return figure


def _draw(
    axes: Axes,
    points: Sequence[tuple[float, dict[str, Any] | None]],
    label: str,
    look: dict[str, Any],
) -> None:
    known = [(place, score) for place, score in points if score is not None]
    if not known:
        return
    places = [place for place, _ in known]
    means = np.array([100 * score["mean"] for _, score in known])
    bounds = 100 * np.array([score["interval"] for _, score in known]).T
    axes.errorbar(
        means,
        places,
        xerr=np.maximum(0, np.abs(bounds - means)),
        linestyle="none",
        markersize=5,
        elinewidth=1,
        capsize=2,
        label=label,
        **look,
    )
