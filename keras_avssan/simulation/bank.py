"""A bank of simulated impulse responses, from which scenes are rendered."""

import dataclasses
import os
import pathlib
import zipfile
import zlib

import numpy as np
from keras import ops
from tqdm import tqdm

from keras_avssan.simulation.absorption import SPEED_OF_SOUND
from keras_avssan.simulation.image_source import simulate_rirs
from keras_avssan.simulation.rooms import Room, RoomRanges, sample_room
from keras_avssan.simulation.validation import check_positive

_FORMAT = "keras-avssan RIR bank 1"


@dataclasses.dataclass(frozen=True, eq=False)
class RIRBank:
    """Impulse responses from S sources to a pair of microphones in each of many rooms.

    Args:
        rirs: float32 array of shape `(rooms, S, 2, length)`.
        azimuths: float32 azimuths in degrees, shape `(rooms, S)`.
        t60: float32 reverberation times in seconds, shape `(rooms,)`.
        room_sizes: float32 lengths in metres, shape `(rooms, 3)`.
        microphones: float32 positions in metres, shape `(rooms, 2, 3)`.
        sources: float32 positions in metres, shape `(rooms, S, 3)`.
        sampling_rate: in samples a second.
        seed: the seed that the rooms were drawn with.
        first_index: the index of the first room in the series of that seed.
        formula: `"sabine"` or `"eyring"`.
        speed_of_sound: in metres a second.

    Raises:
        ValueError: If the shapes of the arrays do not fit together.

    Example:
    >>> bank = RIRBank.build(num_rooms=2, seed=0, max_duration=0.05, progress=False)
    >>> bank.rirs.shape
    (2, 4, 2, 800)
    """

    rirs: np.ndarray
    azimuths: np.ndarray
    t60: np.ndarray
    room_sizes: np.ndarray
    microphones: np.ndarray
    sources: np.ndarray
    sampling_rate: int
    seed: int
    first_index: int = 0
    formula: str = "sabine"
    speed_of_sound: float = SPEED_OF_SOUND

    def __post_init__(self) -> None:
        """Checks the shapes."""
        if self.rirs.ndim != 4 or self.rirs.shape[2] != 2 or 0 in self.rirs.shape:
            raise ValueError(
                f"`rirs` must have shape (rooms, S, 2, length). Received {self.rirs.shape}."
            )
        rooms, sources = self.rirs.shape[:2]
        expected = {
            "azimuths": (rooms, sources),
            "t60": (rooms,),
            "room_sizes": (rooms, 3),
            "microphones": (rooms, 2, 3),
            "sources": (rooms, sources, 3),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"`{name}` must have shape {shape} to fit `rirs`. "
                    f"Received {getattr(self, name).shape}."
                )

    def __len__(self) -> int:
        """Number of rooms."""
        return len(self.rirs)

    @classmethod
    def build(
        cls,
        num_rooms: int,
        seed: int = 0,
        *,
        sources_per_room: int = 4,
        ranges: RoomRanges | None = None,
        sampling_rate: int = 16000,
        max_duration: float | None = None,
        first_index: int = 0,
        formula: str = "sabine",
        speed_of_sound: float = SPEED_OF_SOUND,
        progress: bool = True,
    ) -> "RIRBank":
        """Draws rooms and simulates their impulse responses.

        Room number i depends on `seed` and `first_index + i` alone, so that a bank may be built in
        parts. Every response holds the images that arrive within the room's T60, followed by
        zeros up to the common length.

        Args:
            num_rooms: number of rooms.
            seed: integer of zero or more.
            sources_per_room: number of sources S in each room.
            ranges: a `RoomRanges`; its defaults where not given.
            sampling_rate: in samples a second.
            max_duration: duration of all responses in seconds; the longest T60 of `ranges` where
                not given.
            first_index: index of the first room.
            formula: `"sabine"` or `"eyring"`: how T60 becomes wall absorption.
            speed_of_sound: in metres a second.
            progress: whether to show a progress bar.

        Returns:
            A `RIRBank`.

        Raises:
            ValueError: If `num_rooms` is below 1 or another argument is out of range.
        """
        ranges = ranges or RoomRanges()
        if num_rooms < 1:
            raise ValueError(f"`num_rooms` must be at least 1. Received: {num_rooms}.")
        check_positive(sampling_rate, "sampling_rate")
        longest = ranges.t60[1] if max_duration is None else max_duration
        longest = float(check_positive(longest, "max_duration"))
        length = round(longest * sampling_rate)
        shape = (num_rooms, sources_per_room, 2, length)
        rirs = np.zeros(shape, dtype="float32")
        rooms = []
        indices = range(first_index, first_index + num_rooms)
        for row, index in enumerate(tqdm(indices, desc="Rooms", disable=not progress)):
            room = sample_room(
                seed,
                index,
                num_sources=sources_per_room,
                ranges=ranges,
                formula=formula,
                speed_of_sound=speed_of_sound,
            )
            responses = simulate_rirs(
                room.size,
                room.sources,
                room.microphones,
                t60=room.t60,
                length=length,
                sampling_rate=sampling_rate,
                formula=formula,
                speed_of_sound=speed_of_sound,
            )
            rirs[row] = ops.convert_to_numpy(responses)
            rooms.append(room)
        return cls(
            rirs=rirs,
            azimuths=_stack(rooms, "azimuths"),
            t60=_stack(rooms, "t60"),
            room_sizes=_stack(rooms, "size"),
            microphones=_stack(rooms, "microphones"),
            sources=_stack(rooms, "sources"),
            sampling_rate=sampling_rate,
            seed=seed,
            first_index=first_index,
            formula=formula,
            speed_of_sound=speed_of_sound,
        )

    def save(self, path: str | os.PathLike) -> None:
        """Writes the bank to an npz file, whole or not at all.

        Args:
            path: where to; taken as it is, with no ending added.
        """
        path = pathlib.Path(path)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with open(temporary, "wb") as file:
                np.savez(file, format=_FORMAT, **vars(self))
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike) -> "RIRBank":
        """Reads a bank that `save` wrote.

        Args:
            path: the file.

        Returns:
            A `RIRBank`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not a bank of impulse responses, or a damaged one.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                if file["format"] != _FORMAT:
                    raise ValueError(f"its format is {file['format']}")
                fields = {field.name: file[field.name] for field in dataclasses.fields(cls)}
            scalars = {name: value.item() for name, value in fields.items() if value.ndim == 0}
            return cls(**(fields | scalars))
        except FileNotFoundError:
            raise
        except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ValueError(_unreadable(path, error)) from error
        except (zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(_unreadable(path, error)) from error


def _stack(rooms: list[Room], name: str) -> np.ndarray:
    return np.stack([getattr(room, name) for room in rooms]).astype("float32")


def _unreadable(path: str | os.PathLike, error: Exception) -> str:
    return f"{os.fspath(path)} is not a whole bank of impulse responses of RIRBank.save: {error}"
