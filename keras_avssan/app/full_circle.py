"""Figure of a posterior over azimuths all around an array."""

import numpy as np
from matplotlib.figure import FigureBase
from matplotlib.projections.polar import PolarAxes

from keras_avssan.arrays import MicrophoneArray
from keras_avssan.visualization import style

# Radii in units of the circle: the microphone farthest out, the foot and the peak of the posterior,
# and the end of the answer.
_MICROPHONES, _FOOT, _PEAK, _POINTER = 0.24, 0.42, 0.94, 1.04


@style.styled
def plot_circle(posterior: np.ndarray, azimuth: float | None, array: MicrophoneArray) -> FigureBase:
    """Draws a posterior (360,) over 0° to 359° around an array whose x axis points up.

    `azimuth` is the answer in degrees; `None` where there is no direction.
    """
    figure = style.canvas(None, (style.PHONE_WIDTH, style.PHONE_WIDTH + 0.3))
    axes = figure.add_subplot(projection="polar")
    assert isinstance(axes, PolarAxes)
    axes.set_theta_zero_location("N")
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([])
    axes.set_xticks(np.radians(np.arange(0, 360, 30)))
    axes.grid(color=style.GRID, linewidth=0.7)
    circle = np.radians(np.arange(361))
    heights = _FOOT + (_PEAK - _FOOT) * posterior / posterior.max()
    heights = np.append(heights, heights[0])
    axes.fill_between(circle, _FOOT, heights, color=style.POSTERIOR, alpha=0.55, linewidth=0.0)
    axes.plot(circle, heights, color=style.TARGET, linewidth=1.2)
    if azimuth is not None:
        # Its marker points at the circle from outside.
        look = {**style.ROLES["predicted"], "marker": (3, 0, azimuth + 180.0)}
        label = f"predicted {azimuth:.0f}°"
        angle = np.radians([azimuth, azimuth])
        axes.plot(
            angle,
            [0.0, _POINTER],
            label=label,
            markevery=[1],
            markersize=8,
            linewidth=1.6,
            clip_on=False,
            zorder=5,
            **look,
        )
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), handlelength=2.4)
    _draw_microphones(axes, array)
    axes.set_title("Seen from above, x axis of the array at 0°", loc="center", pad=14)
    axes.tick_params(axis="x", pad=6)
    return figure


def _draw_microphones(axes: PolarAxes, array: MicrophoneArray) -> None:
    """The microphones with their numbers, the first of which is channel 1."""
    x, y = array.positions[:, 0], array.positions[:, 1]
    angles, radii = np.arctan2(y, x), np.hypot(x, y)
    radii = _MICROPHONES * radii / max(radii.max(), 1e-9)
    axes.plot(angles, radii, "o", markersize=5, color="black", zorder=6)
    for number, (angle, radius) in enumerate(zip(angles, radii, strict=True), 1):
        place = (angle, radius + 0.09)
        axes.text(*place, str(number), ha="center", va="center", fontsize=style.TEXT, zorder=6)
