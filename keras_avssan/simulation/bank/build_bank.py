"""Builds a bank of any size in a folder, shard by shard."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import PathLike
from keras_avssan.simulation.bank.bank_folder import BankFolder, folder_settings
from keras_avssan.simulation.bank.bank_settings import BankSettings, check_workers, simulate_bank


def build_bank(
    folder: PathLike,
    num_rooms: int,
    seed: int = 0,
    *,
    first_index: int = 0,
    rooms_per_shard: int = 100,
    shards: Iterable[int] | None = None,
    workers: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> None:
    """Builds a bank in a folder, shard by shard, from where an earlier call stopped.

    The rooms are those of `RIRBank.build` with the same arguments, but one shard at a time is in
    memory and is written, atomically, before the next one starts: whatever stopped an earlier call,
    the same call resumes and ends with the same bytes, on the same backend and machine. Damaged
    shards are made again. The files are `.npy` and `.npz`, and `RIRBank.load(folder)` reads them on
    demand.

    Several processes may build one bank, each with its own `shards`.

    Args:
        folder: Path of a folder that is new, empty or holds the same bank in progress.
        num_rooms: Number of rooms of the whole bank.
        seed: Seed of the rooms, zero or more.
        first_index: Index of the first room in the series of the seed.
        rooms_per_shard: Number of rooms in each shard except the last, which may hold fewer.
        shards: Numbers, from 0, of the shards to build; by default all.
        workers: Number of threads, each with a room of its own; by default PyTorch's number of
            threads on a CPU, otherwise 1. The files are the same.
        progress: Whether to show a progress bar.
        **settings: `sources_per_room`, `ranges`, `sampling_rate`, `max_duration`, `formula`,
            `speed_of_sound`, `image_attenuation`, `tail` and `calibrate`, see `RIRBank.build`.

    Raises:
        ValueError: If an argument is out of range, or the folder holds other files or a bank of
            other settings, which are named.
        TypeError: If an argument is not known.
        KeyboardInterrupt: If the user stops it. Its message states how many shards are complete.

    Example:
        ```python
        build_bank("rooms", num_rooms=10_000, seed=0)
        bank = RIRBank.load("rooms")
        bank.rirs[[17, 9000], [0, 3]].shape  # (2, 2, 12800)
        ```
    """
    given = {name: value for name, value in settings.items() if value is not None}
    requested = BankSettings(seed=seed, **given)
    num_rooms = check_integer("num_rooms", num_rooms, 1)
    rooms_per_shard = check_integer("rooms_per_shard", rooms_per_shard, 1)
    first_index = check_integer("first_index", first_index)
    workers = check_workers(workers)
    requested.draw(first_index)  # raises an error for impossible settings before there is a folder
    layout = folder_settings(requested, num_rooms, first_index, rooms_per_shard)
    chosen = _check_shards(shards, -(-num_rooms // rooms_per_shard))
    bank = BankFolder.create(folder, layout)
    bank.remove_parts(chosen)
    missing = bank.missing(chosen, read_all=True)
    rooms, rooms_left = (sum(len(bank.indices(k)) for k in some) for some in (chosen, missing))
    with tqdm(
        total=rooms, initial=rooms - rooms_left, desc="Rooms", unit="room", disable=not progress
    ) as bar:
        try:
            for shard in missing:
                bank.write(shard, simulate_bank(requested, bank.indices(shard), workers, bar))
        except KeyboardInterrupt:
            raise bank.stopped() from None


def _check_shards(shards: Iterable[int] | None, num_shards: int) -> list[int]:
    """The shards to build, in order, after checking that the bank has them."""
    chosen = sorted(set(range(num_shards) if shards is None else shards))
    if not chosen or not 0 <= chosen[0] <= chosen[-1] < num_shards:
        raise ValueError(
            f"`shards` must be numbers from 0 to {num_shards - 1}. Received: shards={chosen}"
        )
    return chosen
