"""GCC-MLP learns one source, and takes no prompt."""

import numpy as np
import pytest

from keras_avssan.models.baselines import GCCMLP


@pytest.fixture
def model():
    return GCCMLP(hidden_dim=64)


@pytest.mark.one_backend
def test_learns_eight_scenes_of_one_source(model, make_scenes, overfit):
    assert overfit(model, make_scenes(two_sources=False), learning_rate=3e-3) <= 3.0


@pytest.mark.one_backend
def test_comes_back_from_a_preset(model, make_scenes, comes_back):
    comes_back(model, make_scenes()[0])


@pytest.mark.one_backend
def test_prompts_have_no_influence(model, make_scenes):
    inputs, _ = make_scenes()
    alone = model.predict_on_batch({"audio": inputs["audio"]})["doa"]
    np.testing.assert_array_equal(model.predict_on_batch(inputs)["doa"], alone)
    np.testing.assert_array_equal(
        model.localize(inputs["audio"]), model.localize(inputs["audio"], "anything")
    )


@pytest.mark.backend_agnostic
def test_sizes_as_published():
    model = GCCMLP.from_preset("gcc_mlp", load_weights=False)
    shapes = [tuple(hidden.kernel.shape) for hidden in model.backbone.mlp.hidden]
    assert shapes == [(51, 1000), (1000, 1000), (1000, 1000)]
    assert model.backbone.logits.kernel.shape == (1000, 180)
