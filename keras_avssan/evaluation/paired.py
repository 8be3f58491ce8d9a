"""Paired differences between two systems on the same scenes."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_avssan.evaluation.evaluation_result import Evaluation
from keras_avssan.evaluation.scoring import score_with_interval

# Settings in which evaluations of the same scenes may differ.
_OWN = ("prompt", "training_overlap", "run")
# Settings that follow from the azimuths, and that earlier versions counted in another way.
_COUNTED = ("rooms",)


def paired_difference(
    first: Evaluation,
    second: Evaluation,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, Any] | None]:
    """Computes the difference of two systems' mean scores, with a paired bootstrap interval.

    Scenes are drawn, each with the scores of both systems, so that scenes which are hard for both
    do not widen the interval.

    Args:
        first: `Evaluation` of one system.
        second: `Evaluation` of another system on the same scenes.
        confidence: Coverage of the interval, between 0 and 1.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        Dict from score, see `SceneScores.per_scene`, to a dict with `mean`, of the first minus the
        second; `interval`, its bounds; and `scenes`, the number of scenes that count: those where
        both have the score, so `selected_mae` compares scenes where both chose the right source.
        `None` if there is no such scene.

    Raises:
        ValueError: If the scenes are not the same ones.

    Example:
        ```python
        difference = paired_difference(ours, theirs)["selection"]
        difference["interval"][0] > 0  # ours selects the right source more often
        ```
    """
    _check_same(first, second)
    one, other = first.scores.per_scene(), second.scores.per_scene()
    differences = {}
    for name, values in one.items():
        apart = values - other[name]
        entry = score_with_interval(apart, confidence, resamples, seed)
        if entry is not None:
            entry["scenes"] = int(np.sum(~np.isnan(apart)))
        differences[name] = entry
    return differences


def _check_same(first: Evaluation, second: Evaluation) -> None:
    facts = [
        {
            "azimuths": evaluation.scores.azimuth,
            "interferers' azimuths": evaluation.scores.interferer_azimuth,
            "classes": np.array([evaluation.target_classes, evaluation.interferer_classes], "U"),
        }
        for evaluation in (first, second)
    ]
    for name, values in facts[0].items():
        exact = values.dtype.kind == "U"
        if not np.array_equal(values, facts[1][name], equal_nan=not exact):
            raise ValueError(
                "`first` and `second` must be evaluations of the same scenes. "
                f"Received: scenes whose {name} differ"
            )
    settings = [_comparable(evaluation.settings) for evaluation in (first, second)]
    for name in sorted(set(settings[0]) | set(settings[1])):
        one, other = (part.get(name) for part in settings)
        if one != other:
            raise ValueError(
                "`first` and `second` must be evaluations of the same scenes. "
                f"Received: settings with {name} {one} and {other}"
            )


def _comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON stores them, without those of a system."""
    stored = json.loads(json.dumps(settings))
    return {name: value for name, value in stored.items() if name not in _OWN + _COUNTED}
