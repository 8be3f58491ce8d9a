"""Processes of `benchmarks/gpu.py`, and the time that they have."""

import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time

from gpu_parts.plan import SIZES

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRACE = 15.0  # seconds until a process that has run over is ended


class Clock:
    """Seconds that are left of a number of seconds."""

    def __init__(self, seconds):
        self._end = time.monotonic() + seconds

    def left(self):
        """May be negative."""
        return self._end - time.monotonic()


class Worker:
    """A process that measures one row after another with one backend."""

    command = [sys.executable, ROOT / "benchmarks/gpu.py", "--worker"]

    def __init__(self, backend, options):
        self.has_ended = False
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.command,
            env=environment(backend, options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            start_new_session=True,
        )
        self.answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.size = SIZES[options.size]

    def _read(self):
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put(None)

    def measure(self, job, seconds):
        """Has a row measured; an answer that does not come in time, or at all, is a reason."""
        try:
            self.process.stdin.write(json.dumps({**job, "size": self.size}) + "\n")
            self.process.stdin.flush()
            line = self.answers.get(timeout=seconds)
        except queue.Empty:
            self.stop(kill=True)
            return {"stopped": "its time was used up"}
        except OSError:  # it ended before it read
            line = None
        if line is None:
            self.stop()
            return {"error": self._reason()}
        return json.loads(line)

    def _reason(self):
        code = self.process.returncode
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        self.log.seek(0)
        lines = [line for line in self.log.read().splitlines() if line.strip()]
        return lines[-1][-300:] if lines else f"its process ended with {code}"

    def stop(self, kill=False):
        """Ends the process and all that it started."""
        self.has_ended = True
        if kill:
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):  # of what was to be sent to one that has ended
            self.process.stdin.close()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def environment(backend, options):
    """Variables of a process."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path}
    if options.cache:  # what was compiled once need not be compiled by the next process
        environment.setdefault("JAX_COMPILATION_CACHE_DIR", options.cache)
    if options.tiny:  # the times mean nothing; most of them would be XLA's
        environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
        environment["XLA_FLAGS"] = "--xla_cpu_use_fusion_emitters=false"
    if options.cpu:
        environment |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    return environment
