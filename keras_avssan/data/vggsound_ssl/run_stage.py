"""Running a stage of a build, and saying how far it was where it is stopped."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.work_units import ENGINES, run_units


def check_engine(engine: str, workers: int) -> None:
    """Check what runs the units, before anything is written.

    Args:
        engine: Str. See `keras_avssan._internal.work_units.run_units`.
        workers: Int. Number of units at a time.

    Raises:
        ValueError: There is no such engine, or the number is not positive.
    """
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be one of {ENGINES}, got {engine!r}.")
    check_integer("workers", workers, least=1)


def run_stage(
    function: Callable[[Any], Any],
    units: Sequence[Any],
    total: int,
    noun: str,
    folder: Path,
    *,
    engine: str,
    workers: int,
    progress: bool,
) -> None:
    """Run those units of a stage that are not done yet.

    Args:
        function: Function of a unit, see `keras_avssan._internal.work_units.run_units`.
        units: Sequence of the units.
        total: Int. Number of units of the stage, with those that are done.
        noun: Str. What the units make, for the progress bar and the message.
        folder: Path of what is built, for the message.
        engine: Str. What runs the units.
        workers: Int. Number of units at a time.
        progress: Bool. Whether to show a progress bar.

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
        raise KeyboardInterrupt(
            f"stopped with {done} of {total} {noun} whole in {folder}; the same call or command "
            "goes on from there"
        ) from None
