"""A quick start: no TensorFlow under other backends, and no random values that are replaced."""

import builtins
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

import keras_avssan
from keras_avssan._internal.start_up import deferred_tensorflow as deferral
from keras_avssan._internal.start_up.keras_tensorflow import set_random_seed
from keras_avssan._internal.start_up.loaded_weights import weights_to_be_loaded

PACKAGE = pathlib.Path(keras_avssan.__file__).parent
BACKEND = keras.backend.backend()


def run(code, backend, *arguments):
    """The object that a new process prints last."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(PACKAGE.parent)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# ---- Help and mistakes


HELP = """
import contextlib, io, json, sys, time
from keras_avssan.__main__ import main
codes = []
for line in ("--help", "--version", "localize --help", "localize --nothing", "nothing", ""):
    sys.argv = ["keras-avssan", *line.split()]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            codes.append(end.code)
heavy = {"keras", "keras_hub", "numpy", "tensorflow", "torch", "jax"} & set(sys.modules)
print(json.dumps([codes, sorted(heavy), time.process_time()]))
"""


@pytest.mark.backend_agnostic
def test_help_and_mistakes_import_no_keras():
    codes, heavy, seconds = run(HELP, BACKEND)
    assert codes == [0, 0, 0, 2, 2, 2]
    assert heavy == []
    assert seconds < 0.6  # of the CPU, for all six


# ---- TensorFlow


PROGRAM = """
import json, sys
refused = True

def refuse(event, arguments):
    if refused and event == "import" and arguments[0].split(".")[0].startswith("tensorflow"):
        raise RuntimeError(f"imports {arguments[0]}")

sys.addaudithook(refuse)
import keras_avssan
from keras_avssan.cli.main import main
from keras_avssan.data import example_file
recording, picture = map(str, map(example_file, ("dog_and_rain.flac", "dog.jpg")))
assert main(["localize", recording, "--prompt", picture]) == 0
model = keras_avssan.AVSSAN.from_preset("avssan_sounds50")
assert model.localize(recording, "dog").shape == (1,)
model.save_to_preset(sys.argv[1])
keras_avssan.AVSSAN.from_preset(sys.argv[1], load_weights=False)
loaded = [name for name in sys.modules if name.split(".")[0].startswith("tensorflow")]

# What the user imports later is what it always was, and so is KerasHub.
refused = False
import keras_hub
tokens = {"a": 0, "b": 1, "ab": 2}
words = keras_hub.tokenizers.BytePairTokenizer(tokens, ["a b"])
import tensorflow as tf
from tensorflow.python.framework import tensor
dataset = tf.data.Dataset.from_tensor_slices(["ab", "b"]).batch(2).map(words)
found = [row.numpy().tolist() for row in next(iter(dataset))]
deferred = sys.modules["keras_hub.src.utils.tensor_utils"].tf
same = deferred.Tensor is tf.Tensor is tensor.Tensor and deferred.Module is tf.Module
print(json.dumps([loaded, found, same, tf.executing_eagerly() and deferred.executing_eagerly()]))
"""


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "backend", ["torch", pytest.param("jax", marks=pytest.mark.extensive, id="jax")]
)
def test_only_the_user_imports_tensorflow(backend, tmp_path):
    pytest.importorskip("tensorflow_text")
    loaded, tokens, *works = run(PROGRAM, backend, tmp_path / "model")
    assert loaded == []
    assert tokens == [[2], [1]]
    assert works == [True, True]


@pytest.mark.backend_agnostic
def test_every_module_imports_kerashub_from_one_place():
    for path in PACKAGE.rglob("*.py"):
        if path.name == "hub.py":
            continue
        imports = r"(?m)^\s*(import keras_hub|from keras_hub import|keras\.utils\.set_random_seed)"
        found = re.search(imports, path.read_text(encoding="utf-8"))
        assert not found or path.name == "keras_tensorflow.py", path


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Packages `user` and `other`, which import `heavy`, a module to defer."""
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy/__init__.py").write_text("answer = 42")
    (tmp_path / "heavy/part.py").write_text("class Thing: size = 3")
    (tmp_path / "emptied").mkdir()
    for name in ("user", "other"):
        (tmp_path / f"{name}.py").write_text(
            "import heavy as h\nfrom heavy.part import Thing\n"
            "try:\n    import emptied\nexcept ImportError:\n    emptied = None\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(deferral, "_DEFERRED", ("heavy", "emptied"))
    yield
    for name in ("heavy", "heavy.part", "emptied", "user", "other"):
        sys.modules.pop(name, None)


@pytest.mark.backend_agnostic
def test_a_deferred_module_is_imported_on_its_first_use(packages):
    usual = builtins.__import__
    with deferral.deferred_tensorflow("user"):
        import user
    assert builtins.__import__ is usual
    assert "heavy" not in sys.modules
    assert user.Thing.size == 3 and user.h.answer == 42
    assert user.h is not sys.modules["heavy"]
    with pytest.raises(AttributeError, match="nothing"):
        _ = user.h.nothing
    # A folder without files is a package to Python; its users look for what it lacks.
    assert type(user.emptied).__name__ == "module"


@pytest.mark.backend_agnostic
def test_other_packages_import_it_as_ever(packages):
    usual = builtins.__import__
    with pytest.raises(ZeroDivisionError), deferral.deferred_tensorflow("user"):
        import other

        assert other.h is sys.modules["heavy"]
        import user  # has nothing to wait for any more

        assert user.h is other.h
        _ = 1 / 0
    assert builtins.__import__ is usual


def test_seeds_are_those_of_keras():
    draws = []
    for seed in (keras.utils.set_random_seed, set_random_seed):
        seed(7)
        initial = keras.initializers.GlorotUniform()((2, 3))
        values = (initial, keras.random.normal((3,)))
        draws.append([*map(keras.ops.convert_to_numpy, values), np.random.rand(2)])
    for theirs, ours in zip(*draws, strict=True):
        np.testing.assert_array_equal(theirs, ours)


# ---- Weights that are loaded


@pytest.mark.skipif(BACKEND != "jax", reason="initial values are slow under JAX alone")
class TestWeightsToBeLoaded:
    def test_values_wait_and_come_unless_they_are_loaded(self):
        initializer = keras.initializers.HeNormal(seed=3)
        expected = np.asarray(keras.initializers.HeNormal(seed=3)((4, 5)))
        elsewhere = []
        with weights_to_be_loaded():
            dense, loaded = (
                keras.layers.Dense(5, kernel_initializer=initializer, bias_initializer="ones")
                for _ in range(2)
            )
            dense.build((None, 4))
            loaded.build((None, 4))
            make = threading.Thread(
                target=lambda: elsewhere.append(keras.Variable(initializer, shape=(4, 5)))
            )
            make.start()
            make.join()
            assert not np.any(dense.kernel)
            np.testing.assert_array_equal(dense.bias, np.ones(5))
            loaded.kernel.assign(2 * np.ones((4, 5)))
            loaded.bias.assign(3 * np.ones(5))
        np.testing.assert_array_equal(dense.kernel, expected)
        np.testing.assert_array_equal(elsewhere[0], expected)
        np.testing.assert_array_equal(loaded.kernel, 2 * np.ones((4, 5)))
        np.testing.assert_array_equal(loaded.bias, 3 * np.ones(5))

    def test_a_preset_is_loaded_without_random_values(
        self, make_small_model, tmp_path, monkeypatch
    ):
        model = make_small_model()
        model.save_to_preset(tmp_path / "model")

        def refuse(*_, **__):
            raise AssertionError("random values were drawn")

        with monkeypatch.context() as patch:
            for name in ("VarianceScaling", "RandomNormal"):
                patch.setattr(getattr(keras.initializers, name), "__call__", refuse)
            loaded = keras_avssan.AVSSAN.from_preset(tmp_path / "model")
        for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    @pytest.mark.extensive
    def test_a_preset_without_its_weights_has_random_values(self, make_small_model, tmp_path):
        model = make_small_model()
        model.save_to_preset(tmp_path / "model")
        fresh = keras_avssan.AVSSAN.from_preset(tmp_path / "model", load_weights=False)
        random = [np.std(weight) > 0 for weight in model.get_weights()]
        assert [np.std(weight) > 0 for weight in fresh.get_weights()] == random
        assert sum(random) > 10

    def test_two_threads_leave_keras_as_it_was(self):
        usual = keras.Variable._initialize_with_initializer
        inside, leaves = threading.Event(), [threading.Event(), threading.Event()]
        kernels = []

        def load(leave):
            with weights_to_be_loaded():
                kernels.append(keras.Variable("he_normal", shape=(4, 5)))
                inside.set()
                leave.wait(60)

        threads = [threading.Thread(target=load, args=[leave]) for leave in leaves]
        threads[0].start()
        assert inside.wait(60)
        threads[1].start()
        threads[1].join(0.3)  # time to get within it, unless it waits for the first
        for thread, leave in zip(threads, leaves, strict=True):
            leave.set()
            thread.join(60)
        assert keras.Variable._initialize_with_initializer is usual
        assert [bool(np.any(kernel)) for kernel in kernels] == [True, True]

    def test_an_error_leaves_keras_as_it_was(self):
        usual = keras.Variable._initialize_with_initializer
        with pytest.raises(ZeroDivisionError), weights_to_be_loaded():
            _ = 1 / 0
        assert keras.Variable._initialize_with_initializer is usual
