"""Logs of a training: CSV files, and event files for TensorBoard."""

import csv
import os
import time
from pathlib import Path
from typing import Any

from keras_avssan._internal.atomic_files import write_text
from keras_avssan._internal.types import PathLike

_STEPS, _EPOCHS = "log.csv", "epochs.csv"


class TrainingLog:
    """`log.csv` with a line a step, and `epochs.csv` with a line an epoch.

    In `log.csv` the loss is that of the step alone; scores are those of the epoch so far. Lines
    after the step from which the training resumes are cut, for they will be written again.

    Args:
        folder: Folder of the files.
        done: Steps done before.
    """

    def __init__(self, folder: PathLike, done) -> None:
        folder = Path(folder)
        self._files = {name: _Table(folder / name, done) for name in (_STEPS, _EPOCHS)}

    def step(self, row) -> None:
        """Writes the line of a step.

        Args:
            row: Dict from column to value.
        """
        self._files[_STEPS].write(row)

    def epoch(self, row) -> None:
        """Writes the line of an epoch.

        Args:
            row: Dict from column to value.
        """
        self._files[_EPOCHS].write(row)

    def sync(self) -> None:
        """Brings what was written to the disk."""
        for table in self._files.values():
            table.sync()

    def close(self) -> None:
        """Closes the files."""
        for table in self._files.values():
            table.close()


class TensorBoardLog:
    """The log of a training for TensorBoard.

    It needs the package `tensorboard` alone, and neither TensorFlow nor PyTorch.

    Args:
        folder: Folder of the event files.
        done: Steps done before; TensorBoard forgets what it has of later ones.

    Raises:
        ImportError: If `tensorboard` is not installed.
    """

    def __init__(self, folder: PathLike, done) -> None:
        self._event, self._summary = _open_protocol()
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder))
        if done:
            self._add(done + 1, session_log=_session_start())

    def step(self, row) -> None:
        """Writes the numbers of a step.

        Args:
            row: Dict from name to number, with `step`.
        """
        self._write("step", row)

    def epoch(self, row) -> None:
        """Writes the numbers of an epoch.

        Args:
            row: Dict from name to number, with `step`.
        """
        self._write("epoch", row)

    def sync(self) -> None:
        """Brings what was written to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, kind: str, row) -> None:
        values = [
            self._summary.Value(tag=f"{kind}/{name}", simple_value=float(value))
            for name, value in row.items()
            if name not in ("step", "epoch")
        ]
        self._add(row["step"], summary=self._summary(value=values))

    def _add(self, step, **content: Any) -> None:
        self._writer.add_event(self._event(step=step, wall_time=time.time(), **content))


def check_tensorboard() -> None:
    """Checks that the package is installed.

    Raises:
        ImportError: If `tensorboard` is not installed.
    """
    _open_protocol()


class _Table:
    """A CSV file that grows, with a column `step`."""

    def __init__(self, path: PathLike, done) -> None:
        self.columns = _cut(path, done)
        self._file = open(path, "a", newline="", encoding="utf-8")

    def write(self, row) -> None:
        if self.columns is None:
            self.columns = list(row)
            csv.writer(self._file).writerow(self.columns)
        csv.writer(self._file).writerow([row.get(name, "") for name in self.columns])

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _cut(path: PathLike, done):
    """Keeps the lines up to a step; returns the columns, or `None` where there are none."""
    if not path.exists():
        return None
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.reader(file))
    if not rows or "step" not in rows[0] or not done:
        path.unlink()
        return None
    columns = rows[0]
    kept = [row for row in rows[1:] if _is_kept(row, columns, done)]
    text = "".join(",".join(row) + "\r\n" for row in (columns, *kept))
    write_text(path, text)
    return columns


def _is_kept(row, columns, done):
    """Whether a line is whole and of a step that is done."""
    step = row[columns.index("step")] if len(row) == len(columns) else ""
    return step.isdecimal() and int(step) <= done


def _open_protocol():
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
    except ImportError as error:
        raise ImportError(
            "A log for TensorBoard needs the package `tensorboard`: `pip install tensorboard`."
        ) from error
    return Event, Summary


def _session_start():
    from tensorboard.compat.proto.event_pb2 import SessionLog

    return SessionLog(status=SessionLog.START)
