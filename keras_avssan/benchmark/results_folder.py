"""The folder of a benchmark: what was run, and every row that is finished."""

import json
import os
import tempfile
from pathlib import Path

from keras_avssan._internal.atomic_files import PART_SUFFIX, read_json, write_json
from keras_avssan.training.run_configuration import check_configuration

_CONFIG = "config.json"
# What a run may leave behind that was stopped before it wrote the configuration.
_BEGUN = {"rooms", "rows", "trials", "models"}


class ResultsFolder:
    """The folder of a benchmark: what was run, and every row that is finished.

    Several processes may work in it side by side, for every file appears whole or not at all.

    Args:
        path: Path of the folder: absent, empty, or begun with the same configuration.
        config: Dict that JSON can hold: all that decides the results.

    Raises:
        ValueError: If it was begun with another configuration, or holds something else.
    """

    def __init__(self, path, config):
        self.path = Path(path)
        check_config(path, config)
        for name in ("rows", "trials", "models"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        self.claim(_CONFIG, config)

    def claim(self, name, config):
        """Writes a configuration, or compares with the one that is there.

        Args:
            name: Name of its file.
            config: Dict that JSON can hold.

        Raises:
            ValueError: If there is another one.
        """
        path = self.path / name
        handle, temporary = tempfile.mkstemp(dir=self.path, suffix=PART_SUFFIX)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(config, file, indent=2)
            os.link(temporary, path)  # unlike a replacement, it fails where there is one
        except FileExistsError:
            check_configuration(path, config)
        finally:
            os.unlink(temporary)

    def row_path(self, name, table):
        """Path of the row of a system; Table 3 has rows of its own."""
        return self.path / "rows" / f"{name}{'.starss23' if table == 3 else ''}.json"

    def model_path(self, name):
        """Path of the preset of a trained system."""
        return self.path / "models" / name

    def training_path(self, name):
        """Path of how a system was trained, written after its preset."""
        return self.path / "models" / f"{name}.json"

    def trials_path(self, name):
        """Path of the trials of a system."""
        return self.path / "trials" / f"{name}.json"

    def rows(self, table):
        """The rows that are finished.

        Args:
            table: Number of the table.

        Returns:
            List of dicts, those of the table.
        """
        names = sorted(path.name for path in (self.path / "rows").glob("*.json"))
        ours = [name for name in names if name.endswith(".starss23.json") == (table == 3)]
        rows = [read_json(self.path / "rows" / name) for name in ours]
        return [row for row in rows if table in row["tables"]]


def check_config(path, config):
    """Refuses a folder that holds something else than results of a configuration.

    Args:
        path: Path of the folder.
        config: Dict that JSON can hold.

    Raises:
        ValueError: If it is a file, holds results of another configuration, or something else.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise ValueError(f"`out` must be a folder. Received: '{path}'")
    if (path / _CONFIG).exists():
        check_configuration(path / _CONFIG, config)
    elif path.is_dir() and any(_is_foreign(item) for item in path.iterdir()):
        raise ValueError(f"'{path}' is neither empty nor the folder of a benchmark.")


def _is_foreign(item):
    """Whether something is nothing that a run leaves, or that another one is writing just now."""
    return item.name not in {*_BEGUN, _CONFIG} and item.suffix != PART_SUFFIX


def write_row(path, content):
    """Writes a row, whole or not at all.

    Args:
        path: Path of the file.
        content: Dict that JSON can hold.
    """
    write_json(path, content, indent=None)
