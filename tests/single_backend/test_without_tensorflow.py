"""The library where TensorFlow is absent and PyTorch, or JAX, is the only backend.

Runs in an environment that was made so (`make test-single`); elsewhere it is skipped.
"""

import importlib.util
import os
import subprocess
import sys

import keras
import keras_hub
import numpy as np
import pytest

if importlib.util.find_spec("tensorflow") is not None:
    pytest.skip("TensorFlow is installed in this environment", allow_module_level=True)

from keras_avssan import AVSSAN
from keras_avssan.data import ScenePlan, SyntheticClasses, make_dataset
from keras_avssan.encoders import CLIPEncoder, CLIPTextTokenizer, ConvImageEncoder, LogMelEncoder
from keras_avssan.simulation import RIRBank

BACKEND = keras.backend.backend()
OTHERS = {"tensorflow", "torch", "jax"} - {BACKEND}


@pytest.fixture(autouse=True)
def no_other_backend_is_loaded():
    yield
    assert not OTHERS & set(sys.modules)


@pytest.fixture(scope="module")
def plan():
    """Scenes of the built-in data in simulated rooms."""
    bank = RIRBank.build(num_rooms=2, max_duration=0.05, progress=False)
    catalog = SyntheticClasses(["dog", "rain"], instances_per_class=6, duration=0.5)
    return ScenePlan(catalog, bank, split="train", duration=0.5)


@pytest.fixture(scope="module")
def dataset(plan):
    return make_dataset(plan, num_scenes=4, batch_size=2, image_size=(16, 16), loader="grain")


@pytest.fixture(scope="module")
def model():
    return AVSSAN(
        image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)),
        audio_encoder=LogMelEncoder(8, (4,)),
        dim=8,
        bridge_layers=1,
        num_heads=2,
        mlp_dim=16,
    )


def test_this_backend_is_the_only_one():
    installed = {name for name in OTHERS | {BACKEND} if importlib.util.find_spec(name)}
    assert installed == {BACKEND}


def test_every_part_imports_without_tensorflow():
    parts = ("data", "doa", "encoders", "evaluation", "layers", "models", "simulation")
    imports = "; ".join(f"import keras_avssan.{part}" for part in (*parts, "visualization"))
    code = f"{imports}; import sys; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ, timeout=240)


def test_trains_from_grain(model, dataset):
    before = model.get_weights()
    history = model.fit(dataset, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert np.mean(changed) > 0.9
    assert np.isfinite(model.evaluate(dataset, verbose=0, return_dict=True)["mae"])


def test_localizes(model, dataset):
    inputs, _ = dataset[0]
    theta, confidence = model.localize(inputs["audio"], inputs["images"], return_confidence=True)
    assert theta.shape == confidence.shape == (2,)
    assert ((theta >= 1) & (theta <= 180)).all()
    assert ((confidence > 0) & (confidence <= 1 + 1e-5)).all()


def test_saves_and_loads(model, dataset, tmp_path):
    inputs, _ = dataset[0]
    expected = np.asarray(model.predict_on_batch(inputs)["doa"])
    model.save_to_preset(str(tmp_path / "preset"))
    model.save(tmp_path / "model.keras")
    for restored in (
        AVSSAN.from_preset(str(tmp_path / "preset")),
        keras.models.load_model(tmp_path / "model.keras"),
    ):
        np.testing.assert_array_equal(
            np.asarray(restored.predict_on_batch(inputs)["doa"]), expected
        )


def test_clip_reads_words(tmp_path):
    tokenizer = CLIPTextTokenizer(["d o", "do g</w>"])
    backbone = keras_hub.models.CLIPBackbone(
        keras_hub.models.CLIPVisionEncoder(8, 8, 1, 2, 16, image_shape=(16, 16, 3)),
        keras_hub.models.CLIPTextEncoder(len(tokenizer.vocabulary), 8, 8, 1, 2, 16),
        projection_dim=4,
    )
    CLIPEncoder(backbone, tokenizer).save_to_preset(tmp_path)
    embeddings = CLIPEncoder.from_preset(tmp_path).embed_text(["a dog", "a cat"])
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 0


def test_tf_data_is_refused_with_advice(plan):
    with pytest.raises(ImportError, match='`loader="tf"` needs TensorFlow.*loader="grain"'):
        make_dataset(plan, num_scenes=4, batch_size=2, loader="tf")
