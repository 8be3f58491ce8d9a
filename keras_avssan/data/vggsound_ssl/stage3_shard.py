"""Third stage of a build: WebDataset shards, with an index of the place of each clip."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from keras_avssan._internal.atomic_files import sha256_of_file, write_json, write_whole
from keras_avssan.data.vggsound_ssl.stage1_decode import part_path
from keras_avssan.data.vggsound_ssl.stage2_select import ShardPlan
from keras_avssan.data.vggsound_ssl.staged_clip import StagedClip
from keras_avssan.data.vggsound_ssl.tar_files import TarWriter, read_member


@dataclass(frozen=True)
class ShardJob:
    """Arguments that all shards of a build share.

    Args:
        folder: Path of the dataset.
        staging: Path of the staging folder.
        sampling_rate: Rate of the audio in Hz.
    """

    folder: Path
    staging: Path
    sampling_rate: int


def write_shard(job: ShardJob, plan: ShardPlan) -> dict[str, Any]:
    """Gathers the clips of a shard from the parts, and writes it and its index.

    A clip is three members, `{key}.flac`, `{key}.jpg` and `{key}.json`. Returns `name`, `clips` and
    `bytes`.
    """
    entries: list[dict[str, Any]] = []

    def write(file: BinaryIO) -> None:
        tar = TarWriter(file)
        for clip in plan.clips:
            source = part_path(job.staging, clip.part)
            about = _describe(clip, plan.split, job.sampling_rate)
            audio = tar.add(f"{clip.key}.flac", read_member(source, clip.audio))
            image = tar.add(f"{clip.key}.jpg", read_member(source, clip.image))
            tar.add(f"{clip.key}.json", json_bytes(about))
            entries.append({"key": clip.key, **about, "audio": audio, "image": image})
        tar.close()

    write_whole(shard_path(job.folder, plan.name), write)
    return write_index(job.folder, plan.name, plan.split, entries)


def shard_path(folder: Path, name: str) -> Path:
    """Path of the tar file of a shard."""
    return folder / f"{name}.tar"


def write_index(
    folder: Path, name: str, split: str, entries: list[dict[str, Any]]
) -> dict[str, Any]:
    """Writes the index of a shard, which marks it as complete; returns name, clips and bytes."""
    path = shard_path(folder, name)
    size = path.stat().st_size
    index = {"split": split, "bytes": size, "sha256": sha256_of_file(path), "clips": entries}
    write_json(path.with_suffix(".json"), index)
    return {"name": name, "clips": len(entries), "bytes": size}


def read_index(folder: Path, name: str) -> dict[str, Any]:
    """Reads the index of a shard: `split`, `bytes`, `sha256` and `clips`."""
    return json.loads(shard_path(folder, name).with_suffix(".json").read_text(encoding="utf-8"))


def shard_is_whole(folder: Path, name: str, keys: list[str] | None = None) -> bool:
    """Whether a shard was written, with these clips if given, and is undamaged; reads all of it."""
    try:
        index = read_index(folder, name)
        there = [clip["key"] for clip in index["clips"]]
        if keys is not None and keys != there:
            return False
        path = shard_path(folder, name)
        return index["bytes"] == path.stat().st_size and index["sha256"] == sha256_of_file(path)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def json_bytes(content: dict[str, Any]) -> bytes:
    """JSON in one line, as a member of a shard."""
    return json.dumps(content, ensure_ascii=False).encode()


def _describe(clip: StagedClip, split: str, sampling_rate: int) -> dict[str, Any]:
    """The description of a clip in its shard."""
    return {
        "class": clip.class_name,
        "youtube_id": clip.youtube_id,
        "start_second": clip.start_second,
        "split": split,
        "csv_split": clip.csv_split,
        "num_samples": clip.num_samples,
        "sampling_rate": sampling_rate,
        "frame_second": clip.frame_second,
        "similarity": clip.similarity,
    }
