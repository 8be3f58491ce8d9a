"""Outcome of scoring a localiser, with everything that follows from it."""

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_avssan._internal.atomic_files import write_json
from keras_avssan._internal.one_line import count, one_line
from keras_avssan._internal.tables import make_table
from keras_avssan._internal.types import PathLike
from keras_avssan.evaluation.breakdown import breakdowns
from keras_avssan.evaluation.heading import heading
from keras_avssan.evaluation.scoring import SceneScores, nan_mean, score_with_interval

_ROWS = {
    "selection": ("selection", "%"),
    "mae": ("MAE", "°"),
    "acc_5deg": ("ACC@5°", "%"),
    "acc_10deg": ("ACC@10°", "%"),
    "acc_20deg": ("ACC@20°", "%"),
    "selected_mae": ("MAE when selected", "°"),
    "nearest_acc_5deg": ("within 5° of either source", "%"),
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Outcome of `evaluate_localizer` or of `evaluate_segments`.

    Args:
        scores: `SceneScores` of all scenes.
        target_classes: Class of the target of every scene, a tuple.
        interferer_classes: Class of the interferer of every scene, a tuple; of several all,
            joined by `" + "`; `None` where a scene has none.
        settings: What was run: split, number of scenes and of their rooms, SNR, seed, duration,
            prompt. `evaluate` of the command line adds `run`: date (UTC), versions, command line,
            model, data, bank or simulated rooms, and sampling rate in hertz.
        t60: Reverberation time of the room of every scene in seconds, array (scenes,); `None`
            where it is not known.

    Raises:
        ValueError: If there is not one class or reverberation time a scene.

    Example:
        >>> evaluation = evaluate_localizer(model, plan, num_scenes=1000)
        >>> evaluation.save("scores.json")
        >>> print(evaluation.table())
    """

    scores: SceneScores
    target_classes: tuple[str, ...]
    interferer_classes: tuple[str | None, ...]
    settings: dict
    t60: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.scores.azimuth)
        if self.t60 is not None:
            object.__setattr__(self, "t60", np.asarray(self.t60, "float64"))
        for name in ("target_classes", "interferer_classes", "t60"):
            values = getattr(self, name)
            if values is not None and len(values) != count:
                raise ValueError(
                    f"`{name}` must hold one entry for each of the {count} scenes. "
                    f"Received: {len(values)}"
                )

    def __repr__(self) -> str:
        means = self.scores.means()
        return one_line(
            self,
            count(len(self.target_classes), "scene"),
            f"split {self.settings['split']}" if self.settings.get("split") else "",
            *(
                f"{_ROWS[name][0]} {_format(means[name], _ROWS[name][1])}"
                for name in ("selection", "mae", "acc_5deg")
                if not np.isnan(means[name])
            ),
        )

    def summary(self) -> str:
        """All results as a dict that JSON can hold.

        Returns:
            Dict with `settings`; `scores`, the mean and the 95 % bootstrap interval of each, see
            `SceneScores.per_scene`; `blind_choice`; `per_class`; and, each a list of dicts with
            intervals, see `breakdowns`: `by_class_pair`, `by_separation`, `by_t60`.
        """
        per_scene = self.scores.per_scene()
        classes = np.array(self.target_classes)
        return {
            "settings": self.settings,
            "scores": {name: score_with_interval(values) for name, values in per_scene.items()},
            "blind_choice": {
                name: _or_none(value) for name, value in self.scores.blind_choice().items()
            },
            "per_class": {
                name: {
                    "scenes": int(np.sum(classes == name)),
                    "selection": _or_none(nan_mean(per_scene["selection"][classes == name])),
                    "mae": nan_mean(per_scene["mae"][classes == name]),
                }
                for name in sorted(set(self.target_classes))
            },
            **breakdowns(self),
        }

    def table(self, label: str = "model"):
        """The scores with 95 % intervals, beside the blind choice.

        The first line says on which scenes; the next one, where the model was trained, whether
        any of their recordings, pictures and rooms were in its training.

        Args:
            label: Heading of the column of scores.

        Returns:
            Str, aligned for a terminal. A notebook shows it as Markdown where it is the value of
            a cell, and its method `markdown()` gives that.
        """
        per_scene, blind_choice = self.scores.per_scene(), self.scores.blind_choice()
        rows = []
        for name, (title, unit) in _ROWS.items():
            score = score_with_interval(per_scene[name])
            mean = "–" if score is None else _format(score["mean"], unit)
            low_high = (
                "–"
                if score is None
                else " – ".join(_format(bound, unit) for bound in score["interval"])
            )
            blind = _or_none(blind_choice.get(name, float("nan")))
            blind = "–" if blind is None else _format(blind, unit)
            rows.append((title, mean, low_high, blind))
        head = ("score", label, "95 % interval", "blind choice")
        return make_table(head, rows, heading(self.settings))

    def _repr_markdown_(self) -> str:
        return self.table().markdown()

    def to_dict(self) -> dict[str, Any]:
        """`summary()`, and under `per_scene` what was estimated, from which `from_dict` starts.

        Returns:
            Dict that JSON can hold.
        """
        arrays = {
            "azimuth": self.scores.azimuth,
            "interferer_azimuth": self.scores.interferer_azimuth,
            "estimate": self.scores.estimate,
        }
        if self.t60 is not None:
            arrays["t60"] = self.t60
        return {
            **self.summary(),
            "per_scene": {
                **{name: _without_nan(a.tolist()) for name, a in arrays.items()},
                "target_class": list(self.target_classes),
                "interferer_class": list(self.interferer_classes),
            },
        }

    @classmethod
    def from_dict(cls, content: Any):
        """Makes an `Evaluation` of what `to_dict` gave.

        Args:
            content: That dict, or one with its `settings` and `per_scene`.

        Returns:
            An `Evaluation`.

        Raises:
            ValueError: If an entry is missing.
        """
        try:
            scenes = content["per_scene"]
            return cls(
                SceneScores(
                    *(
                        np.array(scenes[name], "float64")
                        for name in ("azimuth", "interferer_azimuth", "estimate")
                    )
                ),
                tuple(scenes["target_class"]),
                tuple(scenes["interferer_class"]),
                content["settings"],
                scenes.get("t60"),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"`content` must be what `Evaluation.to_dict` gave; it lacks {error}."
            ) from error

    def save(self, path: PathLike) -> None:
        """Writes `to_dict()` as JSON; the file appears whole or not at all.

        Args:
            path: Path of the file.
        """
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: PathLike):
        """Reads what `save` wrote.

        Args:
            path: Path of the file.

        Returns:
            An `Evaluation`.

        Raises:
            ValueError: If the file holds something else.
            OSError: If it cannot be read.

        Example:
            ```python
            evaluation.save("scores.json")
            paired_difference(Evaluation.load("scores.json"), other)["selection"]["interval"]
            ```
        """
        with open(path, encoding="utf-8") as file:
            try:
                return cls.from_dict(json.load(file))
            except ValueError as error:
                raise ValueError(
                    f"file '{os.fspath(path)}' is not a whole one of `Evaluation.save`: {error}"
                ) from error


def _without_nan(values: Any):
    """Nested lists of numbers as JSON has them."""
    if isinstance(values, list):
        return [_without_nan(value) for value in values]
    return _or_none(values)


def _or_none(value: Any):
    """A number as JSON has it, which knows no NaN."""
    return None if np.isnan(value) else value


def _format(value: Any, unit: str):
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.1f}°"
