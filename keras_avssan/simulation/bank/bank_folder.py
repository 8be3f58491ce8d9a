"""A folder that holds a bank of impulse responses in shards."""

import dataclasses
import json
import pathlib
import zlib
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_avssan._internal.atomic_files import write_whole
from keras_avssan._internal.checks import check_integer, check_number
from keras_avssan._internal.resumable_folder import ResumableFolder
from keras_avssan._internal.types import PathLike
from keras_avssan.simulation.bank.bank_settings import BankSettings
from keras_avssan.simulation.bank.sharded_rirs import ShardedRIRs
from keras_avssan.simulation.rooms import Room, RoomRanges

# Raise it with every change after which the same settings give other responses.
_FORMAT = "keras-avssan RIR shards 1"
_SETTINGS = "bank.json"

# Ranges that are stored where they vary something: banks from before they existed are resumed.
_LATER = (
    *("gain_error", "phase_error", "position_error", "source_pattern", "source_turn"),
    "absorption_factor",
)

# Bytes that are read at a time.
_READ_BYTES = 2**20

# The settings that are fields of a `RIRBank`, and those that lay out the folder.
_FIELDS = (
    *("sampling_rate", "seed", "first_index", "formula", "speed_of_sound"),
    *("image_attenuation", "tail", "calibrate"),
)
_NEEDED = {*_FIELDS, "num_rooms", "rooms_per_shard"}
# Least values of those that are integers, and those that are other numbers of at least 0.
_INTEGERS = {"num_rooms": 1, "rooms_per_shard": 1, "first_index": 0, "sampling_rate": 1, "seed": 0}
_NUMBERS = ("speed_of_sound", "image_attenuation")


@dataclasses.dataclass(frozen=True)
class BankFolder:
    """Layout of the folder of a bank; all files are written atomically.

    `bank.json` holds the settings, `rirs-*.npy` responses, `rooms-*.npz` the rest, written last.
    """

    path: pathlib.Path
    settings: dict[str, Any]

    @classmethod
    def open(cls, path: PathLike) -> "BankFolder":
        """Opens a folder that holds a bank, finished or in progress.

        Raises a `FileNotFoundError` without a folder, and a ValueError without a bank.
        """
        path = pathlib.Path(path)
        if not path.exists():
            raise FileNotFoundError(f"`path` must be an existing folder. Received: path='{path}'")
        try:
            settings = _resumable(path).read()
            if settings is None:
                raise ValueError(f"it holds no {_SETTINGS}")
            if settings["format"] != _FORMAT:
                raise ValueError(f"its format is {settings['format']}")
            absent = _NEEDED - settings.keys()
            if absent:
                raise ValueError(f"its {_SETTINGS} lacks {sorted(absent)}")
            for name, least in _INTEGERS.items():
                settings[name] = check_integer(name, settings[name], least)
            for name in _NUMBERS:
                if settings[name] is not None or name != "image_attenuation":
                    check_number(name, settings[name], 0, float("inf"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"`path` must be the folder of a bank that `build_bank` wrote: {error}. "
                f"Received: path='{path}'"
            ) from error
        return cls(path, settings)

    @classmethod
    def create(cls, path: PathLike, settings: dict[str, Any]) -> "BankFolder":
        """Starts a bank, or opens one of the same settings; other content is a ValueError."""
        path = pathlib.Path(path)
        if (path / _SETTINGS).exists():
            cls.open(path)  # names the damage
        _resumable(path).start({"format": _FORMAT, **settings})
        return cls.open(path)

    def __len__(self) -> int:
        """Number of shards."""
        return -(-self.settings["num_rooms"] // self.settings["rooms_per_shard"])

    def indices(self, shard: int) -> range:
        """Numbers of a shard's rooms in the series of the seed."""
        first, last = self.settings["first_index"], self.settings["num_rooms"]
        start = shard * self.settings["rooms_per_shard"]
        stop = min(start + self.settings["rooms_per_shard"], last)
        return range(first + start, first + stop)

    def responses(self, shard: int) -> pathlib.Path:
        """Path of the responses of a shard."""
        return self.path / f"rirs-{shard:05d}.npy"

    def parameters(self, shard: int) -> pathlib.Path:
        """Path of the other arrays of a shard."""
        return self.path / f"rooms-{shard:05d}.npz"

    def write(self, shard: int, arrays: dict[str, np.ndarray]) -> None:
        """Writes the arrays of `simulate_bank` as a shard."""
        parameters: dict[str, Any] = dict(arrays)
        responses = parameters.pop("rirs")
        write_whole(self.responses(shard), lambda file: np.save(file, responses))
        parameters["checksum"] = np.uint32(self._checksum(shard))
        write_whole(self.parameters(shard), lambda file: np.savez(file, **parameters))

    def read(self, shard: int) -> dict[str, np.ndarray]:
        """Reads all arrays of a shard except the responses. It can raise many kinds of errors."""
        with np.load(self.parameters(shard), allow_pickle=False) as file:
            return dict(file)

    def is_whole(self, shard: int, read_all: bool) -> bool:
        """Whether a shard exists and is not damaged.

        Only `read_all` reads the responses, to compare checksums; else their size is checked.
        """
        try:
            checksum = self.read(shard)["checksum"]
            rirs = ShardedRIRs([self.responses(shard)], self.settings["rooms_per_shard"])
            if len(rirs) != len(self.indices(shard)):
                return False
            return not read_all or bool(checksum == self._checksum(shard))
        except Exception:
            # Damaged zip and npy files raise a dozen kinds of errors.
            return False

    def missing(self, shards: Iterable[int] | None = None, read_all: bool = False) -> list[int]:
        """Lists the shards, of all or of the given ones, that do not exist or are damaged."""
        shards = range(len(self)) if shards is None else shards
        return [shard for shard in shards if not self.is_whole(shard, read_all)]

    def remove_parts(self, shards: Iterable[int]) -> None:
        """Removes partial files of these shards and of the settings."""
        names = {file(k).name for file in (self.responses, self.parameters) for k in shards}
        _resumable(self.path).remove_parts({_SETTINGS, *names})

    def stopped(self) -> KeyboardInterrupt:
        """Returns the exception that reports to the user how far an interrupted build is."""
        whole = len(self) - len(self.missing())
        return _resumable(self.path).stopped(whole, len(self), "shards")

    def _checksum(self, shard: int) -> int:
        """CRC-32 of the settings, the shard's number and the file of its responses."""
        checksum = zlib.crc32(f"{json.dumps(self.settings, sort_keys=True)} {shard}".encode())
        with open(self.responses(shard), "rb") as file:
            while part := file.read(_READ_BYTES):
                checksum = zlib.crc32(part, checksum)
        return checksum

    def fields(self) -> dict[str, Any]:
        """Reads the fields of the `RIRBank`; a missing, damaged or copied shard is a ValueError."""
        # No more can be whole than there are files, however many the settings say.
        checked = min(len(self), 1 + sum(1 for _ in self.path.glob("rooms-*.npz")))
        missing = self.missing(range(checked))
        if missing:
            raise ValueError(
                f"{self.path} lacks {len(missing) + len(self) - checked} of its {len(self)} shards "
                f"(the first: {missing[0]}). `build_bank` with the same settings resumes "
                "from there."
            )
        shards = [self.read(shard) for shard in range(len(self))]
        self._check_copies(shards)
        arrays = {
            name: np.concatenate([shard[name] for shard in shards])
            for name in shards[0]
            if name != "checksum"
        }
        paths = [self.responses(shard) for shard in range(len(self))]
        scalars = {name: self.settings[name] for name in _FIELDS}
        rirs = ShardedRIRs(paths, self.settings["rooms_per_shard"])
        return {"rirs": rirs, **arrays, **scalars}

    def _check_copies(self, shards: list[dict[str, np.ndarray]]) -> None:
        """Raises a ValueError for shards of the same rooms: no two are drawn alike."""
        first: dict[bytes, int] = {}
        for number, shard in enumerate(shards):
            other = first.setdefault(shard["sources"].tobytes(), number)
            if other != number:
                raise ValueError(
                    f"Shards {other} and {number} of {self.path} hold the same rooms, a file was "
                    "copied over another. `build_bank` with the same settings makes it again."
                )

    def room(self, row: int) -> Room:
        """Reads one room, without its responses; a ValueError if there is no such room or shard."""
        if not 0 <= row < self.settings["num_rooms"]:
            raise ValueError(
                f"`room` must be from 0 to {self.settings['num_rooms'] - 1}. Received: room={row}"
            )
        shard, row_there = divmod(row, self.settings["rooms_per_shard"])
        if not self.is_whole(shard, read_all=False):
            raise ValueError(f"Shard {shard} of {self.path}, which holds room {row}, is missing.")
        fields = self.read(shard)
        names = ("room_sizes", "t60", "microphones", "sources")
        return Room(*(fields[name][row_there] for name in names))


def folder_settings(
    settings: BankSettings, num_rooms: int, first_index: int, rooms_per_shard: int
) -> dict[str, Any]:
    """All settings that the files of a bank depend on, as JSON stores them.

    The backend is among them: backends agree up to rounding, not to the last bit.
    """
    everything = {
        "num_rooms": int(num_rooms),
        "first_index": int(first_index),
        "rooms_per_shard": int(rooms_per_shard),
        "length": settings.length,
        "backend": keras.config.backend(),
        **dataclasses.asdict(settings),
    }
    defaults = dataclasses.asdict(RoomRanges())
    everything["ranges"] = {
        name: value
        for name, value in everything["ranges"].items()
        if name not in _LATER or value != defaults[name]
    }
    stored: dict[str, Any] = json.loads(json.dumps(everything, default=_as_python))
    return stored


def _as_python(number: Any) -> Any:
    """NumPy's numbers as Python's, which JSON can store."""
    if isinstance(number, np.generic):
        return number.item()
    raise TypeError(f"The settings of a bank must be numbers and strings. Received: {number!r}")


def _resumable(path: pathlib.Path) -> ResumableFolder:
    return ResumableFolder(path, _SETTINGS, "a bank", "folder", indent=1)
