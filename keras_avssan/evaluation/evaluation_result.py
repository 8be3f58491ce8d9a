"""The result of an evaluation: summary, table and file."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from keras_avssan._internal.atomic_files import write_json
from keras_avssan._internal.one_line import count, one_line
from keras_avssan._internal.tables.text_tables import Table, make_table
from keras_avssan._internal.types import PathLike
from keras_avssan.evaluation.breakdown import breakdowns
from keras_avssan.evaluation.former_keys import with_current_keys
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
    """The result of `evaluate_localizer` or of `evaluate_segments`.

    Args:
        scores: `SceneScores` of all scenes.
        target_classes: Class of the target of every scene, a tuple.
        interferer_classes: Class of the interferer of every scene, a tuple; of several all,
            joined by `" + "`; `None` where a scene has none.
        settings: Settings of the evaluation: split, number of scenes and of their rooms, SNR,
            seed, duration, prompt. `evaluate` of the command line adds `run`: date (UTC), versions,
            command line, model, data, bank or simulated rooms, and sampling rate in hertz.
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
    settings: dict[str, Any]
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
                    f"Received: len({name})={len(values)}"
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

    def summary(self) -> dict[str, Any]:
        """Collects all results in a dict that JSON can hold.

        Returns:
            Dict with `settings`; `scores`, the mean and the 95 % bootstrap interval of each, see
            `SceneScores.per_scene`; `random_source_baseline`, the scores of
            `SceneScores.random_source_baseline`; and `per_class`. Three lists of dicts hold groups
            of scenes, with their number `scenes` and for `selection`, `mae` in degrees and
            `acc_5deg` a dict of `mean` and `interval`, or `None` if no scene has the score:
            `by_class_pair`, with `target` and `interferer`; `by_separation`, with the bounds `from`
            and `to` of the angle between the sources in degrees; `by_t60`, with the bounds of the
            reverberation time in seconds, `to` being `None` without an upper bound.
        """
        per_scene = self.scores.per_scene()
        classes = np.array(self.target_classes)
        return {
            "settings": self.settings,
            "scores": {name: score_with_interval(values) for name, values in per_scene.items()},
            "random_source_baseline": {
                name: _or_none(value)
                for name, value in self.scores.random_source_baseline().items()
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

    def table(self, label: str = "model") -> Table:
        """Formats the scores with 95 % intervals, beside the random-source baseline.

        The first line describes the scenes; for a trained model the next one states whether any
        of their recordings, pictures and rooms were in its training.

        Args:
            label: Heading of the column of scores.

        Returns:
            A string, aligned for a terminal. Notebooks show it as Markdown, which its method
            `markdown()` returns.
        """
        per_scene, baseline = self.scores.per_scene(), self.scores.random_source_baseline()
        rows = []
        for name, (title, unit) in _ROWS.items():
            score = score_with_interval(per_scene[name])
            mean = "–" if score is None else _format(score["mean"], unit)
            low_high = (
                "–"
                if score is None
                else " – ".join(_format(bound, unit) for bound in score["interval"])
            )
            expected = _or_none(baseline.get(name, float("nan")))
            chance = "–" if expected is None else _format(expected, unit)
            rows.append((title, mean, low_high, chance))
        head = ("score", label, "95 % interval", "random source")
        return make_table(head, rows, heading(self.settings))

    def _repr_markdown_(self) -> str:
        return self.table().markdown()

    def to_dict(self) -> dict[str, Any]:
        """Returns `summary()` with truth and estimates under `per_scene`, which `from_dict` reads.

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
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Makes an `Evaluation` from the result of `to_dict`.

        Args:
            content: That dict, or one with at least its `settings` and `per_scene`; also with the
                keys of earlier versions.

        Returns:
            An `Evaluation`.

        Raises:
            ValueError: If an entry is missing or of another type; the message names it.
        """
        try:
            content = with_current_keys(content)
            scenes = content["per_scene"]
            names = ("azimuth", "interferer_azimuth", "estimate")
            t60 = scenes.get("t60")
            return cls(
                SceneScores(*(_numbers(name, scenes[name]) for name in names)),
                tuple(scenes["target_class"]),
                tuple(scenes["interferer_class"]),
                dict(content["settings"]),
                None if t60 is None else _numbers("t60", t60),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                "`content` must be the result of `Evaluation.to_dict`, with `settings` and "
                f"`per_scene`; an entry is missing or of another type ({error}). "
                f"Received: content={type(content).__name__}"
            ) from error

    def save(self, path: PathLike) -> None:
        """Writes `to_dict()` as JSON, atomically.

        Args:
            path: Path of the file.
        """
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Reads a file of `save`.

        Args:
            path: Path of the file.

        Returns:
            An `Evaluation`.

        Raises:
            ValueError: If the file is not one of `save`.
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
                    f"`path` must be a complete file of `Evaluation.save` ({error}). "
                    f"Received: path='{os.fspath(path)}'"
                ) from error


def _numbers(name: str, values: Any, place: str = "") -> np.ndarray:
    """An array of the nested lists that `_without_nan` made; names the scene of a wrong value."""
    if isinstance(values, list):
        parts = [_numbers(name, part, f"{place}[{k}]") for k, part in enumerate(values)]
        if len({part.shape for part in parts}) > 1:
            raise ValueError(
                f"`per_scene.{name}{place}` must hold lists of equal length. "
                f"Received: lengths {sorted({part.size for part in parts})}"
            )
        return np.array(parts, "float64")
    if values is not None and (isinstance(values, bool) or not isinstance(values, (int, float))):
        raise ValueError(
            f"`per_scene.{name}{place}` must be a number or null. "
            f"Received: per_scene.{name}{place}={values!r}"
        )
    return np.array(np.nan if values is None else values, "float64")


def _without_nan(values: Any) -> Any:
    """Nested lists of numbers with `None` for NaN, which JSON lacks."""
    if isinstance(values, list):
        return [_without_nan(value) for value in values]
    return _or_none(values)


def _or_none(value: float) -> float | None:
    """A number, or `None` for NaN, which JSON lacks."""
    return None if np.isnan(value) else value


def _format(value: float, unit: str) -> str:
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.1f}°"
