"""A process under each backend that is installed."""

import concurrent.futures
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest

BACKENDS = ["tensorflow", "torch", "jax"]
FOLDER = pathlib.Path(__file__).parent
# As `serve.py` answers.
DONE, FAILED = "The script has ended.", "The script has failed."
TIMEOUT = 600  # seconds, of one script


@pytest.fixture(scope="session")
def run_under_each_backend():
    """`run_under_each_backend(script, folder, *arguments)` returns what each backend stores.

    It runs `script OUT.npz arguments…` under each installed backend, in a process that lives for
    all tests, and returns a dict from backend to the dict of arrays.
    """
    installed = [backend for backend in BACKENDS if importlib.util.find_spec(backend) is not None]
    processes = {backend: _start(backend) for backend in installed}

    def run_under_each(script, folder, *arguments):
        def run(backend):
            output = folder / f"{backend}.npz"
            _ask(processes[backend], [script, output, *arguments])
            return dict(np.load(output))

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return dict(zip(installed, pool.map(run, installed), strict=True))

    yield run_under_each
    for process in processes.values():
        process.kill()
        process.communicate()


@pytest.fixture(
    params=[("tensorflow", "torch"), ("tensorflow", "jax"), ("torch", "jax")],
    ids="-".join,
    # Of a longer life, it would mix the tests of the modules, and their fixtures would be remade.
    scope="module",
)
def both_backends(request):
    """Names of two backends that are installed."""
    for backend in request.param:
        if importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
    return request.param


def _start(backend):
    """A process that loads the backend, and then runs scripts."""
    path = os.pathsep.join([str(FOLDER.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(FOLDER / "serve.py")],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _ask(process, command):
    """Waits for the end of a script, of which all but the last line is what it printed."""
    timer = threading.Timer(TIMEOUT, process.kill)
    timer.start()
    try:
        process.stdin.write(json.dumps([str(word) for word in command]) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line == f"{DONE}\n":
                return
            if line == f"{FAILED}\n":
                raise RuntimeError(f"{command[0]} has failed, with the error above")
            print(line, end="")
    finally:
        timer.cancel()
    raise RuntimeError(f"{command[0]} ended with exit status {process.wait()}")
