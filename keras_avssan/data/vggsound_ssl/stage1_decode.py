"""First stage of a build: videos become clips with a picture, a part of the table at a time."""

import importlib.metadata
import io
import json
import os
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from PIL import Image

from keras_avssan._internal.atomic_files import write_json, write_whole
from keras_avssan.data.media.video_io import (
    UnusableVideo,
    VideoFrame,
    read_video_audio,
    read_video_frames,
)
from keras_avssan.data.vggsound_ssl.settings import BuildSettings
from keras_avssan.data.vggsound_ssl.staged_clip import DroppedClip, StagedClip
from keras_avssan.data.vggsound_ssl.tar_files import TarWriter
from keras_avssan.data.vggsound_ssl.vggsound import Video

_JPEG_QUALITY = 90
_READ_BYTES = 2**20
# Packages that the bytes of decoded clips and chosen pictures depend on.
_PACKAGES = ("av", "keras", "keras-hub", "numpy", "pillow", "soundfile", "soxr")


@dataclass(frozen=True)
class PartJob:
    """Arguments that all parts of a build share.

    Args:
        settings: `BuildSettings`.
        videos: Path of the folder of videos.
        clip: Folder or name of a CLIP preset, or `None` for the middle pictures.
        identity: Identity of the preset, see `encoder_identity`.
        folder: Path of the staging folder.
    """

    settings: BuildSettings
    videos: Path
    clip: str | None
    identity: str | None
    folder: Path


@dataclass(frozen=True)
class Part:
    """Consecutive rows of the table.

    Args:
        number: Number of the part from 0.
        videos: The rows.
    """

    number: int
    videos: tuple[Video, ...]


def list_parts(videos: Sequence[Video], rows_per_part: int) -> list[Part]:
    """Divides the rows of the table into parts."""
    starts = range(0, len(videos), rows_per_part)
    return [
        Part(number, tuple(videos[start : start + rows_per_part]))
        for number, start in enumerate(starts)
    ]


def build_part(job: PartJob, part: Part) -> dict[str, Any]:
    """Decodes the videos of a part, chooses their pictures, and writes both.

    Returns `part`, `kept` (a number) and `dropped` (numbers by reason). An OSError is a full disk
    or an unreachable folder of videos.
    """
    kept: list[StagedClip] = []
    dropped: list[DroppedClip] = []

    def write(file: BinaryIO) -> None:
        tar = TarWriter(file)
        for video in part.videos:
            try:
                kept.append(_stage(job, part, video, tar))
            except UnusableVideo as error:
                _check_reachable(job.videos)
                dropped.append(DroppedClip.of(video, error.reason, error.detail))
        tar.close()

    path = part_path(job.folder, part.number)
    write_whole(path, write)
    # Written last: it marks the part as complete.
    write_json(
        path.with_suffix(".json"),
        {
            "tar_bytes": path.stat().st_size,
            "tar_crc32": _crc32(path),
            "versions": _versions(),
            "kept": [clip.as_json() for clip in kept],
            "dropped": [clip.as_json() for clip in dropped],
        },
    )
    reasons = Counter(clip.reason for clip in dropped)
    return {"part": part.number, "kept": len(kept), "dropped": dict(reasons)}


def part_path(folder: Path, number: int) -> Path:
    """Path of the tar file of a part."""
    return folder / f"part-{number:05d}.tar"


def part_is_whole(folder: Path, part: Part) -> bool:
    """Whether a part was written, for these rows, and is undamaged."""
    path = part_path(folder, part.number)
    try:
        report = read_part(folder, part.number)
        rows = Counter(clip["youtube_id"] for clip in (*report["kept"], *report["dropped"]))
        return (
            rows == Counter(video.youtube_id for video in part.videos)
            and report["tar_bytes"] == path.stat().st_size
            and report["tar_crc32"] == _crc32(path)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_part(folder: Path, number: int) -> dict[str, Any]:
    """Reads the JSON beside the tar file of a part."""
    path = part_path(folder, number).with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8"))


def _stage(job: PartJob, part: Part, video: Video, tar: TarWriter) -> StagedClip:
    """Puts the sound and the picture of a video into a tar file."""
    settings, path = job.settings, job.videos / video.file_name
    samples = read_video_audio(path, settings.sampling_rate, duration=settings.duration)
    _check_sound(samples, settings)
    frames = read_video_frames(path, _candidate_times(job, len(samples)))
    frame, similarity = _choose(job, frames, video.label)
    audio = flac_bytes(samples, settings.sampling_rate)
    image = _jpeg_bytes(frame.pixels, settings.picture_size)
    return StagedClip(
        key=video.key,
        youtube_id=video.youtube_id,
        start_second=video.start_second,
        class_name=video.label,
        csv_split=video.split,
        num_samples=len(samples),
        frame_second=round(frame.seconds, 3),
        similarity=None if similarity is None else round(similarity, 4),
        part=part.number,
        audio=tar.add(f"{video.key}.flac", audio),
        image=tar.add(f"{video.key}.jpg", image),
    )


def _check_sound(samples: np.ndarray, settings: BuildSettings) -> None:
    seconds = len(samples) / settings.sampling_rate
    if seconds < settings.min_duration:
        raise UnusableVideo("too short", f"{seconds:.2f} s")
    power = float(np.mean(np.square(samples, dtype="float64")))
    level = 10 * np.log10(power) if power else -np.inf
    if level < settings.silence_level:
        raise UnusableVideo("silent", f"{level:.0f} dB")


def _candidate_times(job: PartJob, num_samples: int) -> list[float]:
    """The middles of equal parts of the clip, in seconds; only one without CLIP."""
    count = job.settings.frames if job.clip else 1
    seconds = num_samples / job.settings.sampling_rate
    return [seconds * (number + 0.5) / count for number in range(count)]


def _choose(
    job: PartJob, frames: Sequence[VideoFrame], class_name: str
) -> tuple[VideoFrame, float | None]:
    if job.clip is None:
        return frames[0], None
    from keras_avssan.data.vggsound_ssl.frame_chooser import load_frame_chooser

    settings = job.settings
    choose = load_frame_chooser(job.clip, job.identity, settings.frames, settings.template)
    number, similarity = choose(frames, class_name)
    return frames[number], similarity


def flac_bytes(samples: np.ndarray, sampling_rate: int) -> bytes:
    """Encodes a recording as FLAC of 16 bits; one that would clip is scaled down."""
    peak = max(1.0, float(np.abs(samples).max()))
    integers = np.int16(np.rint(samples * (32767 / peak)))
    file = io.BytesIO()
    soundfile.write(file, integers, sampling_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _jpeg_bytes(pixels: np.ndarray, longest_side: int) -> bytes:
    picture = Image.fromarray(pixels)
    picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def _check_reachable(videos: Path) -> None:
    """Raises an OSError for a lost disk or share, rather than dropping thousands of videos."""
    if not os.path.isdir(videos):
        raise OSError(f"The folder of videos, {videos}, can no longer be reached.")


def _crc32(path: Path) -> int:
    checksum = 0
    with open(path, "rb") as file:
        while data := file.read(_READ_BYTES):
            checksum = zlib.crc32(data, checksum)
    return checksum


def _versions() -> dict[str, str]:
    from keras_avssan import __version__

    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"keras-avssan": __version__, **versions}
