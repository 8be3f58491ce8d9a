"""A quantised model answers nearly alike, and is saved and loaded as any other."""

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN
from keras_avssan.models.export.quantization import quantized_layers

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def pair(make_tiny):
    """A model and the same model quantised."""
    keras.utils.set_random_seed(2)
    model, quantized = make_tiny(), make_tiny()
    quantized.set_weights(model.get_weights())
    quantized.quantize("int8")
    return model, quantized


@pytest.mark.extensive
def test_layers_hold_whole_numbers(pair):
    model, quantized = pair
    paths = quantized_layers(quantized.backbone)
    assert set(paths) == {"int8"}
    assert {"bridge/lp", "bridge/block_0/hidden", "refiner/mask_logits"} <= set(paths["int8"])
    assert "int8" in {variable.dtype for variable in quantized.variables}
    assert quantized_layers(model.backbone) == {}
    assert "quantization" not in model.backbone.get_config()


def test_answers_stay_near(pair, inputs, run):
    expected, outputs = (run(model, inputs) for model in pair)
    difference = np.abs(outputs["doa"] - expected["doa"]).max()
    print(f"largest difference of the posterior: {difference:.1e}")  # with -rP
    assert 0 < difference < 0.02 * expected["doa"].max()
    assert np.abs(outputs["mask"] - expected["mask"]).max() < 0.02


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("form", ["file", "preset"])
@pytest.mark.extensive
def test_round_trip(form, pair, inputs, run, tmp_path):
    _, model = pair
    if form == "file":
        model.save(tmp_path / "model.keras")
        restored = keras.models.load_model(tmp_path / "model.keras")
    else:
        model.save_to_preset(str(tmp_path / "preset"))
        restored = AVSSAN.from_preset(str(tmp_path / "preset"))
    assert quantized_layers(restored.backbone) == quantized_layers(model.backbone)
    expected, outputs = run(model, inputs), run(restored, inputs)
    np.testing.assert_allclose(outputs["doa"], expected["doa"], atol=1e-6, rtol=0)


@pytest.mark.backend_agnostic
@pytest.mark.extensive
def test_part_of_a_model(make_tiny, tmp_path):
    model = make_tiny(compiled=False)
    model.quantize("int8", filters=lambda layer: "refiner" in (layer.path or ""))
    (paths,) = quantized_layers(model.backbone).values()
    assert all("refiner" in path for path in paths)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert quantized_layers(restored.backbone) == {"int8": paths}


@pytest.mark.backend_agnostic
@pytest.mark.extensive
def test_a_trained_model(make_batch, make_tiny, inputs, run, tmp_path):
    """The optimizer's state is of the float weights; saving does without."""
    model = make_tiny()
    model.train_on_batch(*make_batch())
    model.quantize("int8")
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    expected, outputs = run(model, inputs), run(restored, inputs)
    np.testing.assert_allclose(outputs["doa"], expected["doa"], atol=1e-6, rtol=0)
