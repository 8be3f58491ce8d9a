"""The folder of a dataset in progress, and the stages that fill it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_avssan._internal.checks import check_choice, check_integer
from keras_avssan._internal.resumable_folder import ResumableFolder
from keras_avssan._internal.work_units import ENGINES, run_units

MANIFEST_FILE = "manifest.json"
STAGING = "staging"


def start_folder(path: Path, layout: dict[str, Any]) -> ResumableFolder:
    """Starts a dataset, or resumes one of the same settings, and removes partial files.

    `build.json` holds the settings; others may replace them until a part or shard is finished.
    """
    folder = ResumableFolder(path, "build.json", "a dataset", "out")
    finished = (path / MANIFEST_FILE, *path.glob(f"{STAGING}/*.json"), *path.glob("*-*.json"))
    folder.start(layout, replace=not any(file.exists() for file in finished))
    folder.remove_parts()
    return folder


def check_engine(engine: str, workers: int) -> None:
    """Refuses an unknown engine and a number of workers below 1, before anything is written."""
    check_choice("engine", engine, ENGINES)
    check_integer("workers", workers, least=1)


def run_stage(
    function: Callable[[Any], Any],
    units: Sequence[Any],
    total: int,
    noun: str,
    folder: ResumableFolder,
    *,
    engine: str,
    workers: int,
    progress: bool,
) -> None:
    """Runs the `units` of a stage that are not finished, of `total`.

    `noun` names the results in the progress bar, and in the message of a KeyboardInterrupt.
    """
    if not units:
        return
    done = total - len(units)
    options: dict[str, Any] = {"engine": engine, "workers": workers, "progress": progress}
    try:
        for _ in run_units(function, units, description=noun.capitalize(), **options):
            done += 1
    except KeyboardInterrupt:
        raise folder.stopped(done, total, noun) from None
