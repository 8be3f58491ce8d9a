"""Runs units of work: in this process, in several processes, or on a Ray cluster."""

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from threading import Thread
from types import FrameType, ModuleType
from typing import Any

from tqdm import tqdm

from keras_avssan._internal.checks import check_choice, check_integer

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
    """Calls a function with each unit of work, several at a time; yields pairs `(unit, report)`.

    The first error of a unit stops the running ones. `engine` is `"processes"` or `"ray"`.
    """
    # A unit must be idempotent: a partial one may run again, and ends with the same files, each
    # renamed once it is complete. Work then resumes with the units whose files are missing.
    # `function` is at the top level of a module (or a `functools.partial` of such a function), and
    # returns a small report; units can be pickled. A stopped unit may tidy up after `SystemExit`.
    # `workers=None` uses all processors; several are spawned, so that they share no backend state.
    # Under Ray all nodes share folders and packages; `ray_address=None` uses the running cluster,
    # that of `RAY_ADDRESS`, or starts one here. It raises `ImportError` without Ray,
    # `ConnectionError` without a cluster, and `ChildProcessError` if a process died.
    check_choice("engine", engine, ENGINES)
    if workers is not None:
        check_integer("workers", workers, least=1)
    units = list(units)
    if engine == "ray":
        done = _run_on_ray(function, units, workers, ray_address)
    else:
        done = _in_processes(function, units, workers or _num_processors())
    return _with_progress(done, len(units), description, progress)


def _with_progress(
    done: Generator[tuple[Any, Any], None, None], total: int, description: str, progress: bool
) -> Iterator[tuple[Any, Any]]:
    """Shows the outcomes on a progress bar, and closes their generator at the end."""
    with tqdm(total=total, desc=description, unit="unit", disable=not progress) as bar:
        try:
            for pair in done:
                bar.update()
                yield pair
        finally:
            done.close()


def _num_processors() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_processes(
    function: Callable[[Any], Any], units: list[Any], workers: int
) -> Generator[tuple[Any, Any], None, None]:
    if workers == 1:
        for unit in units:
            yield unit, function(unit)
        return
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, max(1, len(units))), spawn, initializer=_start_worker)
    all_done = False
    try:
        futures = {pool.submit(_run_unit, function, unit): unit for unit in units}
        for future in as_completed(futures):
            yield futures[future], future.result()
        all_done = True
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process died, perhaps for lack of memory: fewer `workers` need less. A "
            'script that uses several starts its work under `if __name__ == "__main__":`'
        ) from error
    finally:
        # Also while the first units run and others have not been submitted.
        if not all_done:
            _terminate(pool)
        pool.shutdown(cancel_futures=True)


def _terminate(pool: ProcessPoolExecutor) -> None:
    """Stops the running units. The pool waits for its processes when it is shut down."""
    for process in list((pool._processes or {}).values()):
        process.terminate()


def _start_worker() -> None:
    """Lets the parent alone decide when this process ends."""
    # Ctrl-C reaches all processes of a terminal; the parent sees it too, and passes it on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _start_no_more)
    Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """Ends this process when its parent was killed and so could not stop it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _start_no_more(number: int, frame: FrameType | None) -> None:
    """Handles SIGTERM between two units: a report may be on its way, so nothing is raised."""
    signal.signal(number, signal.SIG_IGN)


def _stop_unit(number: int, frame: FrameType | None) -> None:
    """Handles SIGTERM within a unit."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit


def _run_unit(function: Callable[[Any], Any], unit: Any) -> Any:
    """Runs a unit in a worker, unless it received SIGTERM. The pool survives in any case."""
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
) -> Generator[tuple[Any, Any], None, None]:
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


def _import_ray() -> ModuleType:
    # Ray reports usage to its makers unless this is set before it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError('`engine="ray"` needs Ray Data: `pip install "ray[data]"`.') from error
    return ray


def _outcomes(
    ray: ModuleType, function: Callable[[Any], Any], units: list[Any], workers: int | None
) -> Iterator[tuple[Any, Any]]:
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


def _run_row(row: dict[str, bytes], function: Callable[[Any], Any]) -> dict[str, bytes]:
    """Runs the unit of a row; returns its error as a value, so that it arrives as it was raised."""
    error, report = None, None
    try:
        report = function(pickle.loads(row["unit"]))
    except Exception as raised:
        error = raised
    return {"unit": row["unit"], "outcome": pickle.dumps((error, report))}
