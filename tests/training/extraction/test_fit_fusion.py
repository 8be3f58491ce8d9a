"""The few numbers of the fusion, fitted by maximum likelihood."""

import dataclasses
import importlib

import numpy as np
import pytest
from keras import ops

from keras_avssan.training import fit_fusion

pytestmark = pytest.mark.backend_agnostic
fitting = importlib.import_module("keras_avssan.training.extraction.fit_fusion")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def plan(delayed_plan):
    return delayed_plan


@pytest.fixture
def model(network):
    return network


@pytest.mark.parametrize("strength", [0.0, 0.25])
def test_known_numbers_of_the_selection_are_recovered(strength, rng):
    scenes, scale, prior, bias = 6000, 6.0, 1.5, np.array([0.4, 0.0, -0.4])
    outputs = {
        "evidence": rng.uniform(-1, 1, (scenes, 3)),
        "share": rng.uniform(0.05, 1, (scenes, 3)),
        "strengths": rng.uniform(-4, 0, (scenes, 3)),
        "azimuths": np.tile([30.0, 90.0, 150.0], (scenes, 1)),
    }
    evidence = outputs["evidence"] + strength * outputs["strengths"]
    logits = scale * evidence + prior * np.log(outputs["share"]) + bias
    right = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)  # a draw from the softmax
    azimuths = outputs["azimuths"][0, right] + rng.uniform(-10, 10, scenes)
    far = rng.uniform(size=scenes) < 0.25  # whose target no candidate is near
    azimuths[far] = 60.0
    loss, found, weights = fitting._fit_selection(outputs, azimuths, strength > 0)
    assert found == pytest.approx(np.mean(~far))
    assert weights["evidence_scale"] == pytest.approx(scale, rel=0.08)
    assert weights["prior_scale"] == pytest.approx(prior, rel=0.1)
    np.testing.assert_allclose(weights["rank_bias"], bias, atol=0.15)
    assert weights.get("strength_scale", 0.0) == pytest.approx(strength, rel=0.15)
    assert 0 < loss < np.log(3)


@pytest.mark.parametrize("strength", [0.0, 0.25])
def test_known_numbers_of_the_presence_are_recovered(strength, rng):
    scale, bias = np.array([6.0, 3.0]), -2.0
    evidence, similarity = rng.uniform(-1, 1, (20000, 2)), rng.uniform(-1, 1, 20000)
    strengths = rng.uniform(-4, 0, (20000, 2))
    best = np.max(evidence + strength * strengths, axis=1)
    score = scale[0] * best + scale[1] * similarity + bias
    there = rng.uniform(size=20000) < 1 / (1 + np.exp(-score))
    present, absent = (
        {
            "evidence": evidence[one],
            "strengths": strengths[one],
            "similarity": similarity[one],
        }
        for one in (there, ~there)
    )
    loss, weights = fitting._fit_presence(present, absent, strength)
    np.testing.assert_allclose(weights["presence_scale"], scale, rtol=0.08)
    assert weights["presence_bias"] == pytest.approx(bias, abs=0.2)
    assert 0 < loss < np.log(2)


def values(model):
    return {one.path: ops.convert_to_numpy(one).copy() for one in model.variables}


def test_only_the_fusion_changes(model, plan, embeddings):
    absent = dataclasses.replace(plan, absent=True)
    options = {"scenes": 3, "prompt_embeddings": embeddings, "progress": False}
    before = values(model)
    result = fit_fusion(model, plan, absent, **options)
    assert set(result) == {"selection", "presence", "found"} and 0 < result["found"] <= 1
    after = values(model)
    changed = {path for path in after if np.any(after[path] != before[path])}
    assert changed and changed <= {one.path for one in model.backbone.fusion.weights}
    assert fit_fusion(model, plan, absent, **options) == pytest.approx(result)  # whatever they were
    for path, value in values(model).items():
        np.testing.assert_allclose(value, after[path], atol=1e-5)
    record = model.training_record
    assert [one["stage"] for one in record.trainings] == ["fit_fusion"] * 2
    assert record.clips and record.rooms


def test_presence_is_higher_where_the_sound_is_present(model, plan, monkeypatch, rng):
    absent = dataclasses.replace(plan, absent=True)

    def outputs(model, one, scenes, *_):
        cosines = rng.normal(0.1 if one.absent else 0.6, 0.1, (scenes, 3)).astype("float32")
        there = np.array([[one[index].azimuth, 90.0] for index in range(scenes)], "float32")
        share = np.full((scenes, 2), 0.5, "float32")
        names = {"evidence": cosines[:, :2], "similarity": cosines[:, 2]}
        return {**names, "azimuths": there, "share": share, "strengths": 0.0 * share}

    monkeypatch.setattr(fitting, "_outputs", outputs)
    result = fit_fusion(model, plan, absent, scenes=40, progress=False)
    assert result["found"] == 1 and result["presence"] < 0.1

    def presence(one):
        made = outputs(model, one, 40)
        flat = np.full((40, 180), 1 / 180, "float32")
        arrays = (
            *(made["evidence"], made["azimuths"], np.stack([flat, flat], axis=1)),
            *(flat, made["similarity"]),
        )
        fused = model.backbone.fusion(*map(ops.convert_to_tensor, arrays))
        return ops.convert_to_numpy(fused[2])

    assert presence(plan).min() > 0.5 > presence(absent).max()


def test_wrong_plans_and_models_are_refused(model, plan, make_small_model, monkeypatch):
    absent = dataclasses.replace(plan, absent=True)
    for one in (make_small_model(image_encoder=None, prompt_dim=6), model.backbone.fusion):
        with pytest.raises(ValueError, match="`model` must be an AVSSAN with `num_candidates`"):
            fit_fusion(one, plan, absent)
    with pytest.raises(ValueError, match="`absent_plan` must have absent=True"):
        fit_fusion(model, plan, plan)
    with pytest.raises(ValueError, match="`absent_plan` must have absent=True.*=None"):
        fit_fusion(model, plan, None)
    with pytest.raises(ValueError, match="`plan` must have absent=False"):
        fit_fusion(model, absent, absent)
    with pytest.raises(ValueError, match="`scenes` must be an integer of at least 1"):
        fit_fusion(model, plan, absent, scenes=0)
    narrow = dataclasses.replace(plan.bank, microphone_spacing=0.05)
    with pytest.raises(ValueError, match="must have the model's microphone spacing, 0.2 m"):
        fit_fusion(model, dataclasses.replace(plan, bank=narrow), absent)
    made = {
        "evidence": np.zeros((2, 2)),
        "share": np.ones((2, 2)),
        "strengths": np.zeros((2, 2)),
        "azimuths": np.full((2, 2), 90.0),
        "similarity": np.zeros(2),
    }
    monkeypatch.setattr(fitting, "_outputs", lambda *_: made)
    before = values(model)
    with pytest.raises(ValueError, match="2 scenes, none with a candidate within 12 degrees"):
        fit_fusion(model, plan, absent, scenes=2)
    after = values(model)
    assert all(np.array_equal(after[path], before[path]) for path in before)
