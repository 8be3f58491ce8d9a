"""Writing of spatial clips: dry clips in simulated rooms, at two microphones."""

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import scipy.signal

from keras_avssan._internal.atomic_files import sha256_of_file, write_json, write_whole
from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import PathLike
from keras_avssan.data.vggsound_ssl.catalog import decode_flac
from keras_avssan.data.vggsound_ssl.folder import (
    MANIFEST_FILE,
    check_engine,
    run_stage,
    start_folder,
)
from keras_avssan.data.vggsound_ssl.stage1_decode import flac_bytes
from keras_avssan.data.vggsound_ssl.stage3_shard import (
    json_bytes,
    read_index,
    shard_is_whole,
    shard_path,
    write_index,
)
from keras_avssan.data.vggsound_ssl.stage4_manifest import read_manifest, shard_entry
from keras_avssan.data.vggsound_ssl.tar_files import TarWriter, read_member

if TYPE_CHECKING:
    from keras_avssan.simulation import RIRBank

SPATIAL = "spatial"
FORMAT = "keras-avssan spatial clips 1"
# Root mean square of every clip, over both channels; less where its peaks would clip.
_RMS = 0.1
# Least level and peak that gains are computed from, so that they stay finite.
_FAINTEST = 1e-6


@dataclass(frozen=True)
class SpatialJob:
    """Arguments that all shards of spatial clips share.

    Args:
        root: Path of the dataset of dry clips.
        bank: Path of the bank of rooms.
        bank_sha256: Identity of the bank.
        rooms_per_clip: Number of rooms that each clip is placed in.
        seed: Random seed.
        rooms: `(split, start, stop)` for each split: the rooms of the bank that each split draws
            from.
    """

    root: Path
    bank: Path
    bank_sha256: str
    rooms_per_clip: int
    seed: int
    rooms: tuple[tuple[str, int, int], ...]


def spatialise_clips(
    root: PathLike,
    bank: PathLike,
    rooms_per_clip: int = 1,
    *,
    seed: int = 0,
    engine: str = "processes",
    workers: int = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Writes the clips of a dataset as recorded by two microphones, one source at a time.

    Each clip is convolved with responses from random places in random rooms of a bank. The splits
    draw from rooms of their own. The shards stand in the folder `spatial` of the dataset: of each
    clip there are `{key}-{room}.flac` with two channels and `{key}-{room}.json` with its azimuth
    and room. As with `build_vggsound_ssl`, the same call resumes an earlier one.

    Args:
        root: Path of a folder that `build_vggsound_ssl` wrote.
        bank: Path of a bank of rooms, the folder or the file, see `RIRBank.load`.
        rooms_per_clip: Number of rooms that each clip is placed in.
        seed: Seed of the choice of rooms and places.
        engine: `"processes"` or `"ray"`, see `keras_avssan._internal.work_units.run_units`.
        workers: Number of units of work at a time.
        progress: Whether to show a progress bar.

    Returns:
        The manifest, the content of `spatial/manifest.json`.

    Raises:
        ValueError: An argument is out of range, the bank has another sampling rate or fewer rooms
            than there are splits, or the folder holds spatial clips of other settings.
        FileNotFoundError: There is no such bank.
        OSError: The disk is full. Finished files are kept.
        KeyboardInterrupt: The user stopped it. The message has the progress.

    Example:
        ```python
        build_bank("rooms", num_rooms=10_000)
        spatialise_clips("vggsound-ssl", "rooms")
        clips = SpatialClips("vggsound-ssl", split="train")
        clips[0]["audio"].shape, clips[0]["azimuth"]  # (160000, 2), degrees
        ```

    Reference:
        AV-SSAN, "Spatial Audio Synthesis".
    """
    check_integer("rooms_per_clip", rooms_per_clip, least=1)
    check_integer("seed", seed)
    check_engine(engine, workers)
    # Absolute: on a cluster the work is done in other folders.
    root, bank = Path(root).absolute(), Path(bank).absolute()
    folder = root / SPATIAL
    dry = read_manifest(root)
    rooms = _rooms_of_splits(check_bank(bank, dry["settings"]["sampling_rate"]), dry["clips"])
    layout: dict[str, Any] = {
        "clips": [shard["sha256"] for shard in dry["shards"]],
        "bank_sha256": _bank_identity(bank),
        "rooms_per_clip": rooms_per_clip,
        "seed": seed,
    }
    resumable = start_folder(folder, layout)
    job = SpatialJob(root, bank, layout["bank_sha256"], rooms_per_clip, seed, rooms)
    names = [shard["name"] for shard in dry["shards"]]
    missing = [name for name in names if not shard_is_whole(folder, name)]
    run_stage(
        partial(write_spatial_shard, job),
        missing,
        len(names),
        "spatial shards",
        resumable,
        engine=engine,
        workers=workers,
        progress=progress,
    )
    shards = [shard_entry(folder, name) for name in names]
    ranges = {split: [start, stop] for split, start, stop in rooms}
    manifest = {"format": FORMAT, "settings": layout, "rooms": ranges, "shards": shards}
    write_json(folder / MANIFEST_FILE, manifest)
    return manifest


def write_spatial_shard(job: SpatialJob, name: str) -> dict[str, Any]:
    """Writes the spatial clips of one shard of dry clips; returns name, clips and bytes."""
    index = read_index(job.root, name)
    folder = job.root / SPATIAL
    entries: list[dict[str, Any]] = []

    def write(file: BinaryIO) -> None:
        tar = TarWriter(file)
        for clip in index["clips"]:
            samples = decode_flac(read_member(shard_path(job.root, name), clip["audio"]))
            for copy, (spatial, about) in enumerate(_place_in_rooms(job, clip, samples)):
                key = f"{clip['key']}-{copy}"
                audio = tar.add(f"{key}.flac", flac_bytes(spatial, clip["sampling_rate"]))
                tar.add(f"{key}.json", json_bytes(about))
                entries.append({"key": key, **about, "audio": audio})
        tar.close()

    write_whole(shard_path(folder, name), write)
    return write_index(folder, name, index["split"], entries)


def check_bank(bank: PathLike, sampling_rate: int) -> int:
    """Returns the number of a bank's rooms; refuses one at another sampling rate than the clips."""
    from keras_avssan.simulation import RIRBank

    rooms = RIRBank.load(bank)
    if rooms.sampling_rate != sampling_rate:
        raise ValueError(
            f"`bank` must be at {sampling_rate} Hz, the rate of the clips. "
            f"Received: bank='{bank}' at {rooms.sampling_rate} Hz"
        )
    return len(rooms)


def _place_in_rooms(
    job: SpatialJob, clip: dict[str, Any], samples: np.ndarray
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """A clip in its rooms: float32 `(samples, 2)`, and the description of each copy."""
    bank = _load_bank(job.bank, job.bank_sha256)
    start, stop = next(rooms[1:] for rooms in job.rooms if rooms[0] == clip["split"])
    rng = np.random.default_rng([job.seed, zlib.crc32(clip["key"].encode())])
    for _ in range(job.rooms_per_clip):
        room = int(rng.integers(start, stop))
        place = int(rng.integers(bank.azimuths.shape[1]))
        spatial = scipy.signal.fftconvolve(samples[None], bank.rirs[room, place], axes=1)
        spatial = spatial[:, : len(samples)].T
        level = max(_rms(spatial), _FAINTEST)
        gain = min(_RMS / level, 1.0 / max(np.abs(spatial).max(), _FAINTEST))
        centre = bank.microphones[room].mean(axis=0)
        yield (
            spatial * np.float32(gain),
            {
                "class": clip["class"],
                "clip": clip["key"],
                "split": clip["split"],
                "num_samples": len(samples),
                "sampling_rate": clip["sampling_rate"],
                "azimuth": round(float(bank.azimuths[room, place]), 3),
                "distance": round(float(np.linalg.norm(bank.sources[room, place] - centre)), 3),
                "t60": round(float(bank.t60[room]), 3),
                "room": room,
                "place": place,
                "gain": float(np.float32(gain)),
            },
        )


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype="float64"))))


@functools.lru_cache(maxsize=1)
def _load_bank(path: Path, checksum: str) -> "RIRBank":
    """The bank, opened once in each process for each checksum."""
    from keras_avssan.simulation import RIRBank

    return RIRBank.load(path)


def _bank_identity(bank: Path) -> str:
    """SHA-256 of a bank's settings, or of all of it where it is one file."""
    return sha256_of_file(bank / "bank.json" if bank.is_dir() else bank)


def _rooms_of_splits(num_rooms: int, clips: dict[str, int]) -> tuple[tuple[str, int, int], ...]:
    """Rooms from start to stop - 1 for each split with clips, in proportion to them."""
    splits = [split for split, count in clips.items() if count]
    if num_rooms < len(splits):
        raise ValueError(
            f"`bank` must have a room for each of the splits {splits}. "
            f"Received: bank with {num_rooms} room(s)"
        )
    ranges: list[tuple[str, int, int]] = []
    total, reached, start = sum(clips.values()), 0, 0
    for number, split in enumerate(splits):
        reached += clips[split]
        # Each split gets a room at least, and leaves one to each of those that follow.
        stop = max(start + 1, round(num_rooms * reached / total))
        stop = min(stop, num_rooms - (len(splits) - 1 - number))
        ranges.append((split, start, stop))
        start = stop
    return tuple(ranges)
