"""Figure of a direction over time."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from numpy.typing import ArrayLike

from keras_avssan.tracking import Track
from keras_avssan.visualization import style

_POSTERIOR_COLORS = "Blues"
# Share of the greatest probability that has the darkest colour: most posteriors are flatter.
_DARKEST = 0.6
# Differences of azimuths on a circle above which the line leaves one edge and enters at the other.
_HALF_TURN = 180.0


@style.styled
def plot_track(
    track: Track,
    azimuth: ArrayLike | None = None,
    *,
    min_presence: float = 0.5,
    title: str | None = None,
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws azimuths over time on the posterior, and the presence below.

    Gaps interrupt the line, and so does the step from 359° to 0° of an array.

    Args:
        track: What `model.track` returns.
        azimuth: True azimuths in degrees at the centres of the windows, shape (W,), drawn if given;
            NaN where there is no source.
        min_presence: Threshold that is drawn in the panel of the presence.
        title: Text above the panels.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure: one panel, two where the track has a presence.

    Raises:
        TypeError: If `track` is not a `Track`.
        ValueError: If `azimuth` has another shape.

    Example:
        ```python
        from keras_avssan import AVSSAN
        from keras_avssan.data import example_file
        from keras_avssan.visualization import plot_track

        model = AVSSAN.from_preset("avssan_sounds50")
        track = model.track(example_file("dog_and_rain.flac"), example_file("dog.jpg"))
        plot_track(track).savefig("track.png")
        ```
    """
    if not isinstance(track, Track):
        raise TypeError(f"`track` must be a `Track`. Received: track={track!r}")
    truth = None if azimuth is None else np.asarray(azimuth, "float64")
    if truth is not None and truth.shape != track.times.shape:
        raise ValueError(
            f"`azimuth` must have shape {track.times.shape}, one a window. "
            f"Received: azimuth of shape {truth.shape}"
        )
    panels = 1 if track.presence is None else 2
    figure = style.canvas(figure, (style.COLUMN_WIDTH, 2.6 + panels))
    axes = np.atleast_1d(
        figure.subplots(panels, 1, sharex=True, height_ratios=[3, 1][:panels], squeeze=True)
    )
    _draw_posteriors(axes[0], track)
    if truth is not None:
        look = {**style.ROLES["target"], "marker": None}
        line = _cut_at_zero(track, truth)
        axes[0].plot(*line, label="target", linewidth=1.6, **look)
    _draw_azimuths(axes[0], track)
    axes[0].legend(loc="upper right", ncols=2, frameon=True, framealpha=0.8)
    if track.presence is not None:
        _draw_presence(axes[1], track, track.presence, min_presence)
    axes[-1].set_xlabel("time (s)")
    axes[-1].set_xlim(*_limits(track))
    if title is not None:
        axes[0].set_title(title)
    return figure


def _limits(track: Track) -> tuple[float, float]:
    """The time that the windows' centres stand for, in seconds."""
    return track.times[0] - track.hop / 2, track.times[-1] + track.hop / 2


def _draw_posteriors(axes: Axes, track: Track) -> None:
    axes.imshow(
        track.posteriors.T,
        origin="lower",
        aspect="auto",
        extent=(*_limits(track), track.degrees[0] - 0.5, track.degrees[-1] + 0.5),
        cmap=_POSTERIOR_COLORS,
        vmin=0.0,
        vmax=_DARKEST * float(track.posteriors.max()),
        interpolation="nearest",
    )
    half = len(track.degrees) == 180
    axes.set_ylim(*((0.0, 180.5) if half else (-0.5, 359.5)))
    axes.set_yticks(list(range(0, 181, 30) if half else range(0, 360, 60)))
    axes.set_ylabel("azimuth (°)")


def _draw_azimuths(axes: Axes, track: Track) -> None:
    look: dict[str, Any] = {**style.ROLES["predicted"], "marker": "."}
    line = _cut_at_zero(track, track.azimuth)
    axes.plot(*line, label="predicted", linewidth=1.2, markersize=4, **look)


def _cut_at_zero(track: Track, azimuth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times and azimuths of a line, with NaN where it would cross a whole circle."""
    crossings = np.abs(np.diff(azimuth)) > _HALF_TURN
    if len(track.degrees) == 180 or not crossings.any():
        return track.times, azimuth
    before = np.flatnonzero(crossings) + 1
    return np.insert(track.times, before, track.times[before]), np.insert(azimuth, before, np.nan)


def _draw_presence(axes: Axes, track: Track, presence: np.ndarray, min_presence: float) -> None:
    axes.plot(track.times, presence, color=style.TARGET, linewidth=1.4)
    axes.axhline(min_presence, color=style.NEUTRAL, linestyle=":", linewidth=1.0)
    axes.set_ylim(0.0, 1.02)
    axes.set_ylabel("presence")
