"""Outputs of a network of two microphones for the pairs of an array."""

from typing import Any

import numpy as np

from keras_avssan.models.localization.several_prompts import (
    Arrays,
    answer_each,
    read_each,
    shares_recordings,
)
from keras_avssan.models.localizer_preprocessor import count_scenes
from keras_avssan.models.prompting import embedded_once

# Outputs of every pair that are used.
_KEPT = ("doa", "presence")


def answer_pairs(
    model: Any,
    recordings: np.ndarray,
    pairs: np.ndarray,
    spacings: np.ndarray | None,
    prompt: Any,
    sampling_rate: int | None,
) -> Arrays:
    """Outputs (scenes, P, …) for recordings (batch, samples, M) and P pairs of their channels.

    `spacings` (P,) are in metres; `None` for a network that takes none. All pairs of one recording
    are one batch; of several prompts for one recording, all prompts of one pair.
    """
    of_pairs = np.moveaxis(recordings[:, :, pairs], 1, 2)  # (batch, P, samples, 2)
    prompts: list[Arrays] = [{}]
    if model.backbone.visual_prompt:
        prompts = read_each(model, len(recordings), prompt, sampling_rate)
        prompts = [embedded_once(model.backbone, one) for one in prompts]
        for one in prompts:
            one.pop("microphone_spacing", None)  # that of the array counts
    if len(prompts) > 1 and shares_recordings(model):
        outputs = [
            answer_each(model, audio[None], prompts, _repeated(spacings, pair, len(prompts)))
            for pair, audio in enumerate(of_pairs[0])
        ]
        return {
            name: np.stack([one[name] for one in outputs], axis=1)
            for name in _KEPT
            if name in outputs[0]
        }
    parts = [_answer(model, of_pairs, one, spacings) for one in prompts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _repeated(spacings: np.ndarray | None, pair: int, count: int) -> np.ndarray | None:
    return None if spacings is None else np.full(count, spacings[pair], "float32")


def _answer(
    model: Any, of_pairs: np.ndarray, prompts: Arrays, spacings: np.ndarray | None
) -> Arrays:
    """Outputs of scenes, a prompt each or one for all; the pairs of a scene are one batch."""
    count, pairs = of_pairs.shape[:2]
    scenes = count_scenes(count, len(next(iter(prompts.values()))) if prompts else 1)
    parts = []
    for scene in range(scenes):
        # A row each of several, or the one that serves all.
        inputs = {"audio": of_pairs[scene % count]}
        for name, value in prompts.items():
            inputs[name] = np.repeat(value[[scene % len(value)]], pairs, axis=0)
        if spacings is not None:
            inputs["microphone_spacing"] = spacings.astype("float32")
        parts.append(model._predict(inputs))
    return {name: np.stack([part[name] for part in parts]) for name in _KEPT if name in parts[0]}
