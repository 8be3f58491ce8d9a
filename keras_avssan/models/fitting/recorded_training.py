"""Training that leaves a record with the model."""

import contextlib
import datetime
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.atomic_files import read_json, write_json
from keras_avssan._internal.types import PathLike, Tensor
from keras_avssan._internal.write_once import fixed_setting
from keras_avssan.models.fitting.dataset_scenes import match_dataset
from keras_avssan.models.fitting.task_mixin import TaskMixin
from keras_avssan.models.fitting.training_record import (
    TrainingRecord,
    fingerprint,
    item_digest,
    join_records,
    room_digests,
    with_steps,
)
from keras_avssan.models.prompt_embeddings import takes_prompt
from keras_avssan.models.storage.weight_files import local_folder

if TYPE_CHECKING:
    from keras_avssan.data.scenes.scene_batches import SceneBatches
    from keras_avssan.data.scenes.scene_plan import ScenePlan

RECORD_FILE = "training_record.json"
_FIXED = ("sampling_rate", "microphone_spacing")
_BANK = ("seed", "first_index", "formula", "tail", "calibrate")
_PLAN = ("split", "reference_split", "seed", "duration", "snr", "prompt_kinds", "num_interferers")


class RecordsTraining(TaskMixin):
    """Adds a record of its training data to a `keras_hub.models.Task`.

    `training_record` is a `TrainingRecord`, or `None` for a model that was never trained, or by a
    version without records. Settings of the backbone are not set on the task.
    """

    training_record: TrainingRecord | None = None
    _is_recorded = False

    @property
    def sampling_rate(self) -> int:
        """Sampling rate in hertz that the network was made for."""
        return self.backbone.sampling_rate

    @property
    def microphone_spacing(self) -> float | None:
        """Distance between the microphones in metres that the network was made for."""
        return getattr(self.backbone, "microphone_spacing", None)

    def __setattr__(self, name: str, value: Any) -> None:
        backbone = getattr(self, "backbone", None) if self.__dict__.get("built") else None
        parts = (getattr(backbone, kind, ()) for kind in ("settings", "_fixed_settings"))
        if name in _FIXED or any(name in part for part in parts):
            raise AttributeError(fixed_setting(self, name, value))
        super().__setattr__(name, value)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains, see `keras.Model.fit`, and adds to `training_record`."""
        scenes, complete = match_dataset(self, x)
        data = kwargs.get("validation_data", args[6] if len(args) > 6 else None)
        validation, _ = match_dataset(self, data)
        if self._is_recorded:
            return super().fit(x, *args, **kwargs)
        record = _describe_scenes(self, scenes, complete, validation)
        with recorded(self, record):
            return super().fit(x, *args, **kwargs)

    def train_on_batch(
        self,
        x: Mapping[str, Tensor],
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Trains one step, see `keras.Model.train_on_batch`, and records unknown data."""
        logs = super().train_on_batch(x, y, sample_weight, class_weight, return_dict)
        record = self.training_record
        if not self._is_recorded and (record is None or record.complete):
            self.training_record = join_records(record, _unknown_training())
        return logs

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Scores a dataset, see `keras.Model.evaluate`."""
        match_dataset(self, x)
        return super().evaluate(x, *args, **kwargs)

    def save_to_preset(self, preset_dir: PathLike, max_shard_size: float | None = 10) -> None:
        """Saves a preset, see `keras_hub.models.Task`, with the training record in it."""
        super().save_to_preset(preset_dir, max_shard_size=max_shard_size)
        self.save_assets(preset_dir)

    def save_assets(self, dir_path: PathLike) -> None:
        """Writes the training record into a folder; Keras calls it for `.keras` files."""
        if self.training_record is not None:
            write_record(dir_path, self.training_record)
        else:  # of a model that was in the folder before
            (Path(dir_path) / RECORD_FILE).unlink(missing_ok=True)

    def load_assets(self, dir_path: PathLike | None) -> None:
        """Reads the training record from a folder; Keras calls it for `.keras` files."""
        if dir_path is not None:
            self.training_record = read_record(dir_path)

    @classmethod
    def from_preset(cls, preset: PathLike, load_weights: bool = True, **kwargs: Any) -> Self:
        """Loads a preset, see `keras_hub.models.Task`, with the training record in it."""
        model = super().from_preset(preset, load_weights=load_weights, **kwargs)
        if load_weights:
            model.load_assets(local_folder(preset, RECORD_FILE))
        return model


@contextlib.contextmanager
def recorded(
    model: Any, record: TrainingRecord, resumed: bool = False, trained: Any = None
) -> Iterator[None]:
    """Adds a training to a compiled model's record, with its actual number of steps.

    A `resumed` training continues the last one of the model's record. `trained` is the compiled
    model, where it holds but a part of the one with the record.
    """
    trained = model if trained is None else trained
    before, first = model.training_record, _steps(trained) or 0
    model.training_record = join_records(before, record, resumed)
    model._is_recorded = True
    try:
        yield
    finally:
        model._is_recorded = False
        steps = _steps(trained)
        if steps is not None and steps > first:
            model.training_record = with_steps(model.training_record, steps - first)
        elif steps is not None:  # no step was done
            model.training_record = before


def describe_plan(
    model: Any,
    plan: "ScenePlan",
    validation_plan: "ScenePlan | None" = None,
    *,
    command: str | None = None,
    **notes: Any,
) -> TrainingRecord:
    """Record of a training on the scenes of a plan.

    `command` is the command line of the training; `notes` are further entries, as `batch_size`.
    """
    prompted = takes_prompt(model)
    pictures = plan.pictures if prompted and "picture" in plan.prompt_kinds else ()
    clips = (*plan.clips, *(plan.references if prompted else ()))
    sets = {
        "clips": frozenset(item_digest(plan.catalog, clip) for clip in clips),
        "pictures": frozenset(item_digest(plan.catalog, picture) for picture in pictures),
        "rooms": frozenset(room_digests(plan.bank, range(*plan.room_range))),
    }
    note = {
        **circumstances(),
        "command": command,
        **notes,
        **_scenes(plan),
        "catalog": {
            "kind": type(plan.catalog).__name__,
            "clips": len(sets["clips"]),
            "pictures": len(sets["pictures"]),
            "fingerprint": fingerprint(sets["clips"] | sets["pictures"]),
        },
        "validation": validation_plan and _scenes(validation_plan),
    }
    return TrainingRecord((json.loads(json.dumps(note, default=_as_python)),), **sets)


def begin_record(folder: PathLike, model: Any, record: TrainingRecord) -> None:
    """Writes the record of a starting training into the folder of its checkpoints."""
    if not (Path(folder) / RECORD_FILE).exists():
        write_record(folder, join_records(model.training_record, record))


def write_record(folder: PathLike, record: TrainingRecord) -> None:
    """Writes a record into a folder."""
    write_json(Path(folder) / RECORD_FILE, record.to_dict())


def read_record(folder: PathLike) -> TrainingRecord | None:
    """The record in a folder, or `None` without one; refuses a damaged file."""
    path = Path(folder) / RECORD_FILE
    content = read_json(path)
    try:
        return None if content is None else TrainingRecord.from_dict(content)
    except ValueError as error:
        raise ValueError(
            f"The training record '{path}' is damaged: {error}. Received: folder={str(folder)!r}"
        ) from error


def _describe_scenes(
    model: Any,
    scenes: "Sequence[SceneBatches]",
    complete: bool,
    validation: "Sequence[SceneBatches]",
) -> TrainingRecord:
    """Record of a training on a dataset, of which the scenes of some plans may be known."""
    if not scenes:
        return _unknown_training()
    plan = validation[0].plan if validation else None
    record = one_training(
        [
            describe_plan(model, batches.plan, plan, batch_size=batches.batch_size)
            for batches in scenes
        ]
    )
    if complete:
        return record
    (note,) = record.trainings
    return replace(record, trainings=({**note, "data": "not known"},))


def one_training(records: Sequence[TrainingRecord]) -> TrainingRecord:
    """Records of one training on the scenes of several plans, as one of a single training."""
    (note,), *others = (record.trainings for record in records)
    if others:
        kept = {*_PLAN, "classes", "catalog", "bank"}
        further = [{name: one[name] for name in one if name in kept} for (one,) in others]
        note = {**note, "further_scenes": further}
    return replace(functools.reduce(join_records, records), trainings=(note,))


def _unknown_training() -> TrainingRecord:
    """Record of a training on unknown data."""
    return TrainingRecord(({**circumstances(), "data": "not known"},))


def _scenes(plan: "ScenePlan") -> dict[str, Any]:
    """Settings, classes and rooms of a plan."""
    bank = plan.bank
    return {
        **{name: getattr(plan, name) for name in _PLAN},
        "classes": list(plan.classes),
        "sampling_rate": plan.sampling_rate,
        "microphone_spacing": plan.microphone_spacing,
        "bank": {
            "rooms": len(bank.azimuths),
            "room_range": list(plan.room_range),
            **{name: getattr(bank, name, None) for name in _BANK},
            "fingerprint": fingerprint(room_digests(bank, range(len(bank.azimuths)))),
        },
    }


def circumstances() -> dict[str, Any]:
    """Current date and versions, a dict that JSON can hold."""
    import keras_avssan

    now = datetime.datetime.now(datetime.UTC)
    return {
        "date": now.isoformat(timespec="seconds"),
        "versions": {
            "keras-avssan": keras_avssan.__version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        },
    }


def _steps(model: Any) -> int | None:
    """Steps that a model's optimizer has done; `None` where they are unknown."""
    if getattr(model, "optimizer", None) is None:  # not compiled, which Keras refuses itself
        return 0
    try:
        if hasattr(model, "jax_state_sync"):  # an interrupted training has not synced it
            model.jax_state_sync()
        return int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    except RuntimeError:  # JAX has donated the arrays to the interrupted step
        return None


def _as_python(value: Any) -> Any:
    """Numbers of NumPy as JSON has them."""
    return value.item() if isinstance(value, np.generic) else str(value)
