"""Plan view of a room."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Arc, Rectangle

from keras_avssan.simulation import Room
from keras_avssan.visualization import style

# Length in metres of the drawn axis of the pair; the pair itself is too small to be seen.
_AXIS = 0.9


@style.styled
def plot_scene(
    room: Room,
    names: Sequence[str] | None = None,
    *,
    title: str | None = None,
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws a room from above: walls, microphone pair and sources with their directions.

    The first source is drawn as the target, the others as interferers. A direction is the angle
    in space between the source and the axis of the pair, which reaches beyond microphone 1: seen
    from above it looks a little different where the source is not at the height of the pair.

    Args:
        room: The room; the lengths are in metres.
        names: What each source is, such as `["dog", "violin"]`. Default: "target" and
            "interferer".
        title: Text above the plan. Default: the sides of the room and its T60.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: If there is not one name for each source.

    Example:
        ```python
        from keras_avssan.simulation import sample_room
        from keras_avssan.visualization import plot_scene

        plot_scene(sample_room(seed=0, index=3)).savefig("room.png")
        ```
    """
    sources = np.asarray(room.sources, dtype=np.float64)
    roles = ["target"] + ["interferer"] * (len(sources) - 1)
    names = list(roles if names is None else names)
    if len(names) != len(sources):
        raise ValueError(f"`names` must name {len(sources)} sources. Received: {names}")
    width, depth, height = (float(side) for side in room.size)
    figure = style.canvas(figure, (4.6, 4.6 * min(max(depth / width, 0.6), 1.4)))
    axes = figure.add_subplot()
    axes.add_patch(Rectangle((0, 0), width, depth, facecolor="#FAFAFA", edgecolor="black", lw=2))
    microphones = np.asarray(room.microphones, dtype=np.float64)
    _draw_pair(axes, microphones)
    for source, role, name, azimuth in zip(sources, roles, names, room.azimuths, strict=True):
        _draw_source(axes, microphones, source, role, f"{name} {azimuth:.0f}°")
    axes.set_aspect("equal")
    axes.set_xlim(-0.03 * width, 1.03 * width)
    axes.set_ylim(-0.03 * depth, 1.03 * depth)
    axes.set_xlabel("x (m)")
    axes.set_ylabel("y (m)")
    axes.spines[:].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, handlelength=2.0, columnspacing=1.2)
    described = f"{width:.1f} × {depth:.1f} × {height:.1f} m, T60 {room.t60:.2f} s"
    axes.set_title(described if title is None else title)
    return figure


def _axis_of(microphones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of the pair and unit vector towards microphone 1, both seen from above."""
    first, second = microphones[:, :2]
    return (first + second) / 2.0, (first - second) / np.linalg.norm(first - second)


def _draw_pair(axes: Axes, microphones: np.ndarray) -> None:
    centre, direction = _axis_of(microphones)
    x, y = centre
    dx, dy = _AXIS * direction
    arrow = {"arrowstyle": "->", "color": style.NEUTRAL, "lw": 1.2}
    axes.annotate("", (x + dx, y + dy), (x, y), arrowprops=arrow)
    axes.text(x + 1.2 * dx, y + 1.2 * dy, "0°", color=style.NEUTRAL, ha="center", va="center")
    for number, color in ((1, "black"), (2, "white")):
        axes.plot(
            *microphones[number - 1, :2],
            label=f"mic {number}",
            marker="o",
            markersize=6,
            linestyle="none",
            color=color,
            markeredgecolor="black",
            zorder=6,
        )


def _draw_source(
    axes: Axes, microphones: np.ndarray, source: np.ndarray, role: str, label: str
) -> None:
    centre, direction = _axis_of(microphones)
    look = style.ROLES[role]
    axes.plot(
        [centre[0], source[0]],
        [centre[1], source[1]],
        label=label,
        markevery=[1],
        markersize=8,
        linewidth=1.4,
        zorder=5,
        **look,
    )
    axes.add_patch(_angle_arc(centre, direction, source[:2] - centre, look))


def _angle_arc(
    centre: np.ndarray, direction: np.ndarray, towards: np.ndarray, look: dict[str, Any]
) -> Arc:
    """The arc from the axis of the pair to a source, on the source's side of the axis."""
    start = np.degrees(np.arctan2(direction[1], direction[0]))
    turn = np.degrees(np.arctan2(towards[1], towards[0])) - start
    turn = (turn + 180.0) % 360.0 - 180.0
    first, last = sorted((start, start + turn))
    return Arc(
        tuple(centre),
        _AXIS,
        _AXIS,
        theta1=first,
        theta2=last,
        color=look["color"],
        linestyle=look["linestyle"],
        linewidth=1.0,
    )
