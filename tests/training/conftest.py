"""A training that is quick, and what goes wrong with it."""

import importlib
import pathlib

import keras
import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def tiny():
    """The module that trains a tiny model, also as a process of its own."""
    spec = importlib.util.spec_from_file_location("train_tiny", FOLDER / "train_tiny.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class At(keras.callbacks.Callback):
    """Calls a function after so many steps of this process."""

    def __init__(self, steps, function):
        super().__init__()
        self.left = steps
        self.function = function

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            self.function(self.model)


@pytest.fixture
def at():
    """`at(steps, function)`: a callback that calls `function(model)` after so many steps."""
    return At


@pytest.fixture
def values():
    """`values(model)`: all of its variables as arrays."""
    return lambda model: [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]


@pytest.fixture(scope="session")
def whole(tiny, tmp_path_factory):
    """A training that nothing disturbed: its folder, history and final variables."""
    return _trained(tiny, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def uneven(tiny, tmp_path_factory):
    """Another one, of seven steps in three epochs."""
    return _trained(tiny, tmp_path_factory.mktemp("uneven"), steps=7, epochs=3)


def _trained(tiny, parent, **options):
    folder, model = parent / "checkpoints", tiny.make_model()
    history = tiny.train(folder, model, checkpoint_every=2, **options).history
    return folder, history, [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]
