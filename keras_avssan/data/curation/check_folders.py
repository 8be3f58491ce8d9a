"""Checks of folders of classes, and splits of their usable files."""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import soundfile
import soxr

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import PathLike
from keras_avssan._internal.work_units import run_units
from keras_avssan.data.catalogs.checks import check_splits
from keras_avssan.data.catalogs.metadata_csv import FileRow, deal_splits, list_folders, write_table
from keras_avssan.data.curation.fingerprints import PICTURE_SIZE, SAMPLING_RATE, content_digest
from keras_avssan.data.curation.folder_report import FileCopy, FileReport, FolderReport
from keras_avssan.data.curation.near_duplicates import (
    Fingerprint,
    find_copied_pictures,
    find_copied_sounds,
    fingerprint_picture,
    fingerprint_sound,
)
from keras_avssan.data.media.audio_io import read_audio
from keras_avssan.data.media.image_io import read_image

# Recordings with a lower root mean square, in dB of full scale, count as silent.
_SILENCE_DB = -60.0
_FILES_PER_UNIT = 32

_Inspected: TypeAlias = tuple[FileReport, Fingerprint | None]


def check_folders(
    root: PathLike,
    *,
    engine: str = "processes",
    workers: int | None = 1,
    progress: bool = False,
) -> FolderReport:
    """Decodes every file of a folder of classes and reports problems, copies and durations.

    Finds files that are unreadable, truncated or near-silent (root mean square below -60 dB of full
    scale), and copies in two places or two classes, even where name, format, level or size differs
    (see `find_leaks`). `metadata.csv` is ignored.

    Args:
        root: Path of a folder with one folder per class; see `ClassFolders`.
        engine: `"processes"` or `"ray"`, see `keras_avssan._internal.work_units.run_units`.
        workers: Number of units of work at a time; `None` for one a core.
        progress: Whether to show a progress bar.

    Returns:
        A `FolderReport`.

    Raises:
        ValueError: `root` is not a folder, or holds no recording and no picture of a class.

    Example:
        ```python
        report = check_folders("sounds", workers=4)
        print(report.table())
        write_metadata(report, seed=0)
        catalog = ClassFolders("sounds")
        ```
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"`root` must be an existing folder. Received: root='{root}'")
    rows = list_folders(root)
    if not rows:
        raise ValueError(
            "`root` must hold folders <class>/ with recordings (WAV, FLAC, Ogg, MP3, AIFF, …) and "
            f"pictures (JPEG, PNG, WebP, …). Received: root='{root}', without classes"
        )
    starts = range(0, len(rows), _FILES_PER_UNIT)
    inspect = partial(_inspect_files, root, rows)
    units = run_units(
        inspect, starts, engine=engine, workers=workers, description="Files", progress=progress
    )
    parts = dict(units)
    inspected = [pair for start in starts for pair in parts[start]]
    files = tuple(report for report, _ in inspected)
    return FolderReport(
        str(root), files, tuple(_find_copies(root, inspected)), _ignored_files(root, rows)
    )


def write_metadata(
    report: FolderReport,
    *,
    splits: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    path: PathLike | None = None,
) -> Path:
    """Writes the splits of a folder's usable files as `metadata.csv`, for `ClassFolders`.

    Files that are copies of each other get the same instance, as do those of a class with the same
    stem: an instance is in one split only. Files that cannot be used are left out.

    Args:
        report: Result of `check_folders`.
        splits: Shares of train, validation and test.
        seed: Seed of the splits.
        path: Path of the CSV; `None` takes `metadata.csv` in the folder. It must not exist.

    Returns:
        Path of the CSV.

    Raises:
        ValueError: The file exists, an argument is out of range, or no class has both recordings
            and pictures that can be used.

    Example:
        ```python
        write_metadata(check_folders("sounds"), splits=(0.8, 0.1, 0.1), seed=0)
        ```
    """
    shares = check_splits(splits)
    check_integer("seed", seed)
    path = Path(report.root) / "metadata.csv" if path is None else Path(path)
    if path.exists():
        raise ValueError(
            f"`path` must not exist: it may hold other splits. Received: path='{path}'"
        )
    usable = {file.path for file in report.usable}
    rows = [row for row in list_folders(Path(report.root)) if row.path in usable]
    kinds: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        kinds[row.class_name].add(row.kind)
    if not any(len(both) == 2 for both in kinds.values()):
        raise ValueError(
            "`report` must have a class with both recordings and pictures. "
            f"Received: report of '{report.root}'"
        )
    write_table(deal_splits(_join_copies(rows, report), shares, seed), path)
    return path


def _inspect_files(root: Path, rows: list[FileRow], start: int) -> list[_Inspected]:
    """The report and the fingerprint of some files; `None` for one that cannot be used."""
    return [_inspect(root, row) for row in rows[start : start + _FILES_PER_UNIT]]


def _inspect(root: Path, row: FileRow) -> _Inspected:
    inspect = _inspect_recording if row.kind == "audio" else _inspect_picture
    fingerprint: Fingerprint | None
    try:
        facts, fingerprint = inspect(root / row.path)
    except ValueError as error:
        # The message begins with the path, which the report has already.
        problem = str(error).replace(str(root / row.path), Path(row.path).name)
        facts, fingerprint = {"problem": problem}, None
    return FileReport(row.path, row.class_name, row.kind, **facts), fingerprint


def _inspect_recording(path: Path) -> tuple[dict[str, Any], Fingerprint | None]:
    rate = _sampling_rate(path)
    samples = read_audio(path, rate)
    facts: dict[str, Any] = {
        "seconds": round(len(samples) / rate, 4),
        "sampling_rate": rate,
        "channels": 1 if samples.ndim == 1 else samples.shape[1],
        "level": round(_level(samples), 2),
    }
    if facts["level"] < _SILENCE_DB:
        return facts | {"problem": f"near-silent: {facts['level']:.0f} dB"}, None
    digest = content_digest(samples)
    fingerprint = fingerprint_sound(_as_mono(samples, rate), SAMPLING_RATE)
    return facts, fingerprint._replace(digest=digest)


def _sampling_rate(path: Path) -> int:
    try:
        return soundfile.info(path).samplerate
    except soundfile.SoundFileError:
        return SAMPLING_RATE  # `read_audio` raises the error


def _level(samples: np.ndarray) -> float:
    power = np.mean(np.square(samples, dtype="float64"))
    return 10 * np.log10(max(power, 1e-12))


def _as_mono(samples: np.ndarray, rate: int) -> np.ndarray:
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    return mono if rate == SAMPLING_RATE else soxr.resample(mono, rate, SAMPLING_RATE)


def _inspect_picture(path: Path) -> tuple[dict[str, Any], Fingerprint | None]:
    picture = read_image(path)
    facts = {"height": picture.shape[0], "width": picture.shape[1]}
    digest = content_digest(picture)
    return facts, fingerprint_picture(read_image(picture, PICTURE_SIZE))._replace(digest=digest)


def _find_copies(root: Path, inspected: list[_Inspected]) -> Iterator[FileCopy]:
    usable = [(file, fingerprint) for file, fingerprint in inspected if fingerprint is not None]
    sounds = [pair for pair in usable if pair[0].kind == "audio"]
    pictures = [pair for pair in usable if pair[0].kind == "image"]

    def load(place: int) -> np.ndarray:
        file = sounds[place][0]
        return _as_mono(read_audio(root / file.path, file.sampling_rate), file.sampling_rate)

    found = [
        (sounds, find_copied_sounds([fingerprint for _, fingerprint in sounds], load)),
        (pictures, find_copied_pictures([fingerprint for _, fingerprint in pictures])),
    ]
    for pairs, copies in found:
        for copy in copies:
            first, second = pairs[copy.first][0], pairs[copy.second][0]
            yield FileCopy(
                first.path,
                second.path,
                first.kind,
                copy.reason,
                round(copy.similarity, 4),
                first.class_name == second.class_name,
            )


def _ignored_files(root: Path, rows: list[FileRow]) -> tuple[str, ...]:
    """Files below the root that are not a recording or picture of a class; hidden ones aside."""
    known = {row.path for row in rows} | {"metadata.csv"}
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    visible = (path for path in paths if not any(part.startswith(".") for part in path.parts))
    return tuple(sorted(path.as_posix() for path in visible if path.as_posix() not in known))


def _join_copies(rows: list[FileRow], report: FolderReport) -> list[FileRow]:
    """The rows with one instance for all files that are copies of each other."""
    instances = {row.path: row.instance for row in rows}
    ties: dict[str, set[str]] = defaultdict(set)
    for copy in report.copies:
        first, second = instances[copy.first], instances[copy.second]
        ties[first].add(second)
        ties[second].add(first)
    names: dict[str, str] = {}
    for instance in sorted(ties):
        waiting = [instance]
        while waiting:
            tied = waiting.pop()
            if tied not in names:
                names[tied] = instance
                waiting += ties[tied]
    return [
        FileRow(row.path, row.class_name, row.kind, names.get(row.instance, row.instance))
        for row in rows
    ]
