"""`attention_gain` and `band_dropout` of the whole network, which the paper does not have."""

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN, AVSSANBackbone
from keras_avssan.layers import SpatialRefiner
from keras_avssan.training import recompute_activations

OPTIONS = {"attention_gain": 0.0, "band_dropout": 0.4}
PATCHES = {"fine": 16, "mid": 4}


@pytest.mark.one_backend
def test_a_gain_of_zero_starts_with_equal_weights(make_tiny, inputs, run):
    outputs = run(make_tiny(compiled=False, **OPTIONS), inputs)
    np.testing.assert_allclose(outputs["band_weights"], 1 / 3, rtol=1e-6)
    for band, count in PATCHES.items():
        np.testing.assert_allclose(outputs[f"band_attention_{band}"], 1 / count, rtol=1e-6)


@pytest.mark.one_backend
def test_a_step_of_training_moves_the_gains_of_all_weights(make_tiny, batch):
    model = make_tiny(**OPTIONS)
    loss = model.train_on_batch(*batch)[0]
    assert np.isfinite(loss)
    fine, mid, full = model.backbone.alignments
    gains = [layer.gain for layer in (fine, mid, model.backbone.refiner)]
    assert all(abs(float(keras.ops.convert_to_numpy(gain))) > 1e-4 for gain in gains)
    assert not hasattr(full, "gain")


@pytest.mark.one_backend
def test_bands_are_dropped_in_training_alone(make_tiny, inputs, run):
    model = make_tiny(compiled=False, band_dropout=1.0)
    weights = keras.ops.convert_to_numpy(model(inputs, training=True)["band_weights"])
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-5)
    assert ((weights == 0).sum(axis=-1) == 1).all()
    assert run(model, inputs)["band_weights"].min() > 0


def test_presets_keep_the_options(make_tiny, inputs, run, tmp_path):
    model = make_tiny(compiled=False, **OPTIONS)
    model.backbone.refiner.gain.assign(1.5)
    model.backbone.alignments[0].gain.assign(2.0)
    model.save_to_preset(str(tmp_path / "preset"))
    loaded = AVSSAN.from_preset(str(tmp_path / "preset"))
    settings = loaded.backbone.settings
    assert {name: settings[name] for name in OPTIONS} == OPTIONS
    before, after = run(model, inputs), run(loaded, inputs)
    for name, expected in before.items():
        np.testing.assert_allclose(after[name], expected, atol=1e-5, err_msg=name)
    assert np.ptp(after["band_weights"]) > 1e-3


@pytest.mark.backend_agnostic
def test_networks_stored_without_the_options_have_the_published_form(make_tiny):
    config = make_tiny(compiled=False).backbone.get_config()
    for name in OPTIONS:
        config.pop(name)
    backbone = AVSSANBackbone.from_config(config)
    assert backbone.settings["attention_gain"] is None
    assert backbone.settings["band_dropout"] == 0.0
    assert hasattr(backbone.refiner, "weight_logits")
    assert not hasattr(backbone.refiner, "seed_generator")


@pytest.mark.backend_agnostic
def test_a_refiner_that_draws_is_not_computed_twice(make_tiny):
    for dropout, expected in ((0.0, True), (0.3, False)):
        model = make_tiny(compiled=False, band_dropout=dropout)
        with recompute_activations(model):
            patched = [layer for layer in model._flatten_layers() if "call" in vars(layer)]
        assert any(isinstance(layer, SpatialRefiner) for layer in patched) == expected
        assert len(patched) >= 3
