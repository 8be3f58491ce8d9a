"""`localize --track`: directions over time in recordings."""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from keras_avssan._internal.types import PathLike

if TYPE_CHECKING:
    from keras_avssan.tracking import Estimate, Track

SMOOTHINGS = ("none", "online", "offline")
COLUMNS = ("recording", "prompt", "time", "azimuth", "spread", "presence", "gap")
_OF_TRACKS = ("window", "hop", "smoothing")


def add_track_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--track` and the options that only it takes."""
    parser.add_argument(
        "--track",
        action="store_true",
        help="directions over time: of windows of the recording, which may last for hours",
    )
    add_window_options(parser, "none", SMOOTHINGS)


def add_window_options(
    parser: argparse.ArgumentParser, smoothing: str, smoothings: Sequence[str]
) -> None:
    """Adds the durations of windows and their smoothing, with its default."""
    parser.add_argument("--window", type=float, default=1.0, help="seconds that a window lasts")
    parser.add_argument("--hop", type=float, default=0.25, help="seconds between two windows")
    meaning = {
        "none": "each window alone",
        "online": "given all windows so far",
        "offline": "given all windows",
    }
    parser.add_argument(
        "--smoothing",
        choices=smoothings,
        default=smoothing,
        help="; ".join(f"{name}: {meaning[name]}" for name in smoothings),
    )


def check_track_options(options: argparse.Namespace) -> None:
    """Refuses options of tracks without `--track`; a recording or prompt given twice counts once.

    The rows of a track in a table are those of its recording and prompt.
    """
    if options.track:
        options.audio = list(dict.fromkeys(options.audio))
        options.prompt = list(dict.fromkeys(options.prompt))
        return
    for name in _OF_TRACKS:
        if getattr(options, name) != options.parser.get_default(name):
            raise ValueError(
                f"`--{name}` must be used with `--track`. Received: --{name} without --track"
            )


def check_channel_pair(channels: Sequence[int] | None) -> None:
    """Refuses `--channels` that are not two different ones, from 0."""
    if channels and (min(channels) < 0 or len(set(channels)) < 2):
        raise ValueError(
            f"`--channels` must be two different channels, from 0. Received: --channels={channels}"
        )


def track_all(
    model: Any, options: argparse.Namespace, pair: dict[str, Any]
) -> tuple[list[dict[str, Any]], "Track"]:
    """Tracks every prompt in every recording, all in one pass over it; prints the result.

    Returns a row a window, and the last track.
    """
    rows: list[dict[str, Any]] = []
    inputs = [model.prompt_inputs(prompt) for prompt in options.prompt]
    for recording in options.audio:
        tracks = model.track(
            recording,
            inputs,
            window=options.window,
            hop=options.hop,
            smoothing=None if options.smoothing == "none" else options.smoothing,
            progress=_is_long(recording),
            **pair,
        )
        for prompt, track in zip(options.prompt, tracks, strict=True):
            new = [{"recording": recording, "prompt": prompt, **row} for row in _rows(track)]
            _print(new, options)
            rows += new
    return rows, tracks[-1]


def _is_long(recording: PathLike) -> bool:
    """Whether a recording lasts for more than a minute, so that progress is of interest."""
    import soundfile

    try:
        return bool(soundfile.info(recording).duration > 60.0)
    except soundfile.SoundFileError:
        return False


def _rows(track: "Track") -> list[dict[str, Any]]:
    """A dict for each window, with what a text, a table or JSON can hold."""
    presence = [None] * len(track) if track.presence is None else track.presence
    columns = (track.times, track.azimuth, track.spread, presence, track.gaps)
    return [as_row(*values) for values in zip(*columns, strict=True)]


def row_of(estimate: "Estimate") -> dict[str, Any]:
    """The same of an estimate of a stream, with the name of its prompt."""
    values = (estimate.time, estimate.azimuth, estimate.spread, estimate.presence, estimate.gap)
    return {"prompt": estimate.prompt, **as_row(*values)}


def as_row(
    time: float, azimuth: float, spread: float, presence: float | None, gap: str
) -> dict[str, Any]:
    """Values of a window in plain types, rounded to what they mean; `None` for NaN."""
    return {
        "time": round(float(time), 4),
        "azimuth": _number(azimuth, 1),
        "spread": _number(spread, 2),
        "presence": None if presence is None else _number(presence, 4),
        "gap": str(gap),
    }


def _number(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(float(value), digits)


def line_of(row: Mapping[str, Any], name: str = "") -> str:
    """A window in words, after the name of its prompt."""
    if row["azimuth"] is None:
        text = f"no direction ({row['gap']})"
    else:
        text = f"{row['azimuth']:3.0f} degrees, spread {row['spread']:.0f}"
    if row["presence"] is not None:
        text += f", presence {row['presence']:.2f}"
    return f"{row['time']:8.2f} s  {name}{'  ' if name else ''}{text}"


def _print(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> None:
    """The windows of a track, or, where a file has them, a summary."""
    several = len(options.audio) * len(options.prompt) > 1
    head = f"{rows[0]['recording']}  {rows[0]['prompt']}" if several else ""
    if options.csv or options.json:
        found = [row["azimuth"] for row in rows if row["azimuth"] is not None]
        low, high = _bounds(found, around=bool(options.array))
        where = f", {low:.0f} to {high:.0f} degrees" if found else ""
        summary = f"{len(found)} of {len(rows)} windows with a direction{where}"
        print(f"{head}{'  ' if head else ''}{summary}", flush=True)
        return
    if head:
        print(head)
    for row in rows:
        print(line_of(row))


def _bounds(azimuths: Sequence[float], around: bool) -> tuple[float, float]:
    """Least and greatest azimuth; `around` a circle, the ends of the least arc that holds all."""
    ordered = sorted(set(azimuths)) or [0.0]
    if not around:
        return ordered[0], ordered[-1]
    gaps = [(ordered[k] - ordered[k - 1]) % 360 for k in range(len(ordered))]
    widest = gaps.index(max(gaps))
    return ordered[widest], ordered[widest - 1]


def draw_track(track: "Track", title: str, path: PathLike) -> None:
    """Writes the figure of a track."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    from keras_avssan._internal.atomic_files import whole_file
    from keras_avssan.visualization import plot_track

    figure = cast(Figure, plot_track(track, title=title))
    with whole_file(path) as part:
        figure.savefig(part, dpi=150, format=os.path.splitext(path)[1][1:].lower())
