"""Disjoint sets of rooms for training, validation and tests."""

from pathlib import Path
from typing import TypeAlias

import numpy as np

from keras_avssan._internal.types import PathLike
from keras_avssan.benchmark.settings import BenchmarkSettings
from keras_avssan.simulation import RIRBank, RoomRanges
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM, PARTS

# From `"train"`, `"validation"` and `"test"` to a bank and the range of its rooms, `None` for all.
Banks: TypeAlias = dict[str, tuple[RIRBank, tuple[int, int] | None]]

# Rooms of one seed are a series; these are the first ones of each part.
_FIRST = {"train": 0, "validation": 500_000, "test": FIRST_EVALUATION_ROOM}
_SOURCES = 4


def num_rooms(settings: BenchmarkSettings) -> dict[str, int]:
    """Number of rooms of each part."""
    halves = {"validation": settings.test_rooms // 2, "test": settings.test_rooms}
    return {"train": settings.rooms, **halves}


def build_banks(
    settings: BenchmarkSettings, folder: PathLike, sampling_rate: int, progress: bool = True
) -> Banks:
    """Simulates the rooms, or reads those that an earlier call saved in the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    banks: Banks = {}
    for role, count in num_rooms(settings).items():
        path = folder / f"{role}.npz"
        if not path.exists():
            bank = RIRBank.build(
                count,
                settings.seed,
                sources_per_room=_SOURCES,
                ranges=RoomRanges(spacing=settings.spacing),
                sampling_rate=sampling_rate,
                first_index=_FIRST[role],
                progress=progress,
            )
            bank.save(path)
        banks[role] = (RIRBank.load(path), None)
    return banks


def placeholder_banks(settings: BenchmarkSettings, sampling_rate: int) -> Banks:
    """Silent banks, to check that scenes can be planned before rooms are simulated."""
    banks: Banks = {}
    for role, count in num_rooms(settings).items():
        shape = (count, _SOURCES)
        bank = RIRBank(
            rirs=np.zeros((*shape, 2, 1), "float32"),
            azimuths=np.broadcast_to(np.linspace(30, 150, _SOURCES), shape),
            t60=np.ones(count),
            room_sizes=np.ones((count, 3)),
            microphones=np.zeros((count, 2, 3)),
            sources=np.zeros((*shape, 3)),
            sampling_rate=sampling_rate,
            seed=settings.seed,
        )
        banks[role] = (bank, None)
    return banks


def divide_bank(bank: RIRBank) -> Banks:
    """Divides the rooms of one bank: eight tenths to train, a tenth each to validate and test."""
    count = len(bank)
    if count < 10:
        raise ValueError(f"`bank` must have at least 10 rooms. Received: bank={bank!r}")
    return {role: (bank, bank.part(role)) for role in PARTS}
