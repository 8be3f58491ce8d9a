r"""Measures everything that a GPU is used for, with PyTorch and JAX, in one command.

    python benchmarks/gpu.py --out gpu.json
    python benchmarks/gpu.py --out gpu.json --data FOLDER --minutes 3
    python benchmarks/gpu.py --out tiny.json --tiny --cpu

Stages: `environment` (device, memory, driver, versions), `rooms` (the bank of 10,000 rooms),
`training` (a step at the paper's size, by precision, compilation, batch size and place of the
rendering), `roofline` (a step beside the products and copies of the device), `latency` (`localize`
of the packaged model) and, with `--data`, `preset` (the training of the packaged model for
`--minutes`; its checkpoints are in the folder `gpu.json.preset`, from which the next run resumes).

The machine needs no TensorFlow and no network. It needs PyTorch and JAX with CUDA, and the packages
of `requirements-no-tensorflow.txt` and keras-hub, which another machine can fetch:

    pip download --dest wheels -r requirements-no-tensorflow.txt
    pip download --dest wheels --no-deps keras-hub

All ends within `--budget` seconds. Each stage of a backend has a share of what is left, in a
process of its own, which is ended when it runs over; what it measured until then stays. Every row
is written to `--out` when it is measured, and the next run with the same file measures the rows
that are missing. Rows that fail, for lack of memory too, have the reason in place of figures. A
library that is not installed is found beside the script.
"""

import argparse
import signal
import tempfile

from gpu_parts.plan import BACKENDS, STAGES, plan
from gpu_parts.preset import train_preset
from gpu_parts.results import Results
from gpu_parts.table import table
from gpu_parts.worker import GRACE, Clock, Worker

# Share of the time, relative to the other stages that are left.
WEIGHTS = {"environment": 2, "rooms": 3, "training": 14, "roofline": 2, "latency": 2}
LEAST = 3.0  # seconds that a row is started with
MOST_OF_REST = 0.6  # share of the rest of a stage after which a row is ended, if others follow


def main():
    options = _options()
    if options.worker:
        from gpu_parts.stages import serve

        serve()
        return
    # A shell may start this with Ctrl-C ignored, which the processes would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    results = Results(options)
    with tempfile.TemporaryDirectory() as options.cache:
        run(options, results)
    print(table(results.content, plan(options)))


def run(options, results):
    """Measures what is missing, within the budget."""
    seconds = 60 * options.minutes if options.data else 0
    clock, refused = Clock(options.budget - GRACE - seconds), {}
    jobs = plan(options)
    units = [(stage, backend) for stage, backend in jobs if stage != "preset"]
    crew = Crew(options)
    try:
        for place, (stage, backend) in enumerate(units):
            if backend in refused:
                continue
            weights = [WEIGHTS[own] for own, other in units[place:] if other not in refused]
            share = clock.left() * WEIGHTS[stage] / sum(weights)
            measure_stage(crew, results, backend, jobs[stage, backend], Clock(share))
            reason = results.no_device(backend) if stage == "environment" else None
            if reason:
                refused[backend] = reason
    finally:
        crew.stop()
    if refused.keys() >= set(options.backends):
        raise SystemExit(
            "No backend can be measured: "
            + "; ".join(f"{backend}: {reason}" for backend, reason in refused.items())
            + ". docs/gpu.md lists what has to be installed; --cpu measures the CPU instead."
        )
    clock = Clock(seconds)
    for job in jobs.get(("preset", options.backends[0]), []):
        if options.backends[0] not in refused and clock.left() > LEAST:
            train_preset(options, results, options.backends[0], job, clock)


def measure_stage(crew, results, backend, jobs, clock):
    """Measures the missing rows of a stage, one after the other, while there is time."""
    missing = [job for job in jobs if results.is_missing(backend, job)]
    for number, job in enumerate(missing):
        if clock.left() < LEAST:
            return
        reason = results.failed_before(backend, job)
        if reason:
            results.keep(backend, job, {"error": reason})
            continue
        others = len(missing) - number - 1
        seconds = clock.left() / (others + 1)  # what a row is meant to take, and at the most:
        most = (MOST_OF_REST if others else 1) * clock.left() + GRACE
        worker = crew.worker(backend, job)
        results.keep(backend, job, worker.measure({**job, "time": seconds}, most))


class Crew:
    """The process that measures at present."""

    def __init__(self, options):
        self._options, self._worker, self._served = options, None, None

    def worker(self, backend, job):
        """The process for a row: that of the row before, or a new one for another stage.

        JAX cannot reset its peak of memory, so that each of its training rows has its own.
        """
        if not self._serves(backend, job):
            self.stop()
            self._worker = Worker(backend, self._options)
        self._served = backend, job["stage"]
        return self._worker

    def _serves(self, backend, job):
        if self._worker is None or self._worker.has_ended or self._served[0] != backend:
            return False
        if self._options.tiny or self._served[1] == "environment":  # which leaves nothing behind
            return True
        return self._served[1] == job["stage"] and (backend, job["stage"]) != ("jax", "training")

    def stop(self):
        """Ends the process."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None


def _options(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="gpu.json", help="JSON file for the figures")
    parser.add_argument("--budget", type=float, default=480, help="seconds for all of it")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--data", help="folder of classes with metadata.csv, for `preset`")
    parser.add_argument("--minutes", type=float, default=1.5, help="of the budget, for `preset`")
    parser.add_argument("--retry", action="store_true", help="measure rows that failed again")
    parser.add_argument("--cpu", action="store_true", help="measure the CPU")
    parser.add_argument("--tiny", action="store_true", help="little of everything, on a CPU")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.size = "tiny" if options.tiny else "full"
    options.cpu = options.cpu or options.tiny
    options.cache = None
    options.stages = [stage for stage in STAGES if stage in {"environment", *options.stages}]
    if options.data and 60 * options.minutes >= options.budget:
        parser.error("--minutes must be less than the --budget, which they are part of")
    return options


if __name__ == "__main__":
    main()
