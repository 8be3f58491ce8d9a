"""The folder of a dataset in progress, and the stages that fill it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.resumable_folder import ResumableFolder
from keras_avssan._internal.work_units import ENGINES, run_units

MANIFEST_FILE = "manifest.json"
STAGING = "staging"


def start_folder(path: Path, layout: dict[str, Any]) -> ResumableFolder:
    """Starts a dataset, or resumes one of the same settings, and removes partial files.

    `build.json` holds the settings; other ones may replace them until a part or shard is finished.

    Args:
        path: Path of a folder that is new, empty or holds the dataset in progress.
        layout: Dict of all settings, as JSON has them.

    Returns:
        A `ResumableFolder`.

    Raises:
        ValueError: The folder holds other files, or a dataset of other settings.
    """
    folder = ResumableFolder(path, "build.json", "a dataset", "out")
    finished = (path / MANIFEST_FILE, *path.glob(f"{STAGING}/*.json"), *path.glob("*-*.json"))
    folder.start(layout, replace=not any(file.exists() for file in finished))
    folder.remove_parts()
    return folder


def check_engine(engine: str, workers: int) -> None:
    """Checks what runs the units, before anything is written.

    Args:
        engine: See `keras_avssan._internal.work_units.run_units`.
        workers: Number of units at a time.

    Raises:
        ValueError: There is no such engine, or the number is not positive.
    """
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be one of {ENGINES}. Received: engine={engine!r}")
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
    """Runs those units of a stage that are not finished yet.

    Args:
        function: Function of a unit, see `keras_avssan._internal.work_units.run_units`.
        units: Sequence of the units.
        total: Number of units of the stage, with those that are finished.
        noun: What the units make, for the progress bar and the message.
        folder: `ResumableFolder` of the dataset, for the message.
        engine: What runs the units.
        workers: Number of units at a time.
        progress: Whether to show a progress bar.

    Raises:
        KeyboardInterrupt: The user stopped it. The message says how far it is.
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
