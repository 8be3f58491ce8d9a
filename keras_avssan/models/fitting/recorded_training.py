"""Training that leaves a record with the model."""

import contextlib
import datetime
import functools
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

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

RECORD_FILE = "training_record.json"
_FIXED = ("sampling_rate", "microphone_spacing")
_BANK = ("seed", "first_index", "formula", "tail", "calibrate")
_PLAN = ("split", "reference_split", "seed", "duration", "snr", "prompt_kinds", "num_interferers")


class RecordsTraining(TaskMixin):
    """What a task adds to `keras_hub.models.Task` so that it knows what it was trained on.

    `training_record` is a `TrainingRecord`, or `None` for a model that was never trained, or by a
    version that kept none. Settings of the backbone are not set on the task.
    """

    training_record = None
    _is_recorded = False

    @property
    def sampling_rate(self):
        """Sampling rate in hertz that the network was made for."""
        return self.backbone.sampling_rate

    @property
    def microphone_spacing(self):
        """Distance between the microphones in metres that the network was made for."""
        return getattr(self.backbone, "microphone_spacing", None)

    def __setattr__(self, name: str, value: Any) -> None:
        backbone = getattr(self, "backbone", None) if self.__dict__.get("built") else None
        parts = (getattr(backbone, kind, ()) for kind in ("settings", "_fixed_settings"))
        if name in _FIXED or any(name in part for part in parts):
            raise AttributeError(fixed_setting(self, name, value))
        super().__setattr__(name, value)

    def fit(self, x: Tensor = None, *args, **kwargs: Any):
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
        x: Tensor,
        y: Tensor = None,
        sample_weight: Tensor = None,
        class_weight=None,
        return_dict: bool = False,
    ):
        """Trains one step, see `keras.Model.train_on_batch`, on data that are not known."""
        logs = super().train_on_batch(x, y, sample_weight, class_weight, return_dict)
        record = self.training_record
        if not self._is_recorded and (record is None or record.complete):
            self.training_record = join_records(record, _unknown_training())
        return logs

    def evaluate(self, x: Tensor = None, *args, **kwargs: Any):
        """Scores a dataset, see `keras.Model.evaluate`."""
        match_dataset(self, x)
        return super().evaluate(x, *args, **kwargs)

    def save_to_preset(self, preset_dir, *args, **kwargs: Any) -> None:
        """Saves a preset, see `keras_hub.models.Task`, with the training record in it."""
        super().save_to_preset(preset_dir, *args, **kwargs)
        self.save_assets(preset_dir)

    def save_assets(self, dir_path) -> None:
        """Writes the training record into a folder; Keras calls it for `.keras` files."""
        if self.training_record is not None:
            write_record(dir_path, self.training_record)
        else:  # of a model that was in the folder before
            (Path(dir_path) / RECORD_FILE).unlink(missing_ok=True)

    def load_assets(self, dir_path) -> None:
        """Reads the training record from a folder; Keras calls it for `.keras` files."""
        if dir_path is not None:
            self.training_record = read_record(dir_path)

    @classmethod
    def from_preset(cls, preset, load_weights: bool = True, **kwargs: Any):
        """Loads a preset, see `keras_hub.models.Task`, with the training record in it."""
        model = super().from_preset(preset, load_weights=load_weights, **kwargs)
        if load_weights:
            model.load_assets(_local_folder(preset))
        return model


@contextlib.contextmanager
def recorded(model: Any, record, resumed: bool = False):
    """Adds a training to a model's record, with the steps that it really has.

    Args:
        model: A compiled `Localizer`.
        record: `TrainingRecord` of the training alone.
        resumed: Whether it resumes the last training of the model's record.
    """
    before, first = model.training_record, _steps(model) or 0
    model.training_record = join_records(before, record, resumed)
    model._is_recorded = True
    try:
        yield
    finally:
        model._is_recorded = False
        steps = _steps(model)
        if steps is not None and steps > first:
            model.training_record = with_steps(model.training_record, steps - first)
        elif steps is not None:  # nothing was learnt
            model.training_record = before


def describe_plan(model: Any, plan, validation_plan=None, *, command: str | None = None, **notes):
    """Record of a training on the scenes of a plan.

    Args:
        model: The model that is trained.
        plan: `keras_avssan.data.ScenePlan`.
        validation_plan: Plan that it is validated on, or `None`.
        command: Command line that the training belongs to, or `None`.
        **notes: Further notes, such as `batch_size`.

    Returns:
        A `TrainingRecord`.
    """
    asked = getattr(model.backbone, "visual_prompt", False)
    pictures = plan.pictures if asked and "picture" in plan.prompt_kinds else ()
    clips = (*plan.clips, *(plan.references if asked else ()))
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


def begin_record(folder: PathLike, model: Any, record) -> None:
    """Writes what a model will have been trained on into the folder of its checkpoints."""
    if not (Path(folder) / RECORD_FILE).exists():
        write_record(folder, join_records(model.training_record, record))


def write_record(folder: PathLike, record) -> None:
    """Writes a record into a folder."""
    write_json(Path(folder) / RECORD_FILE, record.to_dict())


def read_record(folder: PathLike):
    """The record in a folder, or `None`.

    Raises:
        ValueError: If the file is damaged.
    """
    path = Path(folder) / RECORD_FILE
    content = read_json(path)
    try:
        return None if content is None else TrainingRecord.from_dict(content)
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged: {error}") from error


def _describe_scenes(model: Any, scenes, complete, validation):
    """Record of a training on a dataset, of which the scenes of some plans may be known."""
    if not scenes:
        return _unknown_training()
    plan = validation[0].plan if validation else None
    records = [
        describe_plan(model, batches.plan, plan, batch_size=batches.batch_size)
        for batches in scenes
    ]
    (note,), *others = (record.trainings for record in records)
    if others:
        kept = {*_PLAN, "classes", "catalog", "bank"}
        further = [{name: one[name] for name in one if name in kept} for (one,) in others]
        note = {**note, "further_scenes": further}
    if not complete:
        note = {**note, "data": "not known"}
    return replace(functools.reduce(join_records, records), trainings=(note,))


def _unknown_training():
    """Record of a training on data of which nothing is known."""
    return TrainingRecord(({**circumstances(), "data": "not known"},))


def _scenes(plan):
    """What a plan draws its scenes from."""
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


def circumstances():
    """When and with which versions something is done, a dict that JSON can hold."""
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


def _steps(model: Any):
    """Steps that a model's optimizer has done; `None` where it cannot be said."""
    if model.optimizer is None:
        return 0
    try:
        if hasattr(model, "jax_state_sync"):  # a training that was stopped has not synced it
            model.jax_state_sync()
        return int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    except RuntimeError:  # JAX has given the arrays away to the step that was stopped
        return None


def _local_folder(preset):
    """The folder that has the record of a preset; `None` where a hub's preset has none."""
    preset = os.fspath(preset)
    if "://" not in preset:
        return preset
    from keras_hub.src.utils.preset_utils import check_file_exists, get_file

    if not check_file_exists(preset, RECORD_FILE):
        return None
    return os.path.dirname(get_file(preset, RECORD_FILE))


def _as_python(value: Any):
    """Numbers of NumPy as JSON has them."""
    return value.item() if isinstance(value, np.generic) else str(value)
