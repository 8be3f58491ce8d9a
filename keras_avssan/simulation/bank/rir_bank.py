"""Banks of impulse responses, simulated or measured."""

import dataclasses
import os
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_avssan._internal.atomic_files import write_whole
from keras_avssan._internal.checks import check_choice, check_integer
from keras_avssan._internal.one_line import count, one_line, span
from keras_avssan._internal.types import PathLike
from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.simulation.bank.bank_checks import check_arrays
from keras_avssan.simulation.bank.bank_file import FORMAT, missing_file, no_bank, read_fields
from keras_avssan.simulation.bank.bank_folder import BankFolder
from keras_avssan.simulation.bank.bank_imports import BankImports
from keras_avssan.simulation.bank.bank_settings import BankSettings, check_workers, simulate_bank
from keras_avssan.simulation.bank.room_parts import PARTS, divide_rooms, divide_rows
from keras_avssan.simulation.bank.sharded_rirs import ShardedRIRs
from keras_avssan.simulation.rooms import Room, RoomRanges

# Settings of a simulation that are fields of the bank.
_SETTINGS = (
    *("sampling_rate", "seed", "formula", "speed_of_sound"),
    *("image_attenuation", "tail", "calibrate"),
)
# Spacings of rooms that differ by less are the same one, in metres.
_SAME_SPACING = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class RIRBank(BankImports):
    """Impulse responses from S sources to a pair of microphones in each of many rooms.

    Args:
        rirs: float32 array of shape `(rooms, S, 2, length)`. In a bank that was loaded from a
            folder the responses stay in files: an index by rooms and sources reads these alone,
            `np.asarray` reads all of them.
        azimuths: float32 azimuths in degrees, shape `(rooms, S)`.
        t60: float32 reverberation times in seconds, shape `(rooms,)`.
        room_sizes: float32 lengths in metres, shape `(rooms, 3)`.
        microphones: float32 positions in metres, shape `(rooms, 2, 3)`.
        sources: float32 positions in metres, shape `(rooms, S, 3)`.
        sampling_rate: Sampling rate in hertz.
        seed: Seed that the rooms were drawn with.
        first_index: The index of the first room in the series of that seed.
        formula: `"sabine"` or `"eyring"`; `"measured"` for measured responses.
        speed_of_sound: Speed of sound in metres per second.
        absorption: float32 absorption of the walls x = 0, x = Lx, y = 0, y = Ly, z = 0, z = Lz,
            shape `(rooms, 6)`; `None` if it is not known.
        image_attenuation: Argument of `simulate_rirs`, as are the next two.
        tail: Whether a diffuse tail follows the images.
        calibrate: Whether the absorption was solved for a measured T60.
        groups: Number of the room that each row is of, shape `(rooms,)`, where rows share rooms:
            pairs of microphones or sets of sources in one measured room.
        measured: bool, which rooms were measured, shape `(rooms,)`. Their `t60` and `room_sizes`
            may be NaN, not known.
        origins: Number of the bank that each room of a mixture is from, shape `(rooms,)`.
        shares: Share of each bank in the scenes of a mixture, shape `(banks,)`.
        band_absorption: Absorption in octave bands from 125 Hz to 8 kHz, shape `(rooms, 7)`; as the
            next four, `None` unless `RoomRanges` varies it.
        microphone_gains: Errors of the gains in dB, shape `(rooms, 2)`.
        microphone_phases: Errors of the phases in degrees, shape `(rooms, 2)`.
        microphone_offsets: Errors of the positions in metres, shape `(rooms, 2, 3)`.
        source_orientations: Unit vectors, shape `(rooms, S, 3)`.

    Raises:
        ValueError: If the shapes of the arrays do not fit together, or a value is out of range:
            azimuths beyond 0 to 180 degrees, times, sizes or a rate that are not positive,
            anything that is not finite. Responses in files are not checked.
        TypeError: If one is not an array.

    Example:
        >>> bank = RIRBank.build(num_rooms=2, seed=0, max_duration=0.05, progress=False)
        >>> bank.rirs.shape
        (2, 4, 2, 800)
    """

    rirs: np.ndarray | ShardedRIRs
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
    absorption: np.ndarray | None = None
    image_attenuation: float | None = None
    tail: bool = False
    calibrate: bool = False
    groups: np.ndarray | None = None
    measured: np.ndarray | None = None
    origins: np.ndarray | None = None
    shares: np.ndarray | None = None
    band_absorption: np.ndarray | None = None
    microphone_gains: np.ndarray | None = None
    microphone_phases: np.ndarray | None = None
    microphone_offsets: np.ndarray | None = None
    source_orientations: np.ndarray | None = None

    def __repr__(self) -> str:
        rooms, sources, _, length = self.rirs.shape
        return one_line(
            self,
            f"{count(rooms, 'room')} of {count(sources, 'source')}",
            f"T60 {span(self.t60, ' s', 2) or 'unknown'}",
            f"microphones {span(self._spacings(), ' m')} apart",
            f"{length / self.sampling_rate:.2g} s at {self.sampling_rate} Hz",
            self._origin(),
        )

    def _origin(self) -> str:
        """Where the responses are from, for the `repr`."""
        if self.shares is not None:
            return f"{len(self.shares)} banks mixed"
        if self.measured is not None:
            return "measured"
        return f"seed {self.seed} from room {self.first_index}"

    def _spacings(self) -> np.ndarray:
        return np.linalg.norm(self.microphones[:, 0] - self.microphones[:, 1], axis=-1)

    def __post_init__(self) -> None:
        """Checks shapes and values."""
        check_arrays({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})
        for name, least in (("sampling_rate", 1), ("first_index", 0)):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), least))

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
        image_attenuation: float | None = None,
        tail: bool = False,
        calibrate: bool = False,
        workers: int | None = None,
        progress: bool = True,
    ) -> "RIRBank":
        """Draws rooms and simulates their impulse responses.

        Room number i depends on `seed` and `first_index + i` alone, so that a bank may be built in
        parts; `build_bank` does so for large banks. Every response holds
        the images that arrive within the room's T60, followed by zeros up to the common length.

        Args:
            num_rooms: Number of rooms.
            seed: Seed of the rooms, zero or more.
            sources_per_room: Number of sources S in each room.
            ranges: A `RoomRanges`; `None` takes its defaults.
            sampling_rate: Sampling rate in hertz.
            max_duration: Duration of all responses in seconds; by default the longest T60 of
                `ranges`, divided by the least `absorption_factor` below 1.
            first_index: Index of the first room.
            formula: `"sabine"` or `"eyring"`: how T60 becomes wall absorption.
            speed_of_sound: Speed of sound in metres per second.
            image_attenuation: Decay in decibels up to which images are simulated, see
                `simulate_rirs`.
            tail: Whether a diffuse tail follows the images, see `simulate_rirs`.
            calibrate: Whether the absorption is solved for a measured T60, see `simulate_rirs`.
            workers: Number of threads, each with a room of its own; by default PyTorch's number
                of threads on a CPU, otherwise 1. The result is the same.
            progress: Whether to show a progress bar.

        Returns:
            A `RIRBank`.

        Raises:
            ValueError: If `num_rooms` is below 1 or another argument is out of range.
        """
        settings = BankSettings(
            seed=seed,
            sources_per_room=sources_per_room,
            ranges=ranges or RoomRanges(),
            sampling_rate=sampling_rate,
            max_duration=max_duration,
            formula=formula,
            speed_of_sound=speed_of_sound,
            image_attenuation=image_attenuation,
            tail=tail,
            calibrate=calibrate,
        )
        num_rooms = check_integer("num_rooms", num_rooms, 1)
        first_index = check_integer("first_index", first_index)
        indices = range(first_index, first_index + num_rooms)
        with tqdm(total=num_rooms, desc="Rooms", disable=not progress) as bar:
            arrays: dict[str, Any] = simulate_bank(settings, indices, check_workers(workers), bar)
        return cls(
            **arrays,
            first_index=first_index,
            **{name: getattr(settings, name) for name in _SETTINGS},
        )

    def room(self, row: int) -> Room:
        """Returns one room of the bank.

        Args:
            row: Number of the room in the bank, from 0.

        Returns:
            A `Room`.

        Raises:
            ValueError: If the size or the reverberation time of a measured room is not known.
        """
        if not np.all(np.isfinite([*self.room_sizes[row], self.t60[row]])):
            raise ValueError(
                "`row` must be a room of known size and reverberation time. "
                f"Received: row={row}, measured, {self.room_sizes[row]} m, T60 {self.t60[row]} s"
            )
        return Room(
            self.room_sizes[row], float(self.t60[row]), self.microphones[row], self.sources[row]
        )

    def part(self, name: str) -> tuple[int, int]:
        """Returns the rooms for training, validation or test, which are disjoint.

        The last tenth of the rooms is for test, the tenth before for validation, the others for
        training. The command line divides every bank in this way.

        Args:
            name: `"train"`, `"validation"` or `"test"`.

        Returns:
            Tuple `(start, stop)`, for `rooms` of `keras_avssan.data.ScenePlan`.

        Raises:
            ValueError: If there is no such part, or the bank has fewer than three rooms.

        Example:
            ```python
            train_plan = ScenePlan(catalog, bank, "train", rooms=bank.part("train"))
            test_plan = ScenePlan(catalog, bank, "test", rooms=bank.part("test"))
            ```
        """
        check_choice("name", name, PARTS)
        if self.groups is None:
            return divide_rooms(len(self))[name]
        return divide_rows(self.groups, self.origins)[name]

    @property
    def microphone_spacing(self) -> float:
        """Distance between the two microphones in metres, the same in every room.

        Raises:
            ValueError: If rooms differ in it by more than a millimetre.
        """
        pairs = np.asarray(self.microphones, "float64")
        spacings = np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=-1)
        least, most = spacings.min(), spacings.max()
        if most - least > _SAME_SPACING:
            raise ValueError(
                "The rooms of a bank must have the same distance between the microphones. "
                f"Received: from {least:.4f} to {most:.4f} m"
            )
        return round(float(np.median(spacings)), 4)

    def save(self, path: PathLike) -> None:
        """Writes the bank to an npz file, atomically.

        Args:
            path: Path of the file; no ending is added.
        """
        fields = {name: value for name, value in vars(self).items() if value is not None}
        write_whole(path, lambda file: np.savez(file, format=FORMAT, **fields))

    @classmethod
    def load(cls, path: PathLike) -> "RIRBank":
        """Reads a bank of `save` or `build_bank`.

        All values of a file are checked. In a folder the files of the responses, which may have
        many gigabytes, are checked for size and shape only; `build_bank` with the same arguments
        also compares their checksums, and makes damaged shards again.

        Args:
            path: Path of the file, or of the folder, whose responses are read on demand.

        Returns:
            A `RIRBank`.

        Raises:
            FileNotFoundError: If there is no such file or folder.
            ValueError: If it holds no bank of impulse responses, or one that is damaged or
                incomplete.
        """
        if os.path.isdir(path):
            return cls(**BankFolder.open(path).fields())
        try:
            return cls(**read_fields(path, [field.name for field in dataclasses.fields(cls)]))
        except FileNotFoundError:
            raise missing_file(path) from None
        except Exception as error:
            # Damaged zip and npy files raise a dozen kinds of errors.
            raise no_bank(path, error) from error
