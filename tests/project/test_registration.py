"""A process that has imported the library can load what it has saved."""

import importlib
import pkgutil
import subprocess
import sys

import keras
import pytest

import keras_avssan
from keras_avssan._internal.registered_names import REGISTERED

pytestmark = pytest.mark.backend_agnostic

PREFIX = "keras_avssan>"


def test_every_saved_class_is_known_by_its_module():
    for package in pkgutil.walk_packages(keras_avssan.__path__, "keras_avssan."):
        if not package.name.endswith("__main__"):
            importlib.import_module(package.name)
    registered = {
        name.removeprefix(PREFIX): cls.__module__.removeprefix("keras_avssan.")
        for name, cls in keras.saving.get_custom_objects().items()
        if name.startswith(PREFIX)
    }
    assert registered == {name: module for module, names in REGISTERED.items() for name in names}


SAVE = """
import keras
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.doa import DoALoss, AngularMAE
encoder = LogMelEncoder(8, (4,))
model = keras.Sequential([keras.Input((16000,)), encoder, keras.layers.GlobalAveragePooling1D(),
                          keras.layers.Dense(180, "softmax")])
model.compile("adam", DoALoss(), metrics=[AngularMAE()])
model.save("part.keras")
from keras_avssan import AVSSAN
AVSSAN(dim=8, prompt_dim=8, audio_encoder=encoder).save("whole.keras")
from keras_avssan.models.baselines import MLPAVC
MLPAVC(prompt_dim=8).save("baseline.keras")
MLPAVC(prompt_dim=8).save_to_preset("baseline")
"""

LOAD = """
import sys
{imports}
assert "keras_hub" not in sys.modules
model = keras.models.load_model("part.keras")
assert type(model.layers[0]).__name__ == "LogMelEncoder"
assert type(model.loss).__name__ == "DoALoss"
models = [keras.models.load_model(f"{{name}}.keras") for name in ("whole", "baseline")]
assert [type(model).__name__ for model in models] == ["AVSSAN", "MLPAVC"]
"""

PRESET = """
from keras_avssan.models import Localizer
assert type(Localizer.from_preset("baseline")).__name__ == "MLPAVC"
"""

FRESH = """
from keras_avssan.models import Localizer
assert type(Localizer.from_preset("baseline")).__name__ == "MLPAVC"
"""

REFUSED = """
from keras_avssan import AVSSAN
try:
    AVSSAN.from_preset("baseline")
except ValueError as error:
    assert "of the class AVSSAN" in str(error) and "`MLPAVC.from_preset`" in str(error), error
else:
    raise AssertionError("the folder of another system was loaded")
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    run(SAVE, folder)
    return folder


def run(code, folder):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.extensive
@pytest.mark.parametrize("imports", ["import keras, keras_avssan", "import keras_avssan, keras"])
def test_files_load_in_a_new_process(imports, saved):
    code = LOAD.format(imports=imports)
    run(code if imports.startswith("import keras,") else code + PRESET, saved)


@pytest.mark.parametrize(
    "code",
    [FRESH, pytest.param(REFUSED, marks=pytest.mark.extensive)],
    ids=["loaded", "refused"],
)
def test_a_baseline_is_known_to_a_process_that_imported_none(code, saved):
    run(code, saved)


@pytest.mark.extensive
def test_whoever_looks_for_keras_first_changes_nothing(saved):
    """As packages do that ask whether Keras is installed."""
    look = "import importlib.util, keras_avssan; importlib.util.find_spec('keras'); import keras"
    run(f"{look}\nkeras.models.load_model('part.keras')", saved)


def test_the_import_alone_imports_no_keras():
    code = "import sys, keras_avssan; assert not {'keras', 'keras_hub', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
