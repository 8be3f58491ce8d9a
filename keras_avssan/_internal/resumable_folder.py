"""A folder that is new, empty, or in progress with the same settings."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_avssan._internal.atomic_files import PART_SUFFIX, read_json, remove_parts, write_json

# Differences that a message names, and characters of a value in it.
_NAMED = 6
_SHOWN = 80


@dataclasses.dataclass(frozen=True)
class ResumableFolder:
    """A folder that is new, empty, or in progress with the same settings.

    The settings are written first and once: of processes that start together the first decides.
    """

    path: Path
    settings_file: str  # name of the JSON file of the settings
    content: str  # what the folder holds, with its article, for messages
    argument: str  # name of the argument that the path was given as, for messages
    known: frozenset[str] = frozenset()  # names of files that may exist before the settings
    indent: int = 2  # spaces a level in the file of the settings

    @property
    def settings_path(self) -> Path:
        """Path of the file of the settings."""
        return self.path / self.settings_file

    def read(self) -> dict[str, Any] | None:
        """Reads the settings; `None` if there are none. Raises a ValueError if they are damaged."""
        if not self.settings_path.exists():
            return None
        settings = read_json(self.settings_path)
        if not isinstance(settings, dict):
            raise ValueError(
                f"'{self.settings_path}' is damaged: it must hold an object of JSON. "
                f"Received: {_short(settings)}"
            )
        return settings

    def check(self, settings: dict[str, Any] | None) -> None:
        """Raises a ValueError unless the path can be used with these settings; writes nothing.

        `None` accepts any settings.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(
                f"`{self.argument}` must be a folder. Received: {self.argument}='{self.path}'"
            )
        there = self.read()
        if there is not None and settings is not None:
            self._compare(there, settings)
        if there is None and self.path.is_dir():
            names = {item.name for item in self.path.iterdir()} - self.known
            others = [name for name in names if not name.endswith(PART_SUFFIX)]
            # Another process may just have started in it.
            if others and not self.settings_path.exists():
                raise ValueError(
                    f"`{self.argument}` must be new, empty or hold {self.content}. Received: "
                    f"{self.argument}='{self.path}', which holds {min(others)} and no "
                    f"{self.settings_file}"
                )

    def start(self, settings: dict[str, Any], *, replace: bool = False) -> None:
        """Makes the folder and writes the settings, or checks the existing ones, see `check`.

        `replace` lets other settings take their place, because nothing has been made with them.
        """
        self.check(None if replace else settings)
        self.path.mkdir(parents=True, exist_ok=True)
        if replace and self.settings_path.exists():
            write_json(self.settings_path, settings, self.indent)
        self.claim(settings)

    def claim(self, settings: dict[str, Any]) -> None:
        """Writes the settings, or checks existing ones, whatever other files are in the folder."""
        if not self.settings_path.exists():
            try:
                write_json(self.settings_path, settings, self.indent, exclusive=True)
            except (FileExistsError, FileNotFoundError):
                # Another process was first, and may have removed the partial files of this one.
                if not self.settings_path.exists():
                    raise
        self._compare(self.read() or {}, settings)

    def remove_parts(self, names: Iterable[str] | None = None) -> None:
        """Removes partial files of killed processes: all, or those of the files of these names."""
        remove_parts(self.path, names)

    def stopped(self, finished: int, total: int, units: str) -> KeyboardInterrupt:
        """Returns the exception that reports to the user how far interrupted work is."""
        return KeyboardInterrupt(
            f"stopped with {finished} of {total} {units} whole in {self.path}; the same call or "
            "command resumes from there"
        )

    def _compare(self, there: dict[str, Any], settings: dict[str, Any]) -> None:
        """Raises a ValueError for settings other than the existing ones, naming the differences."""
        old, new = _flat(there), _flat(json.loads(json.dumps(settings)))
        differing = [name for name in {**new, **old} if old.get(name) != new.get(name)]
        if differing:
            named = [
                f"`{name}` is {_short(old.get(name))} there, but {_short(new.get(name))} now"
                for name in differing[:_NAMED]
            ]
            more = len(differing) - len(named)
            raise ValueError(
                f"'{self.path}' holds {self.content} of another configuration: {'; '.join(named)}"
                f"{f'; and {more} more' if more else ''}. Give the same options, or another folder."
            )


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one dict with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        nested = isinstance(value, dict) and value
        flat |= _flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flat


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
