"""Scores by class pair, by angle between the sources, by reverberation time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_avssan.evaluation.scoring import score_with_interval

if TYPE_CHECKING:
    from keras_avssan.evaluation.evaluation_result import Evaluation

SEPARATION_BINS = (0.0, 15.0, 30.0, 60.0, 180.0)  # degrees between the sources
T60_BINS = (0.0, 0.35, 0.5, 0.65, float("inf"))  # seconds
_SCORES = ("selection", "mae", "acc_5deg")


def breakdowns(evaluation: Evaluation) -> dict[str, list[dict[str, Any]]]:
    """Scores of groups of scenes, with 95 % bootstrap intervals.

    Args:
        evaluation: An `Evaluation`.

    Returns:
        Dict of lists of dicts, each with `scenes`, their number, and for `selection`, `mae` in
        degrees and `acc_5deg` a dict of `mean` and `interval`, or `None` where no scene has one:
        `by_class_pair`, with `target` and `interferer`; `by_separation`, with the bounds `from`
        and `to` of the angle between the sources in degrees; `by_t60`, with the bounds of the
        reverberation time in seconds, `to` being `None` where there is no upper bound. A group
        holds its lower bound and not its upper one, except for 180°. Groups without scenes are left
        out, and what is not known makes no group.

    Example:
        ```python
        for group in breakdowns(evaluation)["by_separation"]:
            print(group["from"], group["to"], group["selection"]["mean"])
        ```
    """
    per_scene = evaluation.scores.per_scene()
    pairs = list(zip(evaluation.target_classes, evaluation.interferer_classes, strict=True))
    members: dict[tuple[str, str | None], list[int]] = {}
    for scene, pair in enumerate(pairs):
        members.setdefault(pair, []).append(scene)
    return {
        "by_class_pair": [
            {"target": target, "interferer": other, **_group(per_scene, members[target, other])}
            for target, other in sorted(members, key=lambda pair: (pair[0], pair[1] or ""))
        ],
        "by_separation": binned(per_scene, evaluation.scores.separation, SEPARATION_BINS),
        "by_t60": [] if evaluation.t60 is None else binned(per_scene, evaluation.t60, T60_BINS),
    }


def binned(
    per_scene: dict[str, np.ndarray],
    values: np.ndarray,
    bins: tuple[float, ...],
    scores: tuple[str, ...] = _SCORES,
) -> list[dict[str, Any]]:
    """Groups of the scenes whose values lie in the same bin."""
    groups = []
    for low, high in zip(bins, bins[1:], strict=False):
        last = high == bins[-1]
        inside = (values >= low) & ((values <= high) if last else (values < high))
        if inside.any():
            bounds = [bound if np.isfinite(bound) else None for bound in (low, high)]
            group = _group(per_scene, inside, scores)
            groups.append({"from": bounds[0], "to": bounds[1], **group})
    return groups


def _group(
    per_scene: dict[str, np.ndarray],
    scenes: np.ndarray | list[int],
    scores: tuple[str, ...] = _SCORES,
) -> dict[str, Any]:
    chosen = {name: per_scene[name][scenes] for name in scores}
    return {
        "scenes": len(chosen[scores[0]]),
        **{name: score_with_interval(values) for name, values in chosen.items()},
    }
