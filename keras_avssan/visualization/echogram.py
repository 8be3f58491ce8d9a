"""Figure of impulse responses with direct path and early reflections."""

import numpy as np
import scipy.signal
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_integer
from keras_avssan.simulation.validation import check_positive
from keras_avssan.visualization import style
from keras_avssan.visualization.checks import as_responses

# Peaks nearer than this belong to one arrival: a band-limited impulse rings around its centre.
_APART_SECONDS = 0.0005
# Peaks this far (-20 dB) below the loudest one are not marked.
_LEAST_PEAK = 0.1


@style.styled
def plot_echogram(
    rirs: ArrayLike,
    sampling_rate: float,
    *,
    scale: str = "level",
    early: float = 0.05,
    num_reflections: int = 6,
    dynamic_range: float = 60.0,
    duration: float | None = None,
    title: str | None = None,
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws impulse responses over time, with the direct path and the loudest early reflections.

    One row a microphone. The direct path is the first peak less than 20 dB below the loudest one;
    reflections are searched in the shaded time after it. If the straight path is obstructed, such
    as behind a screen, the first peak need not be the direct path.

    Args:
        rirs: Responses of shape `(length,)` or `(M, length)`; sample 0 is the time of the impulse.
        sampling_rate: Sampling rate in hertz.
        scale: "level" in decibels below the loudest sample of all rows, or "amplitude".
        early: Time after the direct path in which a reflection counts as early, in seconds.
        num_reflections: Largest number of marked reflections in a row, the loudest ones.
        dynamic_range: Range of levels in decibels.
        duration: Duration that is drawn, in seconds. Default: all.
        title: Text above the first row.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: If `rirs` has another shape, is silent or not finite, or another argument is
            out of range.

    Example:
        ```python
        from keras_avssan.simulation import simulate_rirs
        from keras_avssan.visualization import plot_echogram

        microphones = [(4.1, 2.0, 1.5), (3.9, 2.0, 1.5)]
        rirs = simulate_rirs((6.0, 5.0, 3.0), (2.0, 3.0, 1.5), microphones, t60=0.3)
        plot_echogram(rirs[0], 16000, duration=0.1).savefig("echogram.png")
        ```
    """
    rirs = as_responses("rirs", rirs)
    sampling_rate = float(check_positive(sampling_rate, "sampling_rate"))
    duration = rirs.shape[1] / sampling_rate if duration is None else duration
    for name, value in {
        "early": early,
        "dynamic_range": dynamic_range,
        "duration": duration,
    }.items():
        check_positive(value, name)
    if scale not in ("level", "amplitude"):
        raise ValueError(f"`scale` must be 'level' or 'amplitude'. Received: scale={scale!r}")
    num_reflections = check_integer("num_reflections", num_reflections)

    figure = style.canvas(figure, (7.0, 0.8 + 1.6 * len(rirs)))
    rows = figure.subplots(len(rirs), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    values = _levels(rirs, dynamic_range) if scale == "level" else rirs
    milliseconds = 1000.0 * np.arange(rirs.shape[1]) / sampling_rate
    for number, (axes, row, rir) in enumerate(zip(rows, values, rirs, strict=True), start=1):
        axes.plot(milliseconds, row, color=style.NEUTRAL, linewidth=0.7)
        direct, reflections = _arrivals(rir, sampling_rate, early, num_reflections)
        _mark(axes, "direct", milliseconds[[direct]], row[[direct]])
        _mark(axes, "reflections", milliseconds[reflections], row[reflections])
        start = milliseconds[direct]
        axes.axvspan(start, start + 1000.0 * early, color=style.GRID, alpha=0.4, linewidth=0.0)
        axes.set_ylabel(("" if len(rirs) == 1 else f"mic {number}\n") + _UNITS[scale])
        axes.legend(loc="upper right", ncols=2)
    if scale == "level":
        rows[0].set_ylim(-dynamic_range, 4.0)
    rows[-1].set_xlim(0.0, 1000.0 * duration)
    rows[-1].set_xlabel("time (ms)")
    if title is not None:
        rows[0].set_title(title)
    return figure


_UNITS = {"level": "level (dB)", "amplitude": "amplitude"}


def _levels(rirs: np.ndarray, dynamic_range: float) -> np.ndarray:
    """Decibels below the loudest sample, down to the range."""
    relative = abs(rirs) / abs(rirs).max()
    return 20.0 * np.log10(np.maximum(relative, 10.0 ** (-dynamic_range / 20.0)))


def _arrivals(
    rir: np.ndarray, sampling_rate: float, early: float, num_reflections: int
) -> tuple[int, np.ndarray]:
    """Sample of the direct path, and those of the loudest early reflections in their order."""
    magnitude = abs(rir)
    apart = max(1, round(_APART_SECONDS * sampling_rate))
    # A silent sample at either end lets the first and the last one be peaks.
    peaks, _ = scipy.signal.find_peaks(
        np.pad(magnitude, 1), height=_LEAST_PEAK * magnitude.max(), distance=apart
    )
    direct, *later = peaks - 1
    reflections = np.array(
        [peak for peak in later if peak <= direct + early * sampling_rate], dtype=int
    )
    loudest = np.argsort(-magnitude[reflections], kind="stable")[:num_reflections]
    return int(direct), np.sort(reflections[loudest])


def _mark(axes: Axes, arrival: str, times: np.ndarray, values: np.ndarray) -> None:
    if len(times) == 0:
        return
    label = f"direct path {times[0]:.2f} ms" if arrival == "direct" else "early reflections"
    axes.plot(times, values, label=label, linestyle="none", zorder=5, **style.ARRIVALS[arrival])
