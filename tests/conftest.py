"""Shared set-up: one backend a process, on the CPU, with fixed seeds."""

import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras  # noqa: E402
import pytest  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def fixed_seed():
    """Seeds Python, NumPy and the backend, so that a test's outcome is its own."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of real recordings and photographs, one folder a class."""
    beside = REPOSITORY.parent / "shared" / "data" / "ciavl-real"
    folder = pathlib.Path(os.environ.get("AVSSAN_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set AVSSAN_REAL_DATA to a folder of classes")
    return folder
