"""Running the units of a large piece of work: in this process, in several, or on a cluster."""

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from threading import Thread
from typing import Any

from tqdm import tqdm

from keras_avssan._internal.checks import check_integer

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
        done = _run_on_ray(function, units, workers, ray_address)
    else:
        done = _in_processes(function, units, workers or _num_processors())
    return _with_progress(done, len(units), description, progress)


def _with_progress(done, total: int, description: str, progress):
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


def _terminate(pool) -> None:
    """Stops the units that run. The pool waits for its processes when it is shut down."""
    for process in list((pool._processes or {}).values()):
        process.terminate()


def _begin_worker() -> None:
    """Lets the parent alone decide when this process ends."""
    # Ctrl-C reaches all processes of a terminal; the parent sees it too, and passes it on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _begin_no_more)
    Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """Ends this process when its parent was killed, which could not stop it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _begin_no_more(number: int, frame) -> None:
    """Told to stop between two units: a report may be on its way, so that nothing is raised."""
    signal.signal(number, signal.SIG_IGN)


def _stop_unit(number: int, frame):
    """Told to stop in the middle of a unit."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit


def _run_unit(function, unit: str):
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


def _run_on_ray(
    function: Callable[[Any], Any], units: list[Any], workers: int | None, address: str | None
) -> Iterator[tuple[Any, Any]]:
    """Runs units on the nodes of a Ray cluster; yields `(unit, report)` as they are done."""
    ray = _import_ray()
    connects = not ray.is_initialized()
    if connects:
        ray.init(address=address, log_to_driver=False, logging_level="warning")
    try:
        yield from _outcomes(ray, function, units, workers)
    finally:
        if connects:
            ray.shutdown()


def _import_ray():
    # Ray reports how it is used to its makers unless it is told not to, before it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError('`engine="ray"` needs Ray Data: `pip install "ray[data]"`.') from error
    return ray


def _outcomes(ray, function, units, workers):
    if not units:
        return
    rows = [{"unit": pickle.dumps(unit)} for unit in units]
    # One unit a block, which is what Ray Data hands out and, where a node is lost, hands out again.
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        _run_row,
        fn_args=(function,),
        compute=ray.data.TaskPoolStrategy(workers),
    )
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    try:
        for row in dataset.iter_rows():
            error, report = pickle.loads(row["outcome"])
            if error is not None:
                raise error
            yield pickle.loads(row["unit"]), report
    except ray.exceptions.RayError as error:
        last_line = str(error).strip().splitlines()[-1]
        raise ChildProcessError(f"the cluster could not run a unit: {last_line}") from error


def _run_row(row, function):
    """Runs the unit of a row. Its error is a value too, so that it arrives as it was raised."""
    error, report = None, None
    try:
        report = function(pickle.loads(row["unit"]))
    except Exception as raised:
        error = raised
    return {"unit": row["unit"], "outcome": pickle.dumps((error, report))}
