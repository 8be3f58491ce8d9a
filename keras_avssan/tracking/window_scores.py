"""What a network says of windows, one after another, for one or several prompts."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_avssan.doa.grid import NUM_DIRECTIONS, check_finite
from keras_avssan.tracking.array_pairs import ArrayPairs
from keras_avssan.tracking.azimuth_axis import FULL_CIRCLE, HALF_CIRCLE
from keras_avssan.tracking.windows import WindowGrid, prepare

# A prompt's projection, beside the inputs that it was made of: see `share_windows`.
_PROJECTION = "projection"


@dataclasses.dataclass(frozen=True, eq=False)
class WindowScores:
    """Posteriors (W, K) of windows, presences (W,) or `None`, and why they have no direction.

    K is 180 for two microphones, and 360 for an array. A gap is "" for a usable window; the others
    have a uniform posterior, and NaN for a presence.
    """

    posteriors: np.ndarray
    presence: np.ndarray | None
    gaps: tuple[str, ...]


def score_windows(
    model: Any,
    stretches: Sequence[np.ndarray],
    grid: WindowGrid,
    prompts: Sequence[Mapping[str, np.ndarray]],
    with_presence: bool,
    batch_size: int,
    pairs: ArrayPairs | None = None,
) -> list[WindowScores]:
    """Runs a network on windows (samples, M) at the source's rate; one result a prompt.

    A prompt is a dict of the network's other inputs, of one row, as `share_windows` returns it.
    M is 2, or the number of microphones of the array whose `pairs` are given.
    """
    prepared = [prepare(stretch, grid) for stretch in stretches]
    gaps = tuple(gap for _, gap in prepared)
    usable = np.flatnonzero([not gap for gap in gaps])
    windows = [window for window, _ in prepared if window is not None]
    shape = (len(prompts), len(gaps))
    directions = len(HALF_CIRCLE if pairs is None else FULL_CIRCLE)
    posteriors = np.full((*shape, directions), 1.0 / directions, "float32")
    presence = np.full(shape, np.nan, "float32")
    if len(usable):
        audio, spacings = np.stack(windows), None
        if pairs is not None:
            audio, spacings = pairs.split(audio), pairs.row_spacings(len(audio))
        outputs = _run_all(model, audio, spacings, prompts, with_presence, batch_size)
        posteriors[:, usable], presence[:, usable] = (
            outputs if pairs is None else pairs.fuse(*outputs)
        )
    return [
        WindowScores(posteriors[row], presence[row] if with_presence else None, gaps)
        for row in range(len(prompts))
    ]


def share_windows(
    model: Any, prompts: Sequence[Mapping[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    """The prompts with projections, where a run of the network for each window serves all of them.

    That pays off for several prompts, and for recordings, which would be encoded for each window.
    """
    bare = [{key: prompt[key] for key in prompt if key != _PROJECTION} for prompt in prompts]
    project = getattr(model, "_project_prompt", None)
    costly = len(prompts) > 1 or "prompt_audio" in prompts[0]
    spacings = {tuple(prompt.get("microphone_spacing", ())) for prompt in prompts}
    if project is None or not costly or len(spacings) > 1:
        return bare
    shared = []
    for prompt, inputs in zip(prompts, bare, strict=True):
        projection = prompt.get(_PROJECTION)
        projection = project(inputs) if projection is None else projection
        if projection is None:
            return bare
        shared.append({**inputs, _PROJECTION: projection})
    return shared


def join_scores(parts: Sequence[WindowScores]) -> WindowScores:
    """The scores of consecutive windows as one."""
    presence = None
    if parts[0].presence is not None:
        presence = np.concatenate([part.presence for part in parts if part.presence is not None])
    return WindowScores(
        np.concatenate([part.posteriors for part in parts]),
        presence,
        tuple(gap for part in parts for gap in part.gaps),
    )


def _run_all(
    model: Any,
    audio: np.ndarray,
    spacings: np.ndarray | None,
    prompts: Sequence[Mapping[str, np.ndarray]],
    with_presence: bool,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors (prompts, rows, 180) and presences (prompts, rows) of audio (rows, samples, 2).

    `spacings` (rows,) in metres count in place of those of the prompts.
    """
    if all(_PROJECTION in prompt for prompt in prompts):
        return _run_shared(model, audio, spacings, prompts, with_presence)
    posteriors = np.empty((len(prompts), len(audio), NUM_DIRECTIONS), "float32")
    presence = np.empty((len(prompts), len(audio)), "float32")
    for rows in _alike(prompts):
        group = [prompts[row] for row in rows]
        outputs = _run(model, audio, spacings, group, with_presence, batch_size)
        posteriors[rows], presence[rows] = outputs
    return posteriors, presence


def _alike(prompts: Sequence[Mapping[str, np.ndarray]]) -> list[list[int]]:
    """Numbers of the prompts, by what fits into one batch: the same inputs of the same shapes."""
    groups: dict[Any, list[int]] = {}
    for row, prompt in enumerate(prompts):
        kind = tuple(sorted((name, value.shape) for name, value in prompt.items()))
        groups.setdefault(kind, []).append(row)
    return list(groups.values())


def _run_shared(
    model: Any,
    audio: np.ndarray,
    spacings: np.ndarray | None,
    prompts: Sequence[Mapping[str, np.ndarray]],
    with_presence: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The same as `_run`, row by row, which runs through the network once for all prompts."""
    projections = np.concatenate([prompt[_PROJECTION] for prompt in prompts])
    of_prompts = [
        prompt["microphone_spacing"] for prompt in prompts if "microphone_spacing" in prompt
    ]
    shared = np.concatenate(of_prompts) if of_prompts else None
    outputs = []
    for row, one in enumerate(audio):
        spacing = shared if spacings is None else np.repeat(spacings[[row]], len(prompts))
        outputs.append(model._answer_projected(one[None], projections, spacing))
    posterior = check_finite(np.concatenate([np.asarray(one["doa"], "float32") for one in outputs]))
    shape = (len(audio), len(prompts))
    presence = np.zeros(shape, "float32")
    if with_presence:
        presence = np.reshape([np.asarray(one["presence"], "float32") for one in outputs], shape)
    return posterior.reshape(*shape, NUM_DIRECTIONS).swapaxes(0, 1), presence.T


def _run(
    model: Any,
    audio: np.ndarray,
    spacings: np.ndarray | None,
    prompts: Sequence[Mapping[str, np.ndarray]],
    with_presence: bool,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs as those of `_run_all`, for prompts of one kind; zero for presences of none."""
    stacked = {name: np.concatenate([prompt[name] for prompt in prompts]) for name in prompts[0]}
    count = len(prompts) * len(audio)
    posteriors, presences = [], []
    for rows in _batches(count, batch_size):
        inputs = {name: value[rows % len(prompts)] for name, value in stacked.items()}
        if spacings is not None:
            inputs["microphone_spacing"] = spacings[rows // len(prompts)]
        outputs = model.predict_on_batch({"audio": audio[rows // len(prompts)], **inputs})
        posteriors.append(np.asarray(outputs["doa"], "float32"))
        if with_presence:
            presences.append(np.asarray(outputs["presence"], "float32").reshape(-1))
    posterior = check_finite(np.concatenate(posteriors)[:count])
    presence = np.concatenate(presences)[:count] if with_presence else np.zeros(count, "float32")
    posterior = posterior.reshape(len(audio), len(prompts), NUM_DIRECTIONS)
    return posterior.swapaxes(0, 1), presence.reshape(len(audio), len(prompts)).T


def _batches(count: int, batch_size: int) -> Iterator[np.ndarray]:
    """Numbers of rows, batch by batch; the last one is repeated to the next power of two.

    Backends that compile a network compile it for each batch size.
    """
    for start in range(0, count, batch_size):
        size = min(batch_size, count - start)
        rows = min(batch_size, 1 << (size - 1).bit_length())
        yield np.minimum(np.arange(start, start + rows), count - 1)
