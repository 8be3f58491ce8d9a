"""Training logs: CSV files and TensorBoard event files."""

import csv
import itertools
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from keras_avssan._internal.atomic_files import write_text
from keras_avssan._internal.types import PathLike

Row: TypeAlias = Mapping[str, Any]  # column to value; `step` among them

_STEPS, _EPOCHS = "log.csv", "epochs.csv"


class TrainingLog:
    """`log.csv` with a line a step, and `epochs.csv` with a line an epoch.

    Losses in `log.csv` are of single steps. Lines after step `done`, the resumption, are cut.
    """

    def __init__(self, folder: PathLike, done: int) -> None:
        folder = Path(folder)
        self._files = {name: _Table(folder / name, done) for name in (_STEPS, _EPOCHS)}

    def step(self, row: Row) -> None:
        """Writes the line of a step."""
        self._files[_STEPS].write(row)

    def epoch(self, row: Row) -> None:
        """Writes the line of an epoch."""
        self._files[_EPOCHS].write(row)

    def sync(self) -> None:
        """Brings the written lines to the disk."""
        for table in self._files.values():
            table.sync()

    def close(self) -> None:
        """Closes the files."""
        for table in self._files.values():
            table.close()


class TensorBoardLog:
    """Event files for TensorBoard; raises an ImportError without the package `tensorboard`.

    TensorBoard discards its entries of steps after `done`.
    """

    def __init__(self, folder: PathLike, done: int) -> None:
        self._event, self._summary = _open_protocol()
        # TensorBoard's `EventFileWriter` would import TensorFlow wherever that is installed.
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._file = open(_new_event_file(Path(folder)), "wb")
        self._records = RecordWriter(self._file)
        self._add(0, file_version="brain.Event:2")
        if done:
            self._add(done + 1, session_log=_session_start())

    def step(self, row: Row) -> None:
        """Writes the numbers of a step."""
        self._write("step", row)

    def epoch(self, row: Row) -> None:
        """Writes the numbers of an epoch."""
        self._write("epoch", row)

    def sync(self) -> None:
        """Brings the written numbers to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, kind: str, row: Row) -> None:
        values = [
            self._summary.Value(tag=f"{kind}/{name}", simple_value=float(value))
            for name, value in row.items()
            if name not in ("step", "epoch")
        ]
        self._add(row["step"], summary=self._summary(value=values))

    def _add(self, step: int, **content: Any) -> None:
        event = self._event(step=step, wall_time=time.time(), **content)
        self._records.write(event.SerializeToString())


Log: TypeAlias = TrainingLog | TensorBoardLog


def check_tensorboard() -> None:
    """Raises an ImportError if `tensorboard` is not installed."""
    _open_protocol()


class _Table:
    """A CSV file that grows, with a column `step`."""

    def __init__(self, path: Path, done: int) -> None:
        self.columns = _cut(path, done)
        self._file = open(path, "a", newline="", encoding="utf-8")

    def write(self, row: Row) -> None:
        if self.columns is None:
            self.columns = list(row)
            csv.writer(self._file).writerow(self.columns)
        csv.writer(self._file).writerow([row.get(name, "") for name in self.columns])

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _cut(path: Path, done: int) -> list[str] | None:
    """Keeps the lines up to a step; returns the columns, or `None` if there is no such line."""
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


def _is_kept(row: list[str], columns: list[str], done: int) -> bool:
    """Whether a line is complete and of a step that is done."""
    step = row[columns.index("step")] if len(row) == len(columns) else ""
    return step.isdecimal() and int(step) <= done


def _open_protocol() -> tuple[Any, Any]:
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
    except ImportError as error:
        raise ImportError(
            "A log for TensorBoard needs the package `tensorboard`: `pip install tensorboard`."
        ) from error
    return Event, Summary


def _new_event_file(folder: Path) -> Path:
    """A name that TensorBoard recognises, and that no other run has."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}"
    names = (folder / f"{name}.{number}" for number in itertools.count())
    return next(path for path in names if not path.exists())


def _session_start() -> Any:
    from tensorboard.compat.proto.event_pb2 import SessionLog

    return SessionLog(status=SessionLog.START)
