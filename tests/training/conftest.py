"""A training that is quick, and what goes wrong with it."""

import dataclasses
import importlib
import pathlib

import keras
import numpy as np
import pytest

from keras_avssan.data import ScenePlan, SyntheticClasses

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


RATE = 16000
DELAY = 6  # samples between the microphones, 0.2 m apart: of 50 or 130 degrees


@dataclasses.dataclass(frozen=True, eq=False)
class Bank:
    """What scenes need of an `RIRBank`: two rooms with a source at 50 and one at 130 degrees."""

    rirs: np.ndarray
    azimuths: np.ndarray
    t60: np.ndarray
    sampling_rate: int = RATE
    microphone_spacing: float = 0.2

    def __len__(self):
        return len(self.rirs)


@pytest.fixture(scope="module")
def delayed_plan():
    """Scenes of a second whose sources are at 50 and 130 degrees."""
    rirs = np.zeros((2, 2, 2, 40), "float32")
    for source, arrivals in enumerate([(10, 10 + DELAY), (10 + DELAY, 10)]):
        for microphone, arrival in enumerate(arrivals):
            rirs[:, source, microphone, arrival] = 1.0
    azimuths = np.tile(np.array([50.0, 130.0], "float32"), (2, 1))
    catalog = SyntheticClasses(["bell", "dog", "rain", "drum"], instances_per_class=6)
    bank = Bank(rirs, azimuths, np.full(2, 0.3, "float32"))
    return ScenePlan(catalog, bank, split="train", duration=1.0)


@pytest.fixture
def network(make_candidates):
    """A network of two candidates, prompted with embeddings."""
    keras.utils.set_random_seed(3)
    return make_candidates(image_encoder=None, prompt_dim=6)


@pytest.fixture
def embeddings(delayed_plan):
    """A random embedding of every picture."""
    rng = np.random.default_rng(0)
    return {
        picture.id: rng.normal(size=6).astype("float32")
        for picture in delayed_plan.catalog.pictures
    }
