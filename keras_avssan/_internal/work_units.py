"""Running the units of a large piece of work: in this process, in several, or on a cluster."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from threading import Thread
from typing import Any

from tqdm import tqdm

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.ray_units import run_on_ray

ENGINES = ("processes", "ray")


def run_units(
    function: Callable[[Any], Any],
    units: Iterable[Any],
    *,
    engine: str = "processes",
    workers: int | None = 1,
    description: str = "Units",
    progress: bool = True,
    ray_address: str | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Call a function with each unit of a piece of work, several at a time.

    A unit must be *idempotent*: what was begun may be done again, and ends with the same files. It
    writes each of them under another name and renames it when it is whole. The work then goes on
    from where it was stopped by running the units whose files are not there.

    Where a unit raises an error, or the iteration is left or interrupted, the units that run are
    stopped first; they may tidy up, for in them this is a `SystemExit`.

    Args:
        function: Function of one unit, at the top level of a module (or a `functools.partial` of
            one), so that other processes find it. It returns a small report: numbers, strings,
            lists and dicts.
        units: Iterable of units: numbers, names, or anything else that can be pickled.
        engine: Str: `"processes"`, on this machine, or `"ray"`, on a cluster by Ray Data. There
            the units of a node that is lost are run again on others; all nodes must see the same
            folders, and have the same packages.
        workers: Int or `None`. Number of units at a time; `None` takes as many as there are
            processors. One process is this one; several are new ones (*spawned*, so that they
            share no state of a backend), and a script that asks for them begins its work under
            `if __name__ == "__main__":`.
        description: Str. What the progress bar is called.
        progress: Bool. Whether to show a progress bar.
        ray_address: Str or `None`. Address of the Ray cluster; `None` takes the one that runs, or
            that the environment variable `RAY_ADDRESS` names, and begins one on this machine
            where there is none.

    Returns:
        Iterator over `(unit, report)`, in the order in which they are done.

    Raises:
        ValueError: An argument is out of range.
        ImportError: Ray is asked for and is not installed.
        ConnectionError: There is no cluster at `ray_address`.
        ChildProcessError: A process died, without a Python error.
        Exception: The first error that a unit raised.

    Example:
        ```python
        def write_shard(folder, number):
            path = Path(folder) / f"{number:05d}.npy"
            np.save(path.with_suffix(".part"), np.full(1000, number))
            path.with_suffix(".part.npy").rename(path)
            return {"bytes": path.stat().st_size}

        missing = [k for k in range(100) if not Path(f"shards/{k:05d}.npy").exists()]
        for number, report in run_units(partial(write_shard, "shards"), missing, workers=4):
            print(number, report["bytes"])
        ```
    """
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be one of {ENGINES}, got {engine!r}.")
    if workers is not None:
        check_integer("workers", workers, least=1)
    units = list(units)
    if engine == "ray":
        done = run_on_ray(function, units, workers, ray_address)
    else:
        done = _in_processes(function, units, workers or _num_processors())
    return _with_progress(done, len(units), description, progress)


def _with_progress(done, total, description, progress):
    with tqdm(total=total, desc=description, unit="unit", disable=not progress) as bar:
        try:
            for pair in done:
                bar.update()
                yield pair
        finally:
            done.close()


def _num_processors():
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_processes(function, units, workers):
    if workers == 1:
        for unit in units:
            yield unit, function(unit)
        return
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, max(1, len(units))), spawn, initializer=_begin_worker)
    all_done = False
    try:
        futures = {pool.submit(_run_unit, function, unit): unit for unit in units}
        for future in as_completed(futures):
            yield futures[future], future.result()
        all_done = True
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process died, perhaps for lack of memory: fewer `workers` need less. A "
            'script that asks for several begins its work under `if __name__ == "__main__":`'
        ) from error
    finally:
        # Also where not all were handed out yet, while the first of them run.
        if not all_done:
            _terminate(pool)
        pool.shutdown(cancel_futures=True)


def _terminate(pool):
    """Stops the units that run. The pool waits for its processes when it is shut down."""
    for process in list((pool._processes or {}).values()):
        process.terminate()


def _begin_worker():
    """Lets the parent alone decide when this process ends."""
    # Ctrl-C reaches all processes of a terminal; the parent sees it too, and passes it on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _begin_no_more)
    Thread(target=_follow_parent, daemon=True).start()


def _follow_parent():
    """Ends this process when its parent was killed, which could not stop it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _begin_no_more(number, frame):
    """Told to stop between two units: a report may be on its way, so that nothing is raised."""
    signal.signal(number, signal.SIG_IGN)


def _stop_unit(number, frame):
    """Told to stop in the middle of a unit."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit


def _run_unit(function, unit):
    """Runs a unit in a worker, unless this was told to stop. The pool lives on in any case."""
    between = signal.signal(signal.SIGTERM, _stop_unit)
    try:
        if between == signal.SIG_IGN:
            raise SystemExit
        return function(unit)
    except SystemExit:
        raise ChildProcessError(f"the unit {unit!r} was stopped") from None
    finally:
        if signal.getsignal(signal.SIGTERM) == _stop_unit:
            signal.signal(signal.SIGTERM, between)
