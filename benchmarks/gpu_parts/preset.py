"""The training of the packaged model, for some minutes, by the scripts that trained it."""

import csv
import pathlib
import signal
import subprocess
import sys
import time

from gpu_parts.plan import SCRIPTS
from gpu_parts.worker import GRACE, ROOT, environment


def train_preset(options, results, backend, job, clock):
    """Trains one part of the packaged model; stopped by Ctrl-C after a step, it is resumed."""
    if not results.is_missing(backend, job):
        return
    name, folder = job["row"], pathlib.Path(f"{options.out}.preset")
    folder.mkdir(exist_ok=True)
    words = ["--data", options.data, "--licensed", "--out", folder / f"{name}.json"]
    words += SCRIPTS[name][options.size].split()
    if name == "selection":
        trained = (folder / f"{part}.npz" for part in ("extractor", "directions"))
        words += ["--extractor", next(trained), "--directions", next(trained)]
        words += ["--save", folder / "model"]
    else:
        words += ["--checkpoints", folder / name, "--save", folder / f"{name}.npz"]
    log = folder / name / "log.csv"
    before, started = _count_steps(log), time.monotonic()
    with open(folder / f"{name}.log", "a+") as output:
        process = subprocess.Popen(
            [sys.executable, ROOT / f"benchmarks/{name}.py", *map(str, words)],
            env=environment(backend, options),
            stdout=output,
            stderr=output,
        )
        answer = _wait(process, clock.left())
        if "error" in answer:
            output.seek(0)
            answer["error"] = (output.read().strip().splitlines() or ["no output"])[-1]
    steps = _count_steps(log)
    answer |= {"steps": steps, "new_steps": steps - before, "folder": str(folder)}
    results.keep(backend, job, {**answer, "seconds": time.monotonic() - started})


def _wait(process, seconds):
    """Waits for a script, and interrupts it when the time is over."""
    try:
        return {} if process.wait(seconds) == 0 else {"error": ""}
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return {"stopped": "its time was used up; the next run resumes it"}


def _count_steps(log):
    if not log.exists():
        return 0
    with open(log, newline="") as file:
        return sum(1 for _ in csv.DictReader(file))
