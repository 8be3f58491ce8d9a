"""The logs of a training, as CSV files."""

import csv
import os
from pathlib import Path

from keras_avssan._internal.atomic_files import write_text

_STEPS, _EPOCHS = "log.csv", "epochs.csv"


class TrainingLog:
    """`log.csv` with a line a step, and `epochs.csv` with a line an epoch.

    In `log.csv` the loss is that of the step alone; scores are those of the epoch so far. Lines
    after the step from which the training goes on are cut, for they will be written again.

    Args:
        folder: Folder of the files.
        done: Steps done before.
    """

    def __init__(self, folder, done):
        folder = Path(folder)
        self._files = {name: _Table(folder / name, done) for name in (_STEPS, _EPOCHS)}

    def step(self, row):
        """Writes the line of a step.

        Args:
            row: Dict from column to value.
        """
        self._files[_STEPS].write(row)

    def epoch(self, row):
        """Writes the line of an epoch.

        Args:
            row: Dict from column to value.
        """
        self._files[_EPOCHS].write(row)

    def sync(self):
        """Brings what was written to the disk."""
        for table in self._files.values():
            table.sync()

    def close(self):
        """Closes the files."""
        for table in self._files.values():
            table.close()


class _Table:
    """A CSV file that grows, with a column `step`."""

    def __init__(self, path, done):
        self.columns = _cut(path, done)
        self._file = open(path, "a", newline="", encoding="utf-8")

    def write(self, row):
        if self.columns is None:
            self.columns = list(row)
            csv.writer(self._file).writerow(self.columns)
        csv.writer(self._file).writerow([row.get(name, "") for name in self.columns])

    def sync(self):
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self):
        self._file.close()


def _cut(path, done):
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
