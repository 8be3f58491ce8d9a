"""The folder of a training run: its configuration, logs and last checkpoints."""

import json
import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np

from keras_avssan._internal.atomic_files import write_whole
from keras_avssan._internal.resumable_folder import ResumableFolder
from keras_avssan._internal.saved_files import CHECKPOINT_NAME, CHECKPOINT_PATTERN
from keras_avssan._internal.types import PathLike
from keras_avssan.training.training_state import TrainingState

# Name of the file of the configuration.
CONFIG = "config.json"
_KEPT = 2


class CheckpointFolder:
    """A folder, new, empty or of the same training, in an existing one; else it is a ValueError.

    `config` is flat and holds all settings that decide the training, as JSON can hold them.
    """

    def __init__(self, path: PathLike, config: dict[str, Any]) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise ValueError(
                f"`checkpoints` must lie in an existing folder. Received: checkpoints='{self.path}'"
            )
        ResumableFolder(self.path, CONFIG, "a training", "checkpoints").start(config)

    def save(self, state: TrainingState) -> None:
        """Writes a checkpoint, and deletes those before the last two."""
        write_whole(self._file(state.step), lambda file: _write(file, state))
        for number in self._numbers()[:-_KEPT]:
            self._file(number).unlink(missing_ok=True)

    def latest(self) -> TrainingState | None:
        """Reads the last checkpoint that is not damaged; `None` if there is no checkpoint.

        Damaged ones are put aside with a warning; a ValueError is raised if all are.
        """
        numbers = self._numbers()
        for number in reversed(numbers):
            path = self._file(number)
            try:
                return read_checkpoint(path)
            except ValueError as error:
                warnings.warn(f"{error} The previous one is used.", stacklevel=4)
                os.replace(path, path.with_suffix(".damaged"))
        if numbers:
            raise ValueError(
                f"No checkpoint in '{self.path}' can be read. Delete the folder to start again. "
                f"Received: checkpoints='{self.path}'"
            )
        return None

    def _numbers(self) -> list[int]:
        return checkpoint_numbers(self.path)

    def _file(self, number: int) -> Path:
        return checkpoint_path(self.path, number)


def checkpoint_numbers(folder: PathLike) -> list[int]:
    """Lists the steps of the checkpoints in a folder, in order."""
    names = (CHECKPOINT_PATTERN.fullmatch(path.name) for path in Path(folder).iterdir())
    return sorted(int(name[1]) for name in names if name)


def checkpoint_path(folder: PathLike, number: int) -> Path:
    """Path of the checkpoint after `number` steps."""
    return Path(folder) / CHECKPOINT_NAME.format(number)


def read_checkpoint(path: PathLike) -> TrainingState:
    """Reads a checkpoint; raises a ValueError if it is damaged."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            note = json.loads(file["note"].item())
            arrays: dict[str, Any] = {
                kind: [file[f"{kind}/{index}"] for index in range(count)]
                for kind, count in note.pop("counts").items()
            }
            return TrainingState(**note, **arrays)
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile) as error:
        raise ValueError(f"The checkpoint '{path}' is damaged ({error}).") from error


def _write(file: BinaryIO, state: TrainingState) -> None:
    kinds = ("weights", "optimizer", "metrics", "random")
    lists = {kind: getattr(state, kind) for kind in kinds}
    note = {
        "step": state.step,
        "history": state.history,
        "counts": {kind: len(arrays) for kind, arrays in lists.items()},
    }
    arrays = {f"{k}/{i}": array for k, part in lists.items() for i, array in enumerate(part)}
    np.savez(file, note=np.array(json.dumps(note)), **arrays)
