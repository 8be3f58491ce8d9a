"""`Track`, the direction of a prompted sound over time."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_avssan._internal.checks import check_number, gives_presence
from keras_avssan._internal.one_line import count, one_line, span
from keras_avssan.data.media.sound_blocks import open_blocks
from keras_avssan.tracking.array_pairs import ArrayPairs, count_channels
from keras_avssan.tracking.azimuth_axis import axis_of
from keras_avssan.tracking.motion_model import MotionModel
from keras_avssan.tracking.smoothing import check_smoothing, find_directions, smooth_scores
from keras_avssan.tracking.window_scores import (
    WindowScores,
    join_scores,
    score_windows,
    share_windows,
)
from keras_avssan.tracking.windows import WindowBuffer, WindowGrid


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
    """Directions of a prompted sound in windows that follow one another.

    `Localizer.track` returns it. W is the number of windows, and K the number of directions: 180,
    from 1° to 180°, or 360, from 0° to 359°, of an array of microphones. A window without a
    direction is a gap; its azimuth and spread are NaN, and its posterior is what the other windows
    say, or uniform without smoothing.

    Args:
        times: Centres of the windows in seconds, float64 (W,).
        azimuth: Azimuths in degrees, float32 (W,); NaN in gaps.
        spread: Standard deviation in degrees of the posterior around the azimuth, float32 (W,):
            the root of the mean squared difference, on a circle for arrays. NaN in gaps.
        presence: Probability that the prompted sound is in the window, float32 (W,), or `None` for
            networks that do not estimate it.
        posteriors: Posteriors over the directions after smoothing, float32 (W, K).
        raw_posteriors: Those of the network for each window alone, float32 (W, K).
        raw_presence: The presence for each window alone, float32 (W,), or `None`.
        gaps: Why a window has no direction, strings (W,): `"silent"` (all channels are constant),
            `"dead channel"` (one is, or is 40 dB below the loudest), `"copied channel"` (two have
            the same signal), `"not finite"` (NaN or infinite samples), `"absent"` (the presence is
            below the threshold); `""` where it has one.
        window: Duration of a window in seconds.
        hop: Time from one window to the next in seconds.
        smoothing: `None`, `"online"` or `"offline"`.

    Example:
        >>> track = model.track("mix.wav", "dog.jpg", window=0.5, min_presence=None)
        >>> track.azimuth[track.valid].shape == track.times[track.valid].shape
        True
    """

    times: np.ndarray
    azimuth: np.ndarray
    spread: np.ndarray
    presence: np.ndarray | None
    posteriors: np.ndarray
    raw_posteriors: np.ndarray
    raw_presence: np.ndarray | None
    gaps: np.ndarray
    window: float
    hop: float
    smoothing: str | None = None

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.times)

    @property
    def degrees(self) -> np.ndarray:
        """Directions of the posteriors in degrees, float32 (K,)."""
        return axis_of(self.posteriors).degrees.copy()

    @property
    def valid(self) -> np.ndarray:
        """Whether a window has a direction, bool (W,)."""
        return self.gaps == ""

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{count(len(self), 'window')} of {self.window:g} s",
            f"{span(self.times)} s" if len(self) else "",
            f"{self.valid.sum()} with a direction",
            span(self.azimuth, "°"),
            f"smoothing {self.smoothing}" if self.smoothing else "",
        )


def make_tracks(
    model: Any,
    recording: Any,
    prompts: Sequence[dict[str, np.ndarray]],
    *,
    window: float,
    hop: float,
    smoothing: str | None,
    motion: MotionModel | None,
    min_presence: float | None,
    sampling_rate: int | None,
    channels: tuple[int, ...] | None,
    batch_size: int,
    progress: bool,
    pairs: ArrayPairs | None = None,
) -> list[Track]:
    """A track for each prompt, given as the network's other inputs of one row; see `track`.

    They share one pass over the recording, which is that of an array where `pairs` are given.
    """
    check_smoothing(smoothing)
    motion = check_motion(motion)
    check_min_presence(min_presence)
    rate = model.preprocessor.sampling_rate
    given = rate if sampling_rate is None else sampling_rate
    with open_blocks(recording, given, channels, count_channels(pairs)) as blocks:
        grid = make_grid(model, window, hop, blocks.sampling_rate)
        scores = _score_blocks(model, blocks, grid, prompts, batch_size, progress, pairs)
    return [_smoothed(one, grid, motion, smoothing, min_presence) for one in scores]


def _smoothed(
    scores: WindowScores,
    grid: WindowGrid,
    motion: MotionModel,
    smoothing: str | None,
    min_presence: float | None,
) -> Track:
    """The track of one prompt."""
    posteriors, presence, azimuth = smooth_scores(scores, grid, motion, smoothing)
    azimuth, spread, gaps = find_directions(
        posteriors, presence, azimuth, scores.gaps, min_presence
    )
    times = np.array([grid.centre(index) for index in range(len(gaps))])
    return Track(
        times,
        azimuth,
        spread,
        presence,
        posteriors,
        scores.posteriors,
        scores.presence,
        gaps,
        float(grid.window),
        float(grid.hop),
        smoothing,
    )


def _score_blocks(
    model: Any,
    blocks: Any,
    grid: WindowGrid,
    prompts: Sequence[dict[str, np.ndarray]],
    batch_size: int,
    progress: bool,
    pairs: ArrayPairs | None,
) -> list[WindowScores]:
    """Scores of all windows, one a prompt; a few seconds of the recording are in memory at once."""
    buffer, with_presence = WindowBuffer(grid), gives_presence(model)
    parts: list[list[WindowScores]] = []
    # Whole batches, so that few rows are computed twice.
    step = max(1, round(batch_size * grid.hop * grid.source_rate))
    prompts = share_windows(model, prompts)
    total = None if blocks.num_samples is None else grid.count(blocks.num_samples)
    received = 0
    with tqdm(total=total, desc="windows", unit="window", disable=not progress) as bar:
        for block in blocks:
            received += len(block)
            for start in range(0, len(block), step):
                _, stretches = buffer.push(block[start : start + step])
                if stretches:
                    parts.append(
                        score_windows(
                            model, stretches, grid, prompts, with_presence, batch_size, pairs
                        )
                    )
                    bar.update(len(stretches))
    if not parts:
        raise ValueError(
            f"`recording` must last for one window of {grid.window:g} s or more. "
            f"Received: {received / grid.source_rate:.3f} s"
        )
    return [join_scores(of_prompt) for of_prompt in zip(*parts, strict=True)]


def make_grid(model: Any, window: float, hop: float, source_rate: int) -> WindowGrid:
    """The windows for a model; refuses durations and rates that it cannot take."""
    preprocessor = model.preprocessor
    grid = WindowGrid(window, hop, source_rate, preprocessor.sampling_rate)
    if not preprocessor.min_duration <= window <= preprocessor.max_duration:
        raise ValueError(
            f"`window` must be from {preprocessor.min_duration:g} to "
            f"{preprocessor.max_duration:g} seconds. Received: window={window!r}"
        )
    if source_rate != preprocessor.sampling_rate and not preprocessor.resample:
        raise ValueError(
            f"`recording` must be sampled at {preprocessor.sampling_rate} Hz with "
            f"`resample=False`. Received: {source_rate} Hz"
        )
    return grid


def check_motion(motion: MotionModel | None) -> MotionModel:
    """The motion model, the default one for `None`."""
    if motion is None:
        return MotionModel()
    if not isinstance(motion, MotionModel):
        raise TypeError(f"`motion` must be a `MotionModel`. Received: motion={motion!r}")
    return motion


def check_min_presence(min_presence: float | None) -> None:
    """Refuses a threshold that is not a probability; `None` passes."""
    if min_presence is not None:
        check_number("min_presence", min_presence, 0.0, 1.0)


def one_prompt(
    model: Any, prompt: Any, sampling_rate: int | None, microphone_spacing: float | None
) -> dict[str, np.ndarray]:
    """The inputs of a network for one prompt, of one row; refuses several prompts."""
    inputs: dict[str, np.ndarray] = model.prompt_inputs(prompt, sampling_rate, microphone_spacing)
    for value in inputs.values():
        if len(value) != 1:
            raise ValueError(
                "`prompt` must be one prompt, or a list of single ones; a `Prompt` averages "
                f"several. Received: {len(value)} prompts in one"
            )
    return inputs
