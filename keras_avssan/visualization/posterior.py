"""Figure of a posterior over directions on a half circle."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from numpy.typing import ArrayLike

from keras_avssan.doa import GRID_DEGREES, NUM_DIRECTIONS
from keras_avssan.visualization import style
from keras_avssan.visualization.checks import as_angle, as_array

# Radii, in units of the drawn half circle: the posterior stands on an arc around the microphones.
_MICROPHONE = 0.09
_ARC = 0.42
_PEAK = 0.94
_RIM = 1.0
_POINTER = 1.06
_TICK_LABEL = 1.16
_WEIGHTS = (0.56, 0.7)
# Width in inches of a legend in one row.
_LEGEND_WIDTH = 4.2


@style.styled
def plot_posterior(
    posterior: ArrayLike,
    azimuth: float | None = None,
    interferer_azimuth: float | None = None,
    *,
    predicted: float | None = None,
    candidate_azimuths: ArrayLike | None = None,
    candidate_weights: ArrayLike | None = None,
    title: str | None = None,
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws a posterior over directions on the half circle around the microphone pair.

    Microphone 1 and 0° are on the right, microphone 2 and 180° on the left. The height of the
    filled curve over the inner arc is the probability, scaled to its peak.

    Args:
        posterior: Probabilities of the directions 1° to 180°, shape `(180,)`; bin `k` is the
            direction of `k + 1` degrees.
        azimuth: True direction of the target in degrees, drawn if given.
        interferer_azimuth: True direction of the interferer in degrees, drawn if given.
        predicted: Predicted direction in degrees. Default: the most probable bin.
        candidate_azimuths: Candidate directions in degrees, shape `(K,)`; drawn, if given, as marks
            on the inner arc.
        candidate_weights: Weights of the candidates, shape `(K,)`: numbers beside the marks.
        title: Text above the half circle.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: If `posterior` does not have 180 finite, non-negative values with a positive
            sum, a direction is outside 0 to 180 degrees, or there is no weight for each candidate.

    Example:
        ```python
        import numpy as np
        from keras_avssan.visualization import plot_posterior

        posterior = np.exp(-np.abs(np.arange(1, 181) - 40) / 5)
        figure = plot_posterior(posterior, azimuth=42, interferer_azimuth=120)
        figure.savefig("posterior.png")
        ```
    """
    posterior = as_array("posterior", posterior, (NUM_DIRECTIONS,))
    if posterior.min() < 0.0 or posterior.sum() <= 0.0:
        raise ValueError(
            "`posterior` must hold non-negative probabilities with a positive sum. "
            f"Received: posterior of minimum {posterior.min():g} and sum {posterior.sum():g}"
        )
    if predicted is None:
        predicted = float(np.argmax(posterior)) + 1.0
    directions = {
        "predicted": as_angle("predicted", predicted),
        "target": as_angle("azimuth", azimuth),
        "interferer": as_angle("interferer_azimuth", interferer_azimuth),
    }
    figure = style.canvas(figure, (style.PHONE_WIDTH, 3.1))
    axes = _half_circle(figure.subplots())
    _draw_hill(axes, posterior)
    for role, degrees in directions.items():
        if degrees is not None:
            _draw_direction(axes, role, degrees)
    if candidate_azimuths is not None:
        _draw_candidates(axes, candidate_azimuths, candidate_weights)
    _draw_microphones(axes)
    columns = 3 if style.width_of(figure) > _LEGEND_WIDTH else 1
    if columns == 3 and candidate_azimuths is not None:
        columns = 4 if style.width_of(figure) >= style.NARROW else 2
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=columns, handlelength=2.4)
    if title is not None:
        axes.set_title(title, loc="center")
    return figure


def _points(degrees: Any, radius: Any) -> tuple[Any, Any]:
    """Cartesian coordinates, with 0° on the right and 180° on the left."""
    angle = np.deg2rad(degrees)
    return radius * np.cos(angle), radius * np.sin(angle)


def _half_circle(axes: Axes) -> Axes:
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_xlim(-1.3, 1.3)
    axes.set_ylim(-0.08, 1.25)
    for tick in range(0, 181, 30):
        axes.plot(*_points(tick, np.array([_ARC, _RIM])), color=style.GRID, linewidth=0.7)
        x, y = _points(tick, _TICK_LABEL)
        axes.text(
            x, y, f"{tick}°", ha="center", va="center", color=style.NEUTRAL, fontsize=style.TEXT
        )
    for radius in (_ARC, _RIM):
        axes.plot(*_points(np.arange(181), radius), color=style.NEUTRAL, linewidth=0.8)
    axes.plot([-_RIM, _RIM], [0.0, 0.0], color=style.NEUTRAL, linewidth=0.8)
    return axes


def _draw_hill(axes: Axes, posterior: np.ndarray) -> None:
    heights = _ARC + (_PEAK - _ARC) * posterior / posterior.max()
    curve = np.stack(_points(GRID_DEGREES, heights), axis=-1)
    foot = np.stack(_points(GRID_DEGREES, _ARC), axis=-1)
    outline = np.concatenate([curve, foot[::-1]])
    axes.fill(*outline.T, color=style.POSTERIOR, alpha=0.55, linewidth=0.0, label="_posterior")
    axes.plot(*curve.T, color=style.TARGET, linewidth=1.2)


def _draw_direction(axes: Axes, role: str, degrees: float) -> None:
    # The prediction points at the rim from outside, so that both it and the truth are visible.
    end = _POINTER if role == "predicted" else _RIM
    x, y = _points(degrees, np.array([0.0, end]))
    look = dict(style.ROLES[role])
    marker = (3, 0, degrees + 90.0) if role == "predicted" else look["marker"]
    axes.plot(
        x,
        y,
        label=f"{role} {degrees:.0f}°",
        markevery=[1],
        markersize=8,
        linewidth=1.6,
        zorder=5,
        **{**look, "marker": marker},
    )


def _draw_candidates(axes: Axes, azimuths: ArrayLike, weights: Any) -> None:
    azimuths = as_array("candidate_azimuths", azimuths, (None,))
    weights = as_array("candidate_weights", weights, azimuths.shape)
    for place, row in enumerate(np.argsort(azimuths)):
        degrees = as_angle("candidate_azimuths", azimuths[row])
        label = "candidates" if place == 0 else "_candidate"
        axes.plot(*_points(degrees, np.array([_ARC])), label=label, zorder=6, **style.CANDIDATE)
        # Neighbours stand at two radii, so that their numbers do not meet.
        axes.text(
            *_points(degrees, _WEIGHTS[place % 2]),
            f"{weights[row]:.2f}",
            ha="center",
            va="center",
            fontsize=style.TEXT,
            zorder=7,
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0.0, "pad": 0.8},
        )


def _draw_microphones(axes: Axes) -> None:
    for number, x in ((1, _MICROPHONE), (2, -_MICROPHONE)):
        axes.plot(
            [x],
            [0.0],
            marker="o",
            markersize=9,
            color="black" if number == 1 else "white",
            markeredgecolor="black",
            linestyle="none",
            zorder=6,
        )
        side = "left" if x > 0 else "right"
        axes.text(1.4 * x, 0.05, f"mic {number}", ha=side, va="bottom", fontsize=style.TEXT)
