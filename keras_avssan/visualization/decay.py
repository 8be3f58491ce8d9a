"""Figure of energy decay and reverberation time."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from numpy.typing import ArrayLike

from keras_avssan.simulation.decay import (
    FIRST_LEVEL,
    energy_decay_curve,
    high_passed,
    reverberation_time,
)
from keras_avssan.simulation.validation import check_positive
from keras_avssan.visualization import style
from keras_avssan.visualization.checks import as_responses

# Lowest level drawn in decibels: a little below the 60 dB of T60.
_FLOOR = -65.0


@style.styled
def plot_decay(
    rirs: ArrayLike,
    sampling_rate: float,
    *,
    t60: float | None = None,
    decay: float = 30.0,
    high_pass: float | None = 100.0,
    title: str | None = None,
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws energy decay curves and the lines whose slopes are the reverberation times.

    A curve is the energy still to come, in decibels below that of the whole response; the thin
    line over it is fitted from -5 dB to `decay` dB below that and extended to 60 dB. The legend
    holds the reverberation time of each microphone. A response that ends before it has decayed far
    enough has no line.

    Args:
        rirs: Responses of shape `(length,)` or `(M, length)`; sample 0 is the time of the impulse.
        sampling_rate: Sampling rate in hertz.
        t60: The requested reverberation time in seconds, drawn if given.
        decay: The part of the decay that the line is fitted to, in decibels.
        high_pass: Cut-off frequency in hertz of the filter before curve and measurement, `None`
            for no filter; see `keras_avssan.simulation.reverberation_time`.
        title: Text above the curves.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: If `rirs` has another shape, is silent or not finite, or another argument is
            out of range.

    Example:
        ```python
        from keras_avssan.simulation import simulate_rirs
        from keras_avssan.visualization import plot_decay

        microphones = [(4.1, 2.0, 1.5), (3.9, 2.0, 1.5)]
        rirs = simulate_rirs((6.0, 5.0, 3.0), (2.0, 3.0, 1.5), microphones, t60=0.3)
        plot_decay(rirs[0], 16000, t60=0.3).savefig("decay.png")
        ```

    Reference:
        M. R. Schroeder, New method of measuring reverberation time, JASA 37, 1965.
    """
    rirs = as_responses("rirs", rirs)
    if t60 is not None:
        t60 = float(check_positive(t60, "t60"))
    measured = reverberation_time(rirs, sampling_rate, decay=decay, high_pass=high_pass)
    curves = energy_decay_curve(high_passed(rirs, sampling_rate, high_pass))

    figure = style.canvas(figure, (6.0, 3.4))
    axes = figure.subplots()
    seconds = np.arange(rirs.shape[1]) / sampling_rate
    for number, (curve, time) in enumerate(zip(curves, measured, strict=True), start=1):
        look = style.MICROPHONES[(number - 1) % len(style.MICROPHONES)]
        name = "" if len(rirs) == 1 else f"mic {number}, "
        label = name + (f"T60 {time:.2f} s" if np.isfinite(time) else "T60 not measurable")
        finite = np.isfinite(curve)
        axes.plot(seconds[finite], curve[finite], label=label, linewidth=1.8, **look)
        if np.isfinite(time):
            _draw_fit(axes, seconds, curve, time, decay, look["color"])
    if t60 is not None:
        _draw_requested(axes, t60)
    axes.set_ylim(_FLOOR, 2.0)
    axes.set_xlim(0.0, seconds[-1])
    axes.set_xlabel("time (s)")
    axes.set_ylabel("energy still to come (dB)")
    axes.grid(axis="y", color=style.GRID, linewidth=0.7)
    axes.legend(loc="upper right")
    if title is not None:
        axes.set_title(title)
    return figure


def _draw_fit(
    axes: Axes, seconds: np.ndarray, curve: np.ndarray, t60: float, decay: float, color: str
) -> None:
    """The line of slope -60 dB in `t60` seconds through the fitted part of the curve."""
    fitted = (curve <= FIRST_LEVEL) & (curve > FIRST_LEVEL - decay)
    level = float(np.mean(curve[fitted] + 60.0 * seconds[fitted] / t60))
    axes.axline((0.0, level), slope=-60.0 / t60, color=color, linewidth=0.8, label="_fit")


def _draw_requested(axes: Axes, t60: float) -> None:
    axes.axline(
        (0.0, 0.0),
        slope=-60.0 / t60,
        color="black",
        linestyle=":",
        linewidth=1.2,
        label=f"requested {t60:.2f} s",
    )
