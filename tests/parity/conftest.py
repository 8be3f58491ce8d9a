"""Processes under each backend that is installed."""

import concurrent.futures
import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

BACKENDS = ["tensorflow", "torch", "jax"]
FOLDER = pathlib.Path(__file__).parent
TIMEOUT = 600  # seconds


@pytest.fixture(scope="session")
def run_under_each_backend():
    return _run_under_each_backend


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


def _run_under_each_backend(script, folder, *arguments):
    """Runs `script OUT.npz arguments…` under each installed backend.

    Returns:
        Dict from backend to the dict of arrays that its process has stored.
    """
    installed = [backend for backend in BACKENDS if importlib.util.find_spec(backend) is not None]

    def run(backend):
        output = folder / f"{backend}.npz"
        path = os.pathsep.join([str(FOLDER.parents[1]), os.environ.get("PYTHONPATH", "")])
        subprocess.run(
            [sys.executable, str(FOLDER / script), str(output), *map(str, arguments)],
            env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path},
            check=True,
            timeout=TIMEOUT,
        )
        return dict(np.load(output))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(installed, pool.map(run, installed), strict=True))
