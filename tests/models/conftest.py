"""A tiny AV-SSAN, batches for it, and a bank of made-up impulse responses."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder

SAMPLES = 8000
IMAGE_SIZE = (16, 16)
# Under JAX a step is compiled as a whole: op by op each operation is compiled on its own.
EAGERLY = keras.backend.backend() != "jax"
TINY = {"dim": 8, "bridge_layers": 1, "num_heads": 2, "mlp_dim": 16}


def make_tiny(compiled=True, **arguments):
    """A model of all parts, each as small as it can be; it runs eagerly where that is quick."""
    dtype = arguments.get("dtype")
    parts = {
        "image_encoder": ConvImageEncoder(8, (4, 8), IMAGE_SIZE, dtype=dtype),
        "audio_encoder": LogMelEncoder(8, (4,), dtype=dtype),
        **TINY,
    }
    if arguments.get("semantic_audio") is False:
        parts["audio_encoder"] = None
    model = AVSSAN(**{**parts, **arguments}, compile=False)
    if compiled:
        model.compile(run_eagerly=EAGERLY)
    return model


def make_inputs(batch=2, samples=SAMPLES, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "audio": (0.1 * rng.normal(size=(batch, samples, 2))).astype("float32"),
        "images": rng.uniform(size=(batch, *IMAGE_SIZE, 3)).astype("float32"),
    }


def make_batch(batch=2, samples=SAMPLES, seed=0):
    """Inputs and labels of scenes that hold noise; the last one has no interferer."""
    inputs = make_inputs(batch, samples, seed)
    rng = np.random.default_rng([seed, 1])
    interferer = rng.uniform(1, 180, batch).astype("float32")
    interferer[-1] = np.nan
    labels = {
        "azimuth": rng.uniform(1, 180, batch).astype("float32"),
        "target": 0.5 * inputs["audio"],
        "interferer_azimuth": interferer,
    }
    return inputs, labels


def delayed_noise(azimuths, samples=SAMPLES, seed=0):
    """Recordings (n, samples, 2) of noise from far sources, of which low frequencies are loud."""
    rng = np.random.default_rng(seed)
    hertz = np.fft.rfftfreq(samples, 1 / 16000)
    source = np.fft.rfft(rng.normal(size=(len(azimuths), samples))) / (1 + hertz / 300)
    delay = 0.2 * np.cos(np.deg2rad(azimuths))[:, None] / 343.0
    late = source * np.exp(-2j * np.pi * hertz * delay)
    recordings = np.fft.irfft(np.stack([source, late], axis=-1), samples, axis=1)
    noise = 0.1 * recordings.std() * rng.normal(size=recordings.shape)
    return (recordings + noise).astype("float32")


def to_numpy(outputs):
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


@pytest.fixture(scope="session", name="make_tiny")
def make_tiny_fixture():
    """`make_tiny(**arguments)` makes a tiny `AVSSAN`."""
    return make_tiny


@pytest.fixture(scope="session", name="make_inputs")
def make_inputs_fixture():
    """`make_inputs(batch, samples, seed)` makes random recordings and pictures."""
    return make_inputs


@pytest.fixture(scope="session", name="make_batch")
def make_batch_fixture():
    """`make_batch(batch, samples, seed)` makes random inputs and labels."""
    return make_batch


@pytest.fixture(scope="session", name="delayed_noise")
def delayed_noise_fixture():
    """`delayed_noise(azimuths)` makes recordings of far sources."""
    return delayed_noise


@pytest.fixture(scope="session")
def run():
    """`run(model, inputs)` computes all outputs as NumPy arrays."""

    def outputs(model, inputs):
        if EAGERLY:
            return to_numpy(model(inputs, training=False))
        return to_numpy(model.predict_on_batch(inputs))

    return outputs


@pytest.fixture(scope="session")
def eagerly():
    """Whether models of a test run eagerly: where that is quick."""
    return EAGERLY


@pytest.fixture
def inputs():
    return make_inputs()


@pytest.fixture
def batch():
    return make_batch()


@pytest.fixture(scope="module")
def model():
    """One model for the tests of a file that do not change it."""
    keras.utils.set_random_seed(1)
    return make_tiny()


@dataclasses.dataclass(frozen=True, eq=False)
class TinyBank:
    """Pure delays and a little decaying noise: what scenes need of an `RIRBank`."""

    rirs: np.ndarray
    azimuths: np.ndarray
    t60: np.ndarray
    sampling_rate: int = 16000

    def __len__(self):
        return len(self.rirs)


@pytest.fixture(scope="session")
def bank():
    rng = np.random.default_rng(0)
    rooms, sources, length = 3, 4, 200
    azimuths = rng.uniform(10, 170, size=(rooms, sources)).astype("float32")
    lead = np.round(9.3 * np.cos(np.deg2rad(azimuths)) / 2).astype(int)
    rirs = 0.01 * rng.normal(size=(rooms, sources, 2, length)) * np.exp(-np.arange(length) / 50)
    delays = np.stack([20 - lead, 20 + lead], axis=-1)
    np.put_along_axis(rirs, delays[..., None], 1.0, axis=-1)
    return TinyBank(rirs.astype("float32"), azimuths, np.full(rooms, 0.3, "float32"))
