"""Shared set-up: one backend a process, on the CPU, with fixed seeds.

Keras is imported where it is used: the process that only hands out the tests does without.
"""

import os
import pathlib
import signal

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def fixed_seed():
    """Seeds Python, NumPy and the backend, so that a test's outcome is its own."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture
def interruptible():
    """Ctrl-C works as on a terminal; the shell may have it ignored in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def make_small_model():
    """Makes an `AVSSAN` that answers at once; takes arguments of `AVSSAN`."""
    from keras_avssan import AVSSAN
    from keras_avssan.encoders import LogMelEncoder

    def make(**arguments):
        encoder = LogMelEncoder(8, (4,), num_mels=16)
        sizes = {"dim": 8, "mlp_dim": 16, "num_heads": 2, "bridge_layers": 1}
        return AVSSAN(**{"audio_encoder": encoder, **sizes, **arguments})

    return make


@pytest.fixture(scope="session")
def make_candidates(make_small_model):
    """Makes an `AVSSAN` of two candidates, small, too; takes arguments of `AVSSAN`."""
    from keras_avssan.encoders import YAMNet

    def make(**arguments):
        encoder = YAMNet(width_multiplier=0.1)
        model = make_small_model(
            audio_encoder=encoder, **{"num_candidates": 2, "extractor_filters": 4, **arguments}
        )
        for variable in encoder.weights:  # whose random embeddings would be almost zero
            if "kernel" in variable.name:
                variable.assign(3.0 * variable)
        return model

    return make


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of real recordings and photographs, one folder a class."""
    beside = REPOSITORY.parent / "shared" / "data" / "ciavl-real"
    folder = pathlib.Path(os.environ.get("AVSSAN_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set AVSSAN_REAL_DATA to a folder of classes")
    return folder


def gradient(function, x):
    """Gradient of a scalar function of one tensor, by the backend's own differentiation."""
    import keras
    from keras import ops

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return ops.convert_to_numpy(tape.gradient(value, x))
    if backend == "jax":
        import jax

        return np.asarray(jax.jit(jax.grad(function))(x))
    x = ops.convert_to_tensor(x).requires_grad_()
    function(x).backward()
    return ops.convert_to_numpy(x.grad)


@pytest.fixture(scope="session", name="gradient")
def gradient_fixture():
    """`gradient(function, x)` of a scalar function, under any backend."""
    return gradient
