"""The fusion of candidates with the prompt, against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.doa.grid import GRID_DEGREES
from keras_avssan.layers import PromptFusion


@pytest.fixture
def inputs(rng):
    posteriors = rng.dirichlet(np.ones(180), size=(3, 2))
    return {
        "evidence": rng.uniform(-1, 1, size=(3, 2)),
        "azimuths": np.array([[30, 120], [1, 90], [180, 60]]),
        "posteriors": posteriors,
        "doa": rng.dirichlet(np.ones(180), size=3),
        "similarity": rng.uniform(-1, 1, size=3),
    }


def run(layer, inputs):
    arrays = {name: ops.convert_to_tensor(x.astype("float32")) for name, x in inputs.items()}
    return [ops.convert_to_numpy(output) for output in layer(**arrays)]


@pytest.fixture
def fusion(inputs, randomize):
    layer = PromptFusion()
    run(layer, inputs)
    return randomize(layer, scale=2.0)


def test_is_its_definition(fusion, inputs, twin):
    posterior, weights, presence = run(fusion, inputs)
    near = np.abs(GRID_DEGREES - inputs["azimuths"][..., None]) <= 12
    share = np.sum(near * inputs["doa"][:, None], axis=-1)
    a, b, bias = map(twin.array, (fusion.evidence_scale, fusion.prior_scale, fusion.rank_bias))
    expected = twin.softmax(a * inputs["evidence"] + b * np.log(share + 1e-4) + bias)
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    mixed = np.sum(expected[..., None] * inputs["posteriors"], axis=1)
    np.testing.assert_allclose(posterior, mixed, atol=1e-6)
    best = np.stack([inputs["evidence"].max(axis=1), inputs["similarity"]], axis=-1)
    score = best @ twin.array(fusion.presence_scale) + twin.array(fusion.presence_bias)
    np.testing.assert_allclose(presence, twin.sigmoid(score), atol=1e-5)


def test_strengths_add_to_the_cosines(inputs, randomize):
    """As though every cosine were s + e r."""
    inputs["strengths"] = -np.abs(inputs["evidence"])
    layer = PromptFusion(use_strength=True)
    run(layer, inputs)
    assert abs(float(ops.convert_to_numpy(layer.strength_scale)) - 0.1) < 1e-6
    randomize(layer, scale=2.0)
    scale = float(ops.convert_to_numpy(layer.strength_scale))
    found = run(layer, inputs)
    other = PromptFusion()
    evidence = inputs["evidence"] + scale * inputs.pop("strengths")
    run(other, inputs)
    for name in ("evidence_scale", "prior_scale", "rank_bias", "presence_scale", "presence_bias"):
        getattr(other, name).assign(getattr(layer, name))
    for one, two in zip(found, run(other, {**inputs, "evidence": evidence}), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.backend_agnostic
def test_missing_strengths_are_refused(inputs):
    with pytest.raises(ValueError, match=r"`strengths` must be given. Received: strengths=None"):
        run(PromptFusion(use_strength=True), inputs)


def test_the_candidate_that_agrees_with_the_prompt_is_chosen(inputs):
    inputs["evidence"] = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    inputs["doa"] = np.full((3, 180), 1 / 180)
    posterior, weights, presence = run(PromptFusion(), inputs)
    assert weights.argmax(axis=1).tolist() == [0, 1, 0] and weights.max(axis=1).min() > 0.98
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, atol=1e-5)
    assert (presence > 0.5).all()
    inputs["evidence"], inputs["similarity"] = np.zeros((3, 2)), np.zeros(3)
    assert (run(PromptFusion(), inputs)[2] < 0.1).all()


def test_order_of_candidates_decides_nothing_at_first(inputs):
    layer = PromptFusion()
    posterior, weights, presence = run(layer, inputs)
    for name in ("evidence", "azimuths", "posteriors"):
        inputs[name] = inputs[name][:, ::-1].copy()
    other = run(layer, inputs)
    np.testing.assert_allclose(other[0], posterior, atol=1e-6)
    np.testing.assert_allclose(other[1], weights[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(other[2], presence, atol=1e-6)


def test_extremes_and_their_gradients_are_finite(inputs, gradient):
    layer = PromptFusion()
    inputs["doa"] = np.eye(180)[[0, 90, 179]]
    rest = {k: ops.convert_to_tensor(v.astype("float32")) for k, v in inputs.items()}

    def total(evidence):
        posterior, weights, presence = layer(**{**rest, "evidence": evidence})
        return ops.sum(ops.square(posterior)) + ops.sum(ops.square(weights)) + ops.sum(presence)

    for evidence in (np.zeros((3, 2), "float32"), np.ones((3, 2), "float32")):
        run(layer, {**inputs, "evidence": evidence})
        assert np.isfinite(gradient(total, evidence)).all()


@pytest.mark.one_backend
def test_computes_in_float32(inputs, fusion):
    layer = PromptFusion(dtype="mixed_float16")
    run(layer, inputs)
    layer.set_weights(fusion.get_weights())
    for one, other in zip(run(layer, inputs), run(fusion, inputs), strict=True):
        assert one.dtype == "float32"
        np.testing.assert_array_equal(one, other)


@pytest.mark.backend_agnostic
def test_an_unknown_number_of_candidates_is_refused():
    with pytest.raises(ValueError, match=r"known number of candidates.*evidence.shape=\(3, None\)"):
        PromptFusion().build((3, None))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("evidence", (3, 3)),
        ("azimuths", (3, 1)),
        ("posteriors", (3, 2, 181)),
        ("doa", (2, 180)),
        ("similarity", (3, 1)),
    ],
)
def test_inputs_of_another_shape_are_refused(name, shape, fusion, inputs):
    with pytest.raises(ValueError, match=f"`{name}` must have shape .*Received: {name}.shape"):
        run(fusion, {**inputs, name: np.ones(shape)})


@pytest.mark.backend_agnostic
def test_strengths_of_another_shape_are_refused(inputs):
    with pytest.raises(ValueError, match="`strengths` must have shape"):
        run(PromptFusion(use_strength=True), {**inputs, "strengths": np.ones((3, 3))})
