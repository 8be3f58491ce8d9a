"""Figure of a room in plan and side view."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Arc, Rectangle

from keras_avssan.simulation import Room, Trajectory, azimuth_of
from keras_avssan.visualization import style

# Length in metres of the drawn axis of the pair; the pair itself is too small to be seen.
_AXIS = 0.9


@style.styled
def plot_scene(
    room: Room,
    names: Sequence[str] | None = None,
    *,
    trajectory: Trajectory | None = None,
    side_view: bool = False,
    title: str | None = None,
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws a room from above: walls, microphone pair and sources with their directions.

    Every source has a colour and a marker of its own. A direction is the angle in space between
    the source and the axis of the pair, which reaches beyond microphone 1: the projection from
    above differs slightly if the source is not at the height of the pair.

    Args:
        room: The room; the lengths are in metres.
        names: Name of each source, such as `["dog", "violin"]`. Default: "target" and
            "interferer".
        trajectory: Trajectory of a moving source, drawn as a line with an arrow if given.
        side_view: Whether to draw, below the plan, the room as seen along y, with all heights.
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
    if names is None:
        names = ["target"] + ["interferer"] * (len(sources) - 1)
    names = list(names)
    if len(names) != len(sources):
        raise ValueError(f"`names` must name {len(sources)} sources. Received: names={names}")
    width, depth, height = (float(side) for side in room.size)
    shown = depth + side_view * height
    figure = style.canvas(figure, (4.6, 4.6 * min(max(shown / width, 0.6), 1.4 + 0.6 * side_view)))
    if side_view:
        axes, side = figure.subplots(2, 1, sharex=True, height_ratios=[depth, height])
        _draw_walls(side, width, height, "z (m)")
        _draw_heights(side, room, trajectory)
    else:
        axes = figure.add_subplot()
    _draw_walls(axes, width, depth, "y (m)")
    microphones = np.asarray(room.microphones, dtype=np.float64)
    _draw_pair(axes, microphones)
    for number, (source, name) in enumerate(zip(sources, names, strict=True)):
        label = f"{name} {room.azimuths[number]:.0f}°"
        _draw_source(axes, microphones, source, style.source_look(number), label)
    if trajectory is not None:
        start, end = azimuth_of(trajectory.positions[[0, -1]], microphones)
        label = f"moving {start:.0f}° to {end:.0f}°"
        _draw_trajectory(axes, trajectory.positions[:, :2], label)
    figure.legend(loc="outside lower center", ncols=3, handlelength=2.0, columnspacing=1.2)
    described = f"{width:.1f} × {depth:.1f} × {height:.1f} m, T60 {room.t60:.2f} s"
    axes.set_title(described if title is None else title)
    return figure


def _draw_walls(axes: Axes, width: float, height: float, ylabel: str) -> None:
    axes.add_patch(Rectangle((0, 0), width, height, facecolor="#FAFAFA", edgecolor="black", lw=2))
    axes.set_aspect("equal")
    axes.set_xlim(-0.03 * width, 1.03 * width)
    axes.set_ylim(-0.03 * height, 1.03 * height)
    axes.set_xlabel("x (m)")
    axes.set_ylabel(ylabel)
    axes.spines[:].set_visible(False)


def _draw_heights(axes: Axes, room: Room, trajectory: Trajectory | None) -> None:
    """Microphones, sources and the trajectory of a moving source, as seen along y."""
    for microphone, color in zip(room.microphones, ("black", "white"), strict=True):
        axes.plot(*microphone[[0, 2]], "o", color=color, markersize=6, mec="black", zorder=6)
    for number, source in enumerate(room.sources):
        axes.plot(*source[[0, 2]], markersize=8, zorder=5, **style.source_look(number))
    if trajectory is not None:
        _draw_trajectory(axes, trajectory.positions[:, [0, 2]], "_moving")


def _draw_trajectory(axes: Axes, points: np.ndarray, label: str) -> None:
    """A line through points `(S, 2)`, with an arrow to the last one."""
    axes.plot(*points.T, color=style.MOVING, linestyle="-.", linewidth=1.4, label=label)
    if len(points) > 1:
        arrow = {"arrowstyle": "-|>", "color": style.MOVING, "mutation_scale": 14}
        axes.annotate("", points[-1], points[-2], arrowprops=arrow)


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
    axes: Axes, microphones: np.ndarray, source: np.ndarray, look: dict[str, Any], label: str
) -> None:
    centre, direction = _axis_of(microphones)
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
