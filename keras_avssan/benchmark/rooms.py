"""Rooms to train in, others to validate in, others to test in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_avssan._internal.types import PathLike
from keras_avssan.simulation import RIRBank, RoomRanges
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM, divide_rooms

# Rooms of one seed are a series; these are the first ones of each part.
_FIRST = {"train": 0, "validation": 500_000, "test": FIRST_EVALUATION_ROOM}
_SOURCES = 4


def num_rooms(settings: Mapping[str, Any]):
    """Number of rooms of each part.

    Args:
        settings: `BenchmarkSettings`.

    Returns:
        Dict from `"train"`, `"validation"` and `"test"` to Int.
    """
    halves = {"validation": settings.test_rooms // 2, "test": settings.test_rooms}
    return {"train": settings.rooms, **halves}


def build_banks(
    settings: Mapping[str, Any], folder: PathLike, sampling_rate: int, progress: bool = True
):
    """Simulates the rooms, or reads them where that was done before.

    Args:
        settings: `BenchmarkSettings`.
        folder: Folder of the banks, made if needed.
        sampling_rate: In samples a second.
        progress: Whether a progress bar is shown.

    Returns:
        Dict from `"train"`, `"validation"` and `"test"` to a pair of `RIRBank` and `None`, as
        `BenchmarkScenes` takes it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    banks = {}
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


def placeholder_banks(settings: Mapping[str, Any], sampling_rate: int):
    """Banks without sound, to see whether scenes can be planned before rooms are simulated.

    Args:
        settings: `BenchmarkSettings`.
        sampling_rate: In samples a second.

    Returns:
        Dict like that of `build_banks`.
    """
    banks = {}
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


def divide_bank(bank: Any):
    """Divides the rooms of one bank: eight tenths to train, a tenth each to validate and test.

    Args:
        bank: `RIRBank` of at least ten rooms.

    Returns:
        Dict like that of `build_banks`.

    Raises:
        ValueError: If there are fewer.
    """
    count = len(bank)
    if count < 10:
        raise ValueError(f"`bank` must have at least 10 rooms. Received: {count}")
    return {role: (bank, rooms) for role, rooms in divide_rooms(count).items()}
