"""The five rows of Table 4, and that a switched-off part truly has no influence."""

import numpy as np
import pytest

from keras_avssan.encoders import LogMelEncoder

# Layers and the whole network are tested under every backend elsewhere.
pytestmark = pytest.mark.one_backend

SWITCHES = ["semantic_audio", "multi_band", "band_attention", "spatial_refiner"]
ROWS = {
    "V": 0,
    "V+A": 1,
    "V+A+MB": 2,
    "V+A+MB+BA": 3,
    "V+A+MB+BA+Refiner": 4,
}


def row(name):
    return {switch: i < ROWS[name] for i, switch in enumerate(SWITCHES)}


def with_other(key, inputs, make_inputs):
    return {**inputs, key: make_inputs(seed=9)[key]}


def difference(first, second, key="mask"):
    return np.abs(first[key] - second[key]).max()


# Compiling a step takes long: `make test-all` does it under every backend for two rows.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[] if name in ("V", "V+A+MB+BA+Refiner") else pytest.mark.backend_agnostic
        )
        for name in ROWS
    ],
)
def test_each_row_trains(name, make_tiny, batch, make_inputs, run):
    inputs, labels = batch
    model = make_tiny(**row(name))
    before = [np.array(weight) for weight in model.get_weights()]
    loss = model.train_on_batch(inputs, labels)[0]
    after = model.get_weights()
    assert np.isfinite(loss)
    changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert np.mean(changed) > 0.9
    outputs = run(model, inputs)
    np.testing.assert_allclose(outputs["doa"].sum(axis=1), 1.0, rtol=1e-4)
    assert difference(run(model, with_other("images", inputs, make_inputs)), outputs) > 1e-6


def test_without_visual_prompt_no_prompt_has_influence(make_tiny, inputs, make_inputs, run):
    model = make_tiny(visual_prompt=False)
    outputs = run(model, inputs)
    for other in (
        with_other("images", inputs, make_inputs),
        {"audio": inputs["audio"], "prompt_embedding": np.ones((2, 3), "float32")},
        {"audio": inputs["audio"]},
    ):
        assert difference(run(model, other), outputs) == 0
    assert difference(run(model, with_other("audio", inputs, make_inputs)), outputs) > 1e-4


def test_with_visual_prompt_the_prompt_has_influence(make_tiny, inputs, make_inputs, run):
    model = make_tiny()
    other = with_other("images", inputs, make_inputs)
    assert difference(run(model, other), run(model, inputs)) > 1e-6


def test_without_semantic_audio_there_is_no_audio_encoder(make_tiny, inputs, run):
    encoder = LogMelEncoder(8, (4,))
    encoder.build((None, 8000))
    model = make_tiny(semantic_audio=False, audio_encoder=encoder)
    assert model.backbone.audio_encoder is None
    own = {id(variable) for variable in model.variables}
    assert not own & {id(variable) for variable in encoder.variables}
    assert model.count_params() == make_tiny(semantic_audio=False).count_params()


def perturb(layer):
    layer.set_weights([weight + 0.5 for weight in layer.get_weights()])


def test_with_semantic_audio_the_audio_encoder_has_influence(make_tiny, inputs, run):
    model = make_tiny()
    before = run(model, inputs)
    perturb(model.backbone.audio_encoder.projection)
    model.backbone.audio_encoder.projection.kernel.assign(
        -model.backbone.audio_encoder.projection.kernel
    )
    assert difference(run(model, inputs), before) > 1e-6


def test_without_multi_band_only_the_full_band_is_left(make_tiny, inputs, run):
    model = make_tiny(multi_band=False)
    outputs = run(model, inputs)
    assert model.backbone.bands == ("full",)
    attention = [name for name in outputs if name.startswith("band_attention_")]
    assert attention == ["band_attention_full"]
    assert outputs["band_weights"].shape[-1] == 1
    assert {layer.name for layer in model.backbone.alignments} == {"alignment_full"}
    assert model.count_params() < make_tiny().count_params()


def test_with_multi_band_each_band_has_influence(make_tiny, inputs, run):
    model = make_tiny()
    for alignment in model.backbone.alignments:
        before = run(model, inputs)
        alignment.output_norm.beta.assign(alignment.output_norm.beta + 1.0)
        gamma = alignment.output_norm.gamma
        gamma.assign(gamma * np.linspace(-1, 1, 8, dtype="float32"))
        assert difference(run(model, inputs), before) > 1e-6


def spread(beta):
    return np.ptp(beta, axis=1).max()


@pytest.mark.parametrize("active", [True, False])
def test_band_attention_weighs_the_patches(active, make_tiny, inputs, run):
    outputs = run(make_tiny(band_attention=active), inputs)
    beta = {name: outputs[f"band_attention_{name}"] for name in ("fine", "mid")}
    for name, count in [("fine", 16), ("mid", 4)]:
        if active:
            assert spread(beta[name]) > 1e-4
        else:
            np.testing.assert_allclose(beta[name], 1 / count, rtol=1e-5)


@pytest.mark.parametrize("active", [True, False])
def test_spatial_refiner_weighs_the_bands(active, make_tiny, inputs, run):
    model = make_tiny(spatial_refiner=active)
    alpha = run(model, inputs)["band_weights"]
    if active:
        assert np.ptp(alpha, axis=(1, 2)).max() > 1e-4
    else:
        np.testing.assert_allclose(alpha, 1 / 3, rtol=1e-5)
        assert not hasattr(model.backbone.refiner, "weight_logits")
