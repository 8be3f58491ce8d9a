"""Settings of a bank, and the simulation of its rooms."""

import contextlib
import dataclasses
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from keras import ops
from tqdm import tqdm

from keras_avssan._internal.checks import check_integer
from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.simulation.bank.room_variation import RoomVariation, join_bands
from keras_avssan.simulation.calibration import wall_absorption
from keras_avssan.simulation.image_source.image_source import simulate_rirs
from keras_avssan.simulation.room_variation_checks import band_factors
from keras_avssan.simulation.rooms import Room, RoomRanges, sample_room
from keras_avssan.simulation.torch_threads import default_workers
from keras_avssan.simulation.validation import check_positive

# Seeds of noise stay below this, so that they fit into every backend's integers.
_MAX_SEED = 2**31


@dataclasses.dataclass(frozen=True)
class BankSettings:
    """All settings that a room of a bank depends on, except its index; see `RIRBank.build`."""

    seed: int = 0
    sources_per_room: int = 4
    ranges: RoomRanges = RoomRanges()
    sampling_rate: int = 16000
    max_duration: float | None = None
    formula: str = "sabine"
    speed_of_sound: float = SPEED_OF_SOUND
    image_attenuation: float | None = None
    tail: bool = False
    calibrate: bool = False

    def __post_init__(self) -> None:
        """Checks the rate and fixes the duration."""
        check_positive(self.sampling_rate, "sampling_rate")
        check_integer("sampling_rate", self.sampling_rate, 1)
        if self.image_attenuation is not None:
            check_positive(self.image_attenuation, "image_attenuation")
        longest = self.max_duration
        if longest is None:
            longest = self.ranges.t60[1] * _stretch(band_factors(self.ranges)[:, 0])
        longest = float(check_positive(longest, "max_duration"))
        object.__setattr__(self, "max_duration", longest)
        if self.length < 1:
            raise ValueError(
                f"`max_duration` must last at least one sample at {self.sampling_rate} Hz. "
                f"Received: max_duration={longest}"
            )

    @property
    def length(self) -> int:
        """Number of samples of every response."""
        return round((self.max_duration or 0.0) * self.sampling_rate)

    def draw(self, index: int) -> Room:
        """Room number `index`, see `sample_room`."""
        return sample_room(
            self.seed,
            index,
            num_sources=self.sources_per_room,
            ranges=self.ranges,
            formula=self.formula,
            calibrate=self.calibrate,
            tail=self.tail,
            speed_of_sound=self.speed_of_sound,
        )

    def simulate(self, index: int) -> tuple[Room, dict[str, np.ndarray]]:
        """Draws room number `index`; returns it, and its arrays by their names in `RIRBank`.

        One room a call: results must not depend on other rooms, to the last bit.
        """
        room = self.draw(index)
        absorption = wall_absorption(
            room.size, room.t60, self.formula, self.calibrate, self.speed_of_sound, self.tail
        )
        variation = RoomVariation.draw(self.seed, index, room, self.ranges)
        bands = variation.band_absorption(float(absorption))
        walls = absorption if bands is None else bands
        rirs = self._responses(room, walls, variation, _noise_seed(self.seed, index))
        if bands is not None:
            rirs = join_bands(rirs, self.sampling_rate)
        arrays = {"rirs": variation.at_microphones(rirs), "absorption": np.full(6, absorption)}
        return room, arrays | variation.arrays(float(absorption))

    def _responses(
        self, room: Room, absorption: np.ndarray, variation: RoomVariation, seed: int
    ) -> np.ndarray:
        """Responses `(S, 2, length)`, or `(7, S, 2, length)` of seven absorptions."""
        images = 1.0 if self.image_attenuation is None else self.image_attenuation / 60
        offsets = variation.microphone_offsets
        factors = variation.band_factors
        duration = room.t60 * (1.0 if factors is None else _stretch(factors))
        sources, orientations = room.sources, variation.source_orientations
        if factors is not None:  # a batch of seven, each with all sources
            sources = sources[None]
            orientations = None if orientations is None else orientations[None]
        responses = simulate_rirs(
            room.size,
            sources,
            room.microphones if offsets is None else room.microphones + offsets,
            absorption=absorption,
            duration=duration,
            image_duration=images * duration,
            tail=self.tail,
            # The noise is the same in all bands.
            seed=seed if factors is None else np.full(len(absorption), seed),
            length=self.length,
            source_pattern=self.ranges.source_pattern,
            source_orientation=orientations,
            sampling_rate=self.sampling_rate,
            speed_of_sound=self.speed_of_sound,
        )
        return ops.convert_to_numpy(responses)


def _stretch(factors: np.ndarray) -> float:
    """How many times longer the reverberation is with these factors of the absorption, at most."""
    return max(1.0, 1 / float(np.min(factors)))


def _noise_seed(seed: int, index: int) -> int:
    state = np.random.SeedSequence([seed, index]).generate_state(1)
    return int(state[0] % _MAX_SEED)


def simulate_bank(
    settings: BankSettings, indices: range, workers: int, bar: tqdm
) -> dict[str, np.ndarray]:
    """Draws and simulates rooms, with `workers` threads, each with a room of its own.

    Returns float32 arrays by their names in `RIRBank`; `bar` advances by one for each room.
    """
    rirs = np.zeros((len(indices), settings.sources_per_room, 2, settings.length), "float32")
    rooms: list[Room] = []
    found: list[dict[str, np.ndarray]] = []
    with contextlib.closing(_simulate_rooms(settings, indices, workers)) as simulated:
        for row, (room, arrays) in enumerate(simulated):
            rirs[row] = arrays.pop("rirs")
            rooms.append(room)
            found.append(arrays)
            bar.update()
    return {
        "rirs": rirs,
        "azimuths": _stack(rooms, "azimuths"),
        "t60": _stack(rooms, "t60"),
        "room_sizes": _stack(rooms, "size"),
        "microphones": _stack(rooms, "microphones"),
        "sources": _stack(rooms, "sources"),
        **{name: np.stack([one[name] for one in found]).astype("float32") for name in found[0]},
    }


def check_workers(workers: int | None) -> int:
    """Returns the number of threads, at least 1; for `None` the backend's own."""
    return default_workers() if workers is None else check_integer("workers", workers, 1)


def _simulate_rooms(
    settings: BankSettings, indices: range, workers: int
) -> Generator[tuple[Room, dict[str, np.ndarray]]]:
    """The rooms in the order of their indices, whichever thread finishes first."""
    if workers == 1:
        yield from map(settings.simulate, indices)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(settings.simulate, indices)


def _stack(rooms: list[Room], name: str) -> np.ndarray:
    return np.stack([getattr(room, name) for room in rooms]).astype("float32")
