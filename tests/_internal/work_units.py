"""Units of work for `test_engines.py`, in a module of its own: other processes import it."""

import os
import pathlib
import time


def square(unit):
    return {"square": unit**2, "process": os.getpid()}


def write_file(folder, unit):
    """Writes a file whole, slowly, and leaves the parent's number for each attempt."""
    with open(pathlib.Path(folder) / f"attempts-{unit}", "a") as attempts:
        attempts.write(f"{os.getppid()}\n")
    time.sleep(0.5)
    part = pathlib.Path(folder) / f"unit-{unit}.part"
    part.write_text(f"{unit}\n" * 100)
    part.replace(part.with_suffix(".txt"))
    return {"bytes": part.with_suffix(".txt").stat().st_size}


def fail_at_two(unit):
    if unit == 2:
        raise ValueError("unit 2 cannot be done")
    return unit


def die(unit):
    os._exit(3)


def wait_and_tidy(folder, unit):
    """Unit 0 ends at once, the others after a minute, unless they are stopped."""
    if unit == 0:
        # Not before the others wait.
        while not any(pathlib.Path(folder).glob("started-*")):
            time.sleep(0.01)
        return unit
    started = pathlib.Path(folder) / f"started-{unit}"
    try:
        started.touch()
        time.sleep(60)
    finally:
        started.unlink(missing_ok=True)
        started.with_name(f"tidied-{unit}").touch()
    return unit
