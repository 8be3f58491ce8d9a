"""The stages that build VGGSound-SSL from VGGSound."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from keras_avssan._internal.atomic_files import remove_parts
from keras_avssan._internal.resumable_folder import ResumableFolder
from keras_avssan._internal.types import PathLike
from keras_avssan.data.media.video_io import import_av
from keras_avssan.data.vggsound_ssl.folder import (
    MANIFEST_FILE,
    STAGING,
    check_engine,
    run_stage,
    start_folder,
)
from keras_avssan.data.vggsound_ssl.settings import BuildSettings, encoder_identity
from keras_avssan.data.vggsound_ssl.stage1_decode import (
    Part,
    PartJob,
    build_part,
    list_parts,
    part_is_whole,
    read_part,
)
from keras_avssan.data.vggsound_ssl.stage2_select import select_clips
from keras_avssan.data.vggsound_ssl.stage3_shard import ShardJob, shard_is_whole, write_shard
from keras_avssan.data.vggsound_ssl.stage4_manifest import read_manifest, write_manifest
from keras_avssan.data.vggsound_ssl.staged_clip import DroppedClip, StagedClip
from keras_avssan.data.vggsound_ssl.vggsound import VGGSound


def build_vggsound_ssl(
    out: PathLike,
    csv: PathLike,
    videos: PathLike,
    *,
    clip: PathLike | None,
    engine: str = "processes",
    workers: int = 1,
    progress: bool = True,
    **settings: Any,
) -> dict[str, Any]:
    """Builds VGGSound-SSL from VGGSound's table and videos, from where an earlier call stopped.

    Videos are decoded to mono clips, and CLIP chooses the frame of each that matches its class
    best. Then classes and clips are chosen, dealt to splits, and written as tar shards, beside a
    manifest and a data card. Clips that cannot be used are left out, each with a reason.

    Files are written atomically: however an earlier call was interrupted, the same call resumes and
    ends with the same bytes, on the same backend, machine and versions. `staging` in the folder
    holds all decoded clips until the end, and so needs about as much space as the dataset.

    Args:
        out: Path of a folder that is new, empty or holds the same dataset in progress.
        csv: Path of VGGSound's table, see `VGGSound`.
        videos: Path of the folder of its videos.
        clip: Folder or name of a CLIP preset, see `keras_avssan.encoders.CLIPEncoder`; or `None`:
            the picture of a clip is the frame in its middle.
        engine: `"processes"` or `"ray"`, see `keras_avssan._internal.work_units.run_units`.
        workers: Number of units of work at a time.
        progress: Whether to show progress bars.
        **settings: Further settings, see `BuildSettings`.

    Returns:
        The manifest, the content of `manifest.json`.

    Raises:
        ValueError: An argument is out of range, there is no video, no class has enough videos, or
            the folder holds other files or a dataset of other settings, which are named.
        TypeError: A setting is unknown.
        ImportError: PyAV is missing.
        OSError: The disk is full. Finished files are kept.
        KeyboardInterrupt: The user stopped it. The message has the progress of the dataset.

    Example:
        ```python
        build_vggsound_ssl(
            "vggsound-ssl", "vggsound.csv", "videos", clip="clip_vit_base_patch32",
            max_classes=296, max_clips=13_981, workers=16,
        )
        catalog = VGGSoundSSL("vggsound-ssl")
        ```

    Reference:
        AV-SSAN, "Dataset Construction".
    """
    chosen = BuildSettings(**settings)
    check_engine(engine, workers)
    # Absolute: on a cluster the work is done in other folders.
    folder = Path(out).absolute()
    vggsound = VGGSound(csv, videos, chosen.classes)
    import_av()  # before there is a folder
    _check_encoder(clip)
    finished = (folder / MANIFEST_FILE).exists()
    if not finished:
        _check_videos(vggsound, chosen.min_instances)
    identity = encoder_identity(clip)
    layout = chosen.layout(vggsound.checksum, identity)
    resumable = start_folder(folder, layout)
    if finished:
        _check_shards(folder)
    else:
        run = partial(
            run_stage, folder=resumable, engine=engine, workers=workers, progress=progress
        )
        preset = None if clip is None else _absolute_preset(clip)
        (folder / STAGING).mkdir(exist_ok=True)
        remove_parts(folder / STAGING)
        job = PartJob(chosen, vggsound.root.absolute(), preset, identity, folder / STAGING)
        _build(resumable, vggsound, job, layout, run)
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    return read_manifest(folder)


def _build(
    resumable: ResumableFolder,
    vggsound: VGGSound,
    job: PartJob,
    layout: dict[str, Any],
    run: Callable[..., None],
) -> None:
    folder = resumable.path
    parts = list_parts(vggsound.videos, job.settings.rows_per_part)
    missing = [part for part in parts if not part_is_whole(job.folder, part)]
    run(partial(build_part, job), missing, len(parts), "parts of the videos")
    clips, dropped, versions = _read_parts(job.folder, parts)
    selection = select_clips(clips, job.settings)
    shard_job = ShardJob(folder, job.folder, job.settings.sampling_rate)
    shards = selection.shards
    unwritten = [
        plan
        for plan in shards
        if not shard_is_whole(folder, plan.name, [clip.key for clip in plan.clips])
    ]
    run(partial(write_shard, shard_job), unwritten, len(shards), "shards")
    dropped += selection.dropped
    dropped += [DroppedClip.of(video, "repeated row", "") for video in vggsound.repeated]
    write_manifest(folder, layout, [plan.name for plan in shards], dropped, versions)


def _read_parts(
    staging: Path, parts: Sequence[Part]
) -> tuple[list[StagedClip], list[DroppedClip], list[dict[str, str]]]:
    """All clips and all dropped rows, in the order of the table, and the versions used."""
    clips: list[StagedClip] = []
    dropped: list[DroppedClip] = []
    versions: list[dict[str, str]] = []
    for part in parts:
        report = read_part(staging, part.number)
        clips += map(StagedClip.from_json, report["kept"])
        dropped += (DroppedClip(**row) for row in report["dropped"])
        versions.append(report["versions"])
    return clips, dropped, versions


def _check_encoder(clip: PathLike | None) -> None:
    if clip is not None:
        from keras_avssan.encoders.clip_encoder import check_clip_preset

        check_clip_preset(clip)


def _absolute_preset(clip: PathLike) -> str:
    """The name of a preset, or the absolute path of its folder."""
    return os.path.abspath(clip) if os.path.isdir(clip) else os.fspath(clip)


def _check_videos(vggsound: VGGSound, min_instances: int) -> None:
    """Fails fast if no class can meet `min_instances`."""
    missing = set(vggsound.missing)
    there = [video for video in vggsound.videos if video not in missing]
    if not there:
        raise ValueError(
            f"`videos` must hold videos of the table, such as {vggsound.videos[0].file_name}. "
            f"Received: videos='{vggsound.root}', with none of {len(vggsound.videos)}"
        )
    label, count = Counter(video.label for video in there).most_common(1)[0]
    if count < min_instances:
        raise ValueError(
            f"`min_instances` must be at most {count}, the videos of the largest class, '{label}'. "
            f"Received: min_instances={min_instances}"
        )


def _check_shards(folder: Path) -> None:
    """Refuses a finished dataset with a missing or damaged shard."""
    for shard in read_manifest(folder)["shards"]:
        if not shard_is_whole(folder, shard["name"]):
            raise ValueError(
                f"'{folder}' holds a missing or damaged shard. Delete {MANIFEST_FILE} there, and "
                f"the same call or command writes it again. Received: shard {shard['name']}"
            )
