"""Colours, sizes and helpers of all figures."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

# Colours of Okabe and Ito: distinct for colour-blind readers.
TARGET = "#0072B2"
INTERFERER = "#D55E00"
PREDICTED = "#000000"
MOVING = "#009E73"
POSTERIOR = "#56B4E9"
NEUTRAL = "#6E6E6E"
GRID = "#D9D9D9"

# Points; a figure of 4.4 inches is legible on a phone, one of 9 inches in a notebook.
TEXT = 9
# Inches below which panels stand one below another instead of side by side.
NARROW = 6.0
# Widths in inches that such figures are drawn in.
PHONE_WIDTH, COLUMN_WIDTH = 4.4, 9.0

# One line style, marker and colour a role, so that they are distinct in a grey print.
ROLES: dict[str, dict[str, Any]] = {
    "predicted": {"color": PREDICTED, "linestyle": "-", "marker": "v"},
    "target": {"color": TARGET, "linestyle": "--", "marker": "o"},
    "interferer": {"color": INTERFERER, "linestyle": ":", "marker": "X"},
}

# Marks of candidate directions.
CANDIDATE: dict[str, Any] = {
    "color": MOVING,
    "marker": "D",
    "markersize": 6,
    "markeredgecolor": "white",
    "linestyle": "none",
}

# The band types from coarse to fine would read as light to dark in grey.
BANDS: dict[str, dict[str, Any]] = {
    "fine": {"color": "#0072B2", "linestyle": "-"},
    "mid": {"color": "#E69F00", "linestyle": "--"},
    "full": {"color": "#009E73", "linestyle": ":"},
}

# Hatches that distinguish filled areas of the band types in grey.
HATCHES: dict[str, str] = {"fine": "", "mid": "////", "full": "...."}

# Marks of the arrivals at a microphone.
ARRIVALS: dict[str, dict[str, Any]] = {
    "direct": {"color": TARGET, "marker": "o", "markersize": 6},
    "reflections": {"color": INTERFERER, "marker": "x", "markersize": 6},
}

# Microphones, one after another; from the sixth on they repeat. Two steps darker and one lighter
# than the first two, so that in grey, too, each is a shade of its own.
MICROPHONES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "-"},
    {"color": "#D55E00", "linestyle": "--"},
    {"color": "#005C43", "linestyle": "-."},
    {"color": "#D98CB3", "linestyle": ":"},
    {"color": "#4A2B4F", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
)

# Sources of a room, one after another: the first two look like target and interferer. From the
# sixth on colours repeat, with another marker.
_SOURCE_COLORS = (TARGET, INTERFERER, "#005C43", "#D98CB3", "#4A2B4F")
_SOURCE_MARKERS = ("o", "X", "s", "^", "D", "P", "v")
_SOURCE_LINES: tuple[Any, ...] = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2, 4, 2)))

DECIBEL_COLORS = "magma"
MASK_COLORS = "cividis"

_RC: dict[Any, Any] = {
    "axes.edgecolor": NEUTRAL,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.dpi": 110,
    "font.size": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "savefig.dpi": 150,
    "xtick.color": NEUTRAL,
    "xtick.labelsize": 9,
    "ytick.color": NEUTRAL,
    "ytick.labelsize": 9,
}

# Decorator that applies these settings while a plot function runs; the caller's do not change.
styled = mpl.rc_context(_RC)


class _NotebookFigure(Figure):
    """A figure that a notebook displays, although pyplot does not manage it."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi="figure", bbox_inches="tight")
        return buffer.getvalue()


def canvas(figure: FigureBase | None, size: tuple[float, float]) -> FigureBase:
    """Returns `figure`, or a new one of `size` inches that pyplot does not keep alive."""
    return _NotebookFigure(figsize=size, layout="constrained") if figure is None else figure


def split(figure: FigureBase, rows: int, columns: int, **spacing: Any) -> list[FigureBase]:
    """Divides `figure` into sub-figures, row by row."""
    return list(np.atleast_1d(figure.subfigures(rows, columns, **spacing)).flat)


def source_look(number: int) -> dict[str, Any]:
    """Colour, marker and line style of a source of a room, counted from 0."""
    lines, colors = len(_SOURCE_LINES), len(_SOURCE_COLORS)
    return {
        "color": _SOURCE_COLORS[number % colors],
        "linestyle": _SOURCE_LINES[number % lines],
        "marker": _SOURCE_MARKERS[number % len(_SOURCE_MARKERS)],
    }


def width_of(figure: Any) -> float:
    """Returns the width of a figure or sub-figure in inches."""
    return float(figure.bbox.width / figure.dpi)


def show_time(axes: Axes, times: np.ndarray) -> None:
    """Makes the horizontal axis the time of a clip whose frames are centred on `times`."""
    axes.set_xlim(0.0, max(times[-1], times[0] + 1e-3))
    axes.set_xlabel("time (s)")


def signed(value: float, digits: int) -> str:
    """Returns a number with its sign, the minus as long as the plus."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")
