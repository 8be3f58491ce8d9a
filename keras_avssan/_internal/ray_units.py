"""Units of work on a cluster, by Ray Data."""

import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any


def run_on_ray(
    function: Callable[[Any], Any], units: list[Any], workers: int | None, address: str | None
) -> Iterator[tuple[Any, Any]]:
    """Call a function with each unit, on the nodes of a Ray cluster.

    Args:
        function: Function of one unit, from a module that the nodes can import.
        units: List of units.
        workers: Int or `None`. Most units at a time; `None` takes as many as the cluster has
            processors.
        address: Str or `None`. Address of the cluster; `None` takes the one that runs, or that the
            environment variable `RAY_ADDRESS` names, and begins one on this machine where there is
            none.

    Yields:
        Tuples `(unit, report)`, in the order in which they are done.

    Raises:
        ImportError: Ray is not installed.
        ConnectionError: There is no cluster at the address.
        ChildProcessError: The cluster failed, or a node lacks what the function needs.
        Exception: The first error that a unit raised.
    """
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
