"""Rows of a benchmark: choice of the learning rate, training, scores, and their files."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_avssan._internal.atomic_files import read_json, write_json
from keras_avssan._internal.resumable_folder import ResumableFolder
from keras_avssan._internal.start_up.keras_tensorflow import set_random_seed
from keras_avssan._internal.types import PathLike
from keras_avssan.benchmark.scenes import BenchmarkScenes
from keras_avssan.benchmark.segment_training import SegmentTraining
from keras_avssan.benchmark.settings import TRIAL_FACTORS, BenchmarkSettings
from keras_avssan.benchmark.system import Setup, System
from keras_avssan.data import ScenePlan, SegmentPrompts
from keras_avssan.data.scenes.scene_files import SceneStore
from keras_avssan.evaluation.evaluate_localizer import evaluate_localizer
from keras_avssan.evaluation.evaluate_segments import evaluate_segments
from keras_avssan.evaluation.evaluation_result import Evaluation
from keras_avssan.models import Localizer
from keras_avssan.training import NonFiniteLoss, fit_scenes, fit_segments, save_atomically
from keras_avssan.training.fit_scenes import scene_dataset

# Levels of Table 3: after training on scenes alone, and after that on segments too.
SEGMENTS, TRAINED_ON_SEGMENTS = "STARSS23", "STARSS23, trained on it"

_FOLDERS = ("rows", "trials", "models")

# Worst possible scores, of a trial whose loss became NaN or infinite.
_DIVERGED: dict[str, float | None] = {"loss": None, "mae": 180.0, "selection": 0.0}


def _read(path: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """A JSON file of a dict with entries of some kinds; a ValueError names a wrong one."""
    content = read_json(path)
    for key, kind in kinds.items():
        value = content.get(key) if isinstance(content, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(
                f"'{path}' is damaged: `{key}` must be of type {kind.__name__}, and is {value!r}."
            )
    return content


class ResultsFolder:
    """Reads and writes the folder of a benchmark: its configuration and all finished rows.

    Several processes may work in one folder, because every file is written atomically.

    Args:
        path: Path of the folder: new, empty, or in progress with the same configuration.
        config: Dict that JSON can hold: everything that decides the results.

    Raises:
        ValueError: If the folder holds results of another configuration, or other files.
    """

    def __init__(self, path: PathLike, config: dict[str, Any]) -> None:
        self.path = Path(path)
        self._folder(path).start(config)
        for name in _FOLDERS:
            (self.path / name).mkdir(exist_ok=True)

    @classmethod
    def check(cls, path: PathLike, config: dict[str, Any]) -> None:
        """Raises the errors of the constructor, without writing anything."""
        cls._folder(path).check(config)

    @staticmethod
    def _folder(path: PathLike, name: str = "config.json") -> ResumableFolder:
        return ResumableFolder(Path(path), name, "results", "out", frozenset({"rooms", *_FOLDERS}))

    def claim(self, name: str, config: dict[str, Any]) -> None:
        """Writes a further configuration to a file, or compares it with the one that is there.

        Raises a `ValueError` if the file holds another configuration.
        """
        self._folder(self.path, name).claim(config)

    def row_path(self, name: str, table: int) -> Path:
        """Returns the path of the row of a system; Table 3 has rows of its own."""
        return self.path / "rows" / f"{name}{'.starss23' if table == 3 else ''}.json"

    def model_path(self, name: str) -> Path:
        """Returns the path of the preset of a trained system."""
        return self.path / "models" / name

    def training_path(self, name: str) -> Path:
        """Returns the path of the training record of a system, written after its preset."""
        return self.path / "models" / f"{name}.json"

    def trials_path(self, name: str) -> Path:
        """Returns the path of the trials of a system."""
        return self.path / "trials" / f"{name}.json"

    def rows(self, table: int) -> list[dict[str, Any]]:
        """Reads the finished rows of a table."""
        names = sorted(path.name for path in (self.path / "rows").glob("*.json"))
        ours = [name for name in names if name.endswith(".starss23.json") == (table == 3)]
        rows = [self._row(self.path / "rows" / name) for name in ours]
        return [row for row in rows if table in row["tables"]]

    @staticmethod
    def _row(path: Path) -> dict[str, Any]:
        row = _read(path, {"name": str, "title": str, "tables": list, "paper": list})
        if row.get("left_out", "") == "":
            raise ValueError(f"'{path}' is damaged: it has no `left_out`.")
        if row["left_out"] is None:
            row = _read(path, {"evaluations": dict, "seconds": dict, "steps": int})
            for level, content in row["evaluations"].items():
                try:
                    Evaluation.from_dict(content)
                except ValueError as error:
                    raise ValueError(
                        f"'{path}' is damaged: `evaluations` of {level}: {error}"
                    ) from error
        return row

    def training(self, name: str) -> dict[str, Any] | None:
        """Reads the training record of a system; `None` if it is not trained yet."""
        path = self.training_path(name)
        kinds = {"trials": list, "steps": int, "trainable_parameters": int, "seconds": dict}
        return _read(path, kinds) if path.exists() else None

    def trials(self, name: str) -> list[dict[str, Any]]:
        """Reads the finished trials of a system."""
        path = self.trials_path(name)
        trials = read_json(path)
        if not isinstance(trials, list | None):
            raise ValueError(f"'{path}' is damaged: it must hold a list of trials.")
        for number, trial in enumerate(trials or []):
            for key in ("learning_rate", "mae", "seconds"):
                value = trial.get(key) if isinstance(trial, dict) else None
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise ValueError(
                        f"'{path}' is damaged: `{key}` of trial {number} must be a number, and is "
                        f"{value!r}."
                    )
        return trials or []


@dataclass
class Benchmark:
    """Trains and scores systems, and writes their rows.

    Args:
        settings: Settings that are the same for every system.
        scenes: Plans of the scenes.
        folder: Folder of the results.
        setup: Data that networks have to fit.
        pictures: Dict from picture id to embedding.
        names: Dict from class to embedding of its name; empty if the encoder reads no words.
        stores: Dict from `"train"` and `"trial"` to the `SceneStore` of that plan.
        segments: Segments of Table 3 with their prompts, or `None`.
        further: Training on segments that follows that on scenes, or `None`.
        progress: Whether progress bars are shown.
    """

    settings: BenchmarkSettings
    scenes: BenchmarkScenes
    folder: ResultsFolder
    setup: Setup
    pictures: dict[str, np.ndarray]
    names: dict[str, np.ndarray]
    stores: dict[str, SceneStore]
    segments: SegmentPrompts | None = None
    further: SegmentTraining | None = None
    progress: bool = True

    def fill(self, system: System, table: int) -> None:
        """Trains a system unless it is trained already, scores it, and writes its row."""
        row: dict[str, Any] = {
            "name": system.name,
            "title": system.title,
            "kind": system.kind,
            "tables": list(system.tables),
            "prompt": system.prompt,
            "paper": [[*key, *pair] for key, pair in system.paper.items()],
        }
        reason = self._left_out(system)
        if reason is None:
            try:
                row |= self._scored(system, table)
            except NonFiniteLoss as error:
                reason = str(error)
        if reason:
            print(f"{system.name} is left out: {reason}", flush=True)
        path = self.folder.row_path(system.name, table)
        write_json(path, {**row, "left_out": reason}, indent=None)

    def _scored(self, system: System, table: int) -> dict[str, Any]:
        """Training record and scores of a system."""
        model, training = self._trained(system) if system.trained else self._untrained(system)
        started = time.perf_counter()
        evaluations = self._evaluate(system, model, table)
        training["seconds"]["tests"] = time.perf_counter() - started
        return {**training, "evaluations": evaluations}

    def _left_out(self, system: System) -> str | None:
        """Why a system cannot be run on these data, or `None`."""
        if system.prompt == "text" and not self.setup.reads_words:
            return "the image encoder reads no words"
        try:
            self.scenes.with_prompts(system.train_prompts)
        except ValueError as error:
            return str(error)
        return None

    def _untrained(self, system: System) -> tuple[Any, dict[str, Any]]:
        return system.make(self.setup), {"steps": 0, "trainable_parameters": 0, "seconds": {}}

    def _make(self, system: System) -> Localizer:
        """A new network, whose weights depend only on the seed."""
        keras.utils.clear_session()
        set_random_seed(self.settings.seed)
        return system.make(self.setup)

    def _trained(self, system: System) -> tuple[Localizer, dict[str, Any]]:
        """A trained network and its training record; read if both are in the folder."""
        path = self.folder.model_path(system.name)
        training = self.folder.training(system.name)
        model = self._make(system)
        if training is not None and path.is_dir():
            return type(model).from_preset(str(path)), training
        trials = self._trials(system)
        rate = best_rate(trials) if trials else default_rate(model)
        model = self._make(system)
        started = time.perf_counter()
        print(f"{system.name}: training with learning rate {rate:.2g}", flush=True)
        self._fit(system, model, "train", self.settings.budget, rate)
        training = {
            "learning_rate": rate,
            "trials": trials,
            "steps": self.settings.budget,
            "trainable_parameters": num_trainable(model),
            "seconds": {
                "trials": sum(trial["seconds"] for trial in trials),
                "training": time.perf_counter() - started,
            },
        }
        save_atomically(model, str(path))
        write_json(self.folder.training_path(system.name), training, indent=None)
        return model, training

    def _trials(self, system: System) -> list[dict[str, Any]]:
        """Scores of short trainings with several learning rates, including finished ones."""
        if self.settings.trials == 1:
            return []
        path = self.folder.trials_path(system.name)
        trials = self.folder.trials(system.name)
        for factor in TRIAL_FACTORS[len(trials) : self.settings.trials]:
            model = self._make(system)
            rate = factor * default_rate(model)
            started = time.perf_counter()
            print(f"{system.name}: trial with learning rate {rate:.2g}", flush=True)
            scores = self._try(system, model, rate)
            trial = {"factor": factor, "learning_rate": rate, **scores}
            trials.append({**trial, "seconds": time.perf_counter() - started})
            write_json(path, trials, indent=None)
        return trials

    def _try(self, system: System, model: Localizer, rate: float) -> dict[str, float | None]:
        """Loss and scores on validation scenes after a short training; the worst if it diverges."""
        try:
            self._fit(system, model, "trial", self.settings.trial_steps, rate)
        except NonFiniteLoss:
            return _DIVERGED
        dataset = scene_dataset(
            model,
            replace(self.scenes.validation, prompt_kinds=(system.prompt,)),
            self.settings.validation_scenes,
            self.settings.batch_size,
            prompt_embeddings=self.pictures,
            text_embeddings=self.names or None,
        )
        scores = model.evaluate(dataset, return_dict=True, verbose=0)
        if not np.isfinite(scores["loss"]):
            return _DIVERGED
        return {name: float(scores[name]) for name in _DIVERGED}

    def _fit(self, system: System, model: Localizer, role: str, steps: int, rate: float) -> None:
        plans = dict(
            zip(("train", "trial"), self.scenes.with_prompts(system.train_prompts), strict=True)
        )
        fit_scenes(
            model,
            plans[role],
            steps=steps,
            batch_size=self.settings.batch_size,
            epochs=1,
            learning_rate=rate,
            prompt_embeddings=self.pictures,
            text_embeddings=self.names or None,
            make=self.stores[role].make_dataset,
            verbose="auto" if self.progress else 0,
        )

    def _score(self, system: System, model: Any, plan: ScenePlan, num_scenes: int) -> Evaluation:
        return evaluate_localizer(
            model,
            plan,
            num_scenes,
            prompt=system.prompt,
            prompt_embeddings=self.pictures,
            text_embeddings=self.names or None,
            decode=system.decode,
            progress=self.progress,
        )

    def _evaluate(self, system: System, model: Any, table: int) -> dict[str, dict[str, Any]]:
        """Dict from SNR, or a level of Table 3, to an evaluation as JSON has it."""
        if table == 3:
            before = self._evaluate_segments(system, model)
            if self.further is None:
                return {SEGMENTS: before}
            if not system.trained:
                return {SEGMENTS: before, TRAINED_ON_SEGMENTS: before}
            after = self._evaluate_segments(system, self._trained_further(system, model))
            return {SEGMENTS: before, TRAINED_ON_SEGMENTS: after}
        return {
            f"{snr:g}": self._score(
                system, model, replace(self.scenes.test, snr=snr), self.settings.scenes
            ).to_dict()
            for snr in self.settings.snr
        }

    def _evaluate_segments(self, system: System, model: Any) -> dict[str, Any]:
        """An evaluation on segments as JSON has it."""
        assert self.segments is not None
        return evaluate_segments(
            model,
            self.segments,
            prompt=system.prompt,
            prompt_embeddings=self.pictures,
            text_embeddings=self.names or None,
            decode=system.decode,
            progress=self.progress,
        ).to_dict()

    def _trained_further(self, system: System, model: Localizer) -> Localizer:
        """The network after training on segments; read if it is in the folder."""
        assert self.further is not None
        path = self.folder.model_path(f"{system.name}.starss23")
        if path.is_dir():
            return type(model).from_preset(str(path))
        training = self.folder.training(system.name)
        assert training is not None
        print(f"{system.name}: training on segments", flush=True)
        fit_segments(
            model,
            self.further.prompts,
            steps=self.further.steps,
            batch_size=self.settings.batch_size,
            epochs=1,
            learning_rate=training["learning_rate"],
            prompt_embeddings=self.pictures,
            verbose="auto" if self.progress else 0,
        )
        save_atomically(model, str(path))
        return model


def best_rate(trials: Sequence[Mapping[str, Any]]) -> float:
    """Learning rate of the trial of the lowest loss; by MAE if a trial is of an earlier version."""
    key = "loss" if all("loss" in trial for trial in trials) else "mae"
    return min(trials, key=lambda trial: np.inf if trial[key] is None else trial[key])[
        "learning_rate"
    ]


def default_rate(model: Localizer) -> float:
    """Learning rate of a model's own optimizer."""
    return float(keras.ops.convert_to_numpy(model.default_optimizer().learning_rate))


def num_trainable(model: keras.Model) -> int:
    """Number of trainable weights."""
    return int(sum(np.prod(variable.shape) for variable in model.trainable_variables))
