"""Scenes rendered within the step are the scenes that the host renders."""

import importlib.util

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.data import ScenePlan, SyntheticClasses, make_dataset
from keras_avssan.encoders import LogMelEncoder

LOADERS = ["grain"]
if importlib.util.find_spec("tensorflow"):
    LOADERS.append("tf")


@pytest.fixture(scope="module")
def plan(bank):
    catalog = SyntheticClasses(instances_per_class=4, seed=1)
    return ScenePlan(catalog, bank, split=None, duration=0.5, snr=(-5.0, 5.0), seed=3)


@pytest.fixture(scope="module")
def make_datasets(plan):
    """`make_datasets(loader)` makes the same scenes, rendered on the host and on the device."""
    embeddings = {
        p.id: np.random.default_rng(i).normal(size=5) for i, p in enumerate(plan.pictures)
    }

    def make(loader):
        return [
            make_dataset(
                plan,
                6,
                batch_size=3,
                loader=loader,
                render=render,
                prompt="embedding",
                prompt_embeddings=embeddings,
            )
            for render in ("host", "device")
        ]

    return make


@pytest.fixture(scope="module")
def model(eagerly):
    """The smallest model, that of every test here: its weights are put back after training."""
    keras.utils.set_random_seed(2)
    parts = {"dim": 4, "bridge_layers": 1, "num_heads": 1, "mlp_dim": 4, "multi_band": False}
    model = AVSSAN(audio_encoder=LogMelEncoder(4, (2,)), prompt_dim=5, compile=False, **parts)
    model.compile(optimizer=keras.optimizers.SGD(0.01), run_eagerly=eagerly)
    return model


# Each compiles a step for either form: under every backend the loader that most trainings use.
USUAL = "tf" if keras.backend.backend() == "tensorflow" else "grain"


@pytest.mark.parametrize(
    "loader",
    [
        pytest.param(name, marks=() if name == USUAL else pytest.mark.one_backend)
        for name in LOADERS
    ],
)
def test_training_scores_and_predictions_are_the_same(model, make_datasets, loader):
    weights = model.get_weights()
    results = []
    for dataset in make_datasets(loader):
        model.set_weights(weights)
        scores = model.evaluate(dataset, verbose=0, return_dict=True)
        posterior = model.predict(dataset, verbose=0)["doa"]
        history = model.fit(dataset, epochs=1, verbose=0, shuffle=False).history
        results.append((scores, posterior, history, model.get_weights()))
    model.set_weights(weights)
    (scores, posterior, history, trained), device = results[0], results[1]
    assert scores.keys() == device[0].keys() and "loss" in scores
    for name in scores:
        np.testing.assert_allclose(device[0][name], scores[name], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(device[1], posterior, atol=1e-5)
    np.testing.assert_allclose(device[2]["loss"], history["loss"], rtol=1e-4)
    assert any(np.abs(new - old).max() > 1e-5 for new, old in zip(trained, weights, strict=True))
    for one, other in zip(device[3], trained, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_rendered_scenes_are_those_of_the_host(model, make_datasets):
    host, device = make_datasets("grain")
    for index in range(2):
        (wanted_inputs, wanted_labels), (inputs, labels) = host[index], device[index]
        assert set(inputs) == {"dry_audio", "rirs", "snr", "prompt_embedding"}
        assert "target" not in labels
        inputs, labels = keras.tree.map_structure(
            ops.convert_to_numpy, model.render(inputs, labels)
        )
        assert inputs.keys() == wanted_inputs.keys() and labels.keys() == wanted_labels.keys()
        for name in inputs:
            np.testing.assert_allclose(inputs[name], wanted_inputs[name], atol=1e-5)
        for name in labels:
            np.testing.assert_allclose(labels[name], wanted_labels[name], atol=1e-5)


@pytest.mark.one_backend
def test_single_batches_are_rendered_too(model, make_datasets):
    host, device = make_datasets("grain")
    weights = model.get_weights()
    for step in (model.test_on_batch, model.train_on_batch):
        losses = []
        for dataset in (host, device):
            model.set_weights(weights)
            model.reset_metrics()
            losses.append(step(*dataset[0], return_dict=True)["loss"])
        np.testing.assert_allclose(*losses, rtol=1e-4)
    model.set_weights(weights)
    posteriors = [model.predict_on_batch(dataset[0][0])["doa"] for dataset in (host, device)]
    np.testing.assert_allclose(*map(ops.convert_to_numpy, posteriors), atol=1e-5)


@pytest.mark.backend_agnostic
def test_the_recipe_hands_on_where_to_render(model, plan, monkeypatch):
    training = importlib.import_module("keras_avssan.training.fit_scenes")
    asked = []
    monkeypatch.setattr(training, "make_dataset", lambda *_, **options: asked.append(options))
    monkeypatch.setattr(training, "embed_plan", lambda *_, **__: (None, None))
    monkeypatch.setattr(model, "compile", lambda **_: None)
    monkeypatch.setattr(model, "fit", lambda *_, **__: None)
    with pytest.warns(UserWarning, match="`validation_plan` shares data with the training"):
        training.fit_scenes(model, plan, steps=2, epochs=1, validation_plan=plan, render="device")
    assert [options["render"] for options in asked] == ["device", "device"]


def test_a_missing_part_of_a_dry_scene_is_refused(model):
    with pytest.raises(ValueError, match="`?dry_audio.*rirs"):
        model.render({"dry_audio": np.ones((1, 2, 8000)), "snr": np.zeros(1)})
