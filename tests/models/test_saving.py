"""`.keras` files and presets give back the same model, bit for bit."""

import json
import warnings
import zipfile

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN, AVSSANBackbone, AVSSANPreprocessor
from keras_avssan.doa import AngularAccuracy, JointLoss
from keras_avssan.encoders import AudioEncoder, ImageEncoder


@pytest.fixture(scope="module")
def trained(make_tiny, make_batch, eagerly):
    """A model after one step, with a loss, a rate and scores that are not the defaults."""
    keras.utils.set_random_seed(3)
    model = make_tiny(configuration="paper")
    model.compile(
        keras.optimizers.AdamW(3e-4),
        JointLoss("cross_entropy", "compressed", doa_weight=0.5, sigma=7.0),
        [AngularAccuracy(10)],
        run_eagerly=eagerly,
    )
    model.train_on_batch(*make_batch())
    return model


def assert_same_outputs(first, second, inputs, run):
    expected, outputs = run(first, inputs), run(second, inputs)
    keras.tree.map_structure(np.testing.assert_array_equal, outputs, expected)


def assert_same_settings(restored, model):
    assert restored.configuration == model.configuration
    for part in ("backbone", "preprocessor"):
        old, new = (as_json(getattr(task, part).get_config()) for task in (model, restored))
        assert new == old


def as_json(config):
    """A configuration as a file holds it: without the difference between tuples and lists."""
    return json.loads(json.dumps(config))


def test_keras_file_round_trip(trained, inputs, run, tmp_path):
    trained.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert type(restored) is AVSSAN
    assert_same_outputs(trained, restored, inputs, run)
    assert_same_settings(restored, trained)


@pytest.mark.one_backend
def test_keras_file_keeps_the_state_of_training(trained, make_batch, tmp_path):
    trained.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert restored.loss.get_config() == trained.loss.get_config()
    assert isinstance(restored.optimizer, keras.optimizers.AdamW)
    assert int(restored.optimizer.iterations) == int(trained.optimizer.iterations) == 1
    pairs = zip(restored.optimizer.variables, trained.optimizer.variables, strict=True)
    for new, old in pairs:
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(new), keras.ops.convert_to_numpy(old)
        )
    scores = restored.test_on_batch(*make_batch(), return_dict=True)
    assert "acc_10deg" in scores


def test_training_goes_on_where_it_stopped(make_tiny, make_batch, eagerly, tmp_path):
    model = make_tiny()
    model.train_on_batch(*make_batch())
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    restored.run_eagerly = eagerly
    for other in (model, restored):
        other.train_on_batch(*make_batch(seed=5))
    for old, new in zip(model.get_weights(), restored.get_weights(), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-6)


def test_preset_round_trip(trained, inputs, run, tmp_path):
    preset = str(tmp_path / "preset")
    trained.save_to_preset(preset)
    restored = AVSSAN.from_preset(preset)
    assert_same_outputs(trained, restored, inputs, run)
    assert_same_settings(restored, trained)


@pytest.mark.backend_agnostic
def test_preset_keeps_the_loss_of_its_configuration(make_tiny, tmp_path):
    preset = str(tmp_path / "preset")
    model = make_tiny(configuration="paper")
    model.save_to_preset(preset)
    restored = AVSSAN.from_preset(preset)
    assert restored.loss.get_config() == model.loss.get_config()


@pytest.mark.one_backend
def test_backbone_and_preprocessor_load_alone(trained, inputs, run, tmp_path):
    preset = str(tmp_path / "preset")
    trained.save_to_preset(preset)
    backbone = AVSSANBackbone.from_preset(preset)
    assert_same_outputs(trained.backbone, backbone, inputs, run)
    preprocessor = AVSSANPreprocessor.from_preset(preset)
    assert as_json(preprocessor.get_config()) == as_json(trained.preprocessor.get_config())


@pytest.mark.one_backend
def test_preset_without_weights_has_the_same_shape(trained, tmp_path):
    preset = str(tmp_path / "preset")
    trained.save_to_preset(preset)
    restored = AVSSAN.from_preset(preset, load_weights=False)
    assert [w.shape for w in restored.weights] == [w.shape for w in trained.weights]


@pytest.mark.one_backend
def test_weights_file_round_trip(trained, make_tiny, inputs, run, tmp_path):
    path = tmp_path / "model.weights.h5"
    trained.save_weights(path)
    other = make_tiny(configuration="paper")
    other.load_weights(path)
    assert_same_outputs(trained, other, inputs, run)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16"])
@pytest.mark.one_backend
def test_precision_policy_survives(dtype, make_tiny, inputs, run, tmp_path):
    model = make_tiny(dtype=dtype)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert restored.backbone.bridge.linear_projection.compute_dtype == "bfloat16"
    assert_same_outputs(model, restored, inputs, run)


@pytest.mark.one_backend
def test_wrapped_encoders_survive(make_tiny, inputs, run, tmp_path):
    pictures = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, strides=4),
            keras.layers.BatchNormalization(),
        ]
    )
    sounds = keras.Sequential(
        [keras.Input((None,)), keras.layers.Reshape((-1, 1000)), keras.layers.Dense(4)]
    )
    model = make_tiny(
        image_encoder=ImageEncoder(pictures, mean=0.5, std=0.5),
        audio_encoder=AudioEncoder(sounds, hop_seconds=1 / 16),
    )
    preset = str(tmp_path / "preset")
    model.save_to_preset(preset)
    restored = AVSSAN.from_preset(preset)
    assert_same_outputs(model, restored, inputs, run)
    assert restored.backbone.frame_alignment.embedding_hop_seconds == 1 / 16
    assert not restored.backbone.image_encoder.trainable_variables


@pytest.mark.backend_agnostic
def test_saved_configuration_holds_no_python_code(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    assert config["registered_name"] == "keras_avssan>AVSSAN"
    assert "__lambda__" not in json.dumps(config)


@pytest.mark.backend_agnostic
def test_a_model_of_keras_applications_survives(make_tiny, make_inputs, run, tmp_path):
    network = keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None)
    model = make_tiny(image_encoder=ImageEncoder(network, mean=0.5, std=0.5))
    assert model.backbone.prompt_dim == 256
    rng = np.random.default_rng(0)
    inputs = {"audio": make_inputs()["audio"], "images": rng.uniform(size=(2, 32, 32, 3))}
    model.save_to_preset(str(tmp_path / "preset"))
    restored = AVSSAN.from_preset(str(tmp_path / "preset"))
    assert_same_outputs(model, restored, inputs, run)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert_same_outputs(model, restored, inputs, run)


def warnings_of(function):
    """What a function warns of, and what it returns."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function()
    return [str(w.message) for w in caught if "optimizer" in str(w.message)], result


@pytest.mark.one_backend
def test_a_model_that_was_never_trained_loads_without_a_warning(make_tiny, tmp_path):
    make_tiny().save(tmp_path / "model.keras")
    warned, restored = warnings_of(lambda: keras.models.load_model(tmp_path / "model.keras"))
    assert warned == []
    assert int(restored.optimizer.iterations) == 0


@pytest.mark.one_backend
def test_weights_of_a_training_bring_its_optimizer(trained, make_batch, make_tiny, tmp_path):
    """As `ModelCheckpoint` stores them, loaded into a model that has made no step."""
    trained.save_weights(tmp_path / "model.weights.h5")
    model = make_tiny(configuration="paper")
    model.compile(keras.optimizers.AdamW(3e-4), trained.loss, [], run_eagerly=trained.run_eagerly)
    warned, _ = warnings_of(lambda: model.load_weights(tmp_path / "model.weights.h5"))
    assert warned == [] and int(model.optimizer.iterations) == 1
    for new, old in zip(model.optimizer.variables, trained.optimizer.variables, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(new), keras.ops.convert_to_numpy(old)
        )
