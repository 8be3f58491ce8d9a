"""CMAF finds the sound that is asked for; its attention layers compute what they say."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.models.baselines import CMAF
from keras_avssan.models.baselines.cmaf import HANLayer

SIZES = {"num_mels": 16, "dim": 16, "num_heads": 2, "ffn_dim": 32, "hidden_dim": 32}
NO_DROPOUT = {"stream_dropout": 0.0, "attention_dropout": 0.0, "hidden_dropout": 0.0}


@pytest.fixture
def model():
    return CMAF(prompt_dim=4, **SIZES, **NO_DROPOUT)


@pytest.mark.one_backend
def test_learns_eight_scenes_and_whom_to_find(model, make_scenes, overfit):
    scenes = make_scenes(two_sources=True)
    assert overfit(model, scenes, learning_rate=5e-3) <= 3.0
    # The halves are the same mixes, asked for the other sound.
    inputs, labels = scenes
    other = {**inputs, "prompt_embedding": inputs["prompt_embedding"][::-1]}
    estimate = np.argmax(model.predict_on_batch(other)["doa"], axis=-1) + 1.0
    assert np.mean(np.abs(estimate - labels["interferer_azimuth"])) <= 3.0


@pytest.mark.one_backend
def test_comes_back_from_a_preset(model, make_scenes, comes_back):
    comes_back(model, make_scenes()[0])


@pytest.fixture
def layer():
    layer = HANLayer(num_heads=2, ffn_dim=12, dropout=0.3)
    layer.build((None, None, 6), (None, None, 6))
    rng = np.random.default_rng(0)
    for weight in layer.trainable_weights:
        weight.assign(0.5 * rng.normal(size=weight.shape))
    return layer


def test_attends_to_itself_and_to_the_other(layer):
    rng = np.random.default_rng(1)
    query = rng.normal(size=(2, 5, 6)).astype("float32")
    value = rng.normal(size=(2, 3, 6)).astype("float32")
    own = _attended(layer.self_attention, query, query)
    other = _attended(layer.cross_attention, query, value)
    x = _normalised(layer.attention_norm, query + own + other)
    hidden = np.maximum(0.0, _dense(layer.hidden, x))
    expected = _normalised(layer.norm, x + _dense(layer.projection, hidden))
    answer = ops.convert_to_numpy(layer(query, value, training=False))
    np.testing.assert_allclose(answer, expected, atol=1e-4)


def _attended(attention, query, value):
    """Multi-head attention, head by head."""
    kernels = [ops.convert_to_numpy(weight) for weight in attention.weights]
    total = kernels[7]
    for head in range(attention.num_heads):
        q, k, v = (
            x @ kernels[i][:, head] + kernels[i + 1][head]
            for x, i in ((query, 0), (value, 2), (value, 4))
        )
        scores = np.exp(q @ np.swapaxes(k, 1, 2) / np.sqrt(q.shape[-1]))
        weights = scores / np.sum(scores, axis=-1, keepdims=True)
        total = total + weights @ v @ kernels[6][head]
    return total


def _normalised(norm, x):
    gamma, beta = (ops.convert_to_numpy(weight) for weight in (norm.gamma, norm.beta))
    centred = x - np.mean(x, axis=-1, keepdims=True)
    power = np.mean(centred**2, axis=-1, keepdims=True)
    return gamma * centred / np.sqrt(power + norm.epsilon) + beta


def _dense(dense, x):
    return x @ ops.convert_to_numpy(dense.kernel) + ops.convert_to_numpy(dense.bias)


@pytest.mark.one_backend
def test_each_pair_of_streams_meets_both_ways(model):
    rng = np.random.default_rng(0)
    shapes = {"correlation": (1, 3, 16), "mel": (1, 3, 16), "visual": (1, 1, 16)}
    tokens = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    before = _fused(model.backbone, tokens)
    tokens["visual"] = tokens["visual"] + rng.normal(size=16).astype("float32")
    after = _fused(model.backbone, tokens)
    changed = np.max(np.abs(before - after).reshape(3, 6, 16), axis=(0, 2)) > 1e-3
    # In the order of the layers: all but correlation to mel and mel to correlation.
    assert changed.tolist() == [False, True, False, True, True, True]


def _fused(backbone, tokens):
    tokens = {name: ops.convert_to_tensor(value) for name, value in tokens.items()}
    return ops.convert_to_numpy(backbone.fuse(tokens))


@pytest.mark.one_backend
def test_any_duration_and_half_precision(make_scenes):
    inputs, _ = make_scenes(samples=5000)
    model = CMAF(prompt_dim=4, dtype="mixed_bfloat16", **SIZES)
    count = model.count_params()
    for samples in (300, 5000):
        scenes = {**inputs, "audio": inputs["audio"][:, :samples]}
        doa = model.predict_on_batch(scenes)["doa"]
        assert doa.dtype == "float32"
        np.testing.assert_allclose(np.sum(doa, axis=-1), 1.0, atol=1e-4)
    assert model.count_params() == count


@pytest.mark.backend_agnostic
def test_heads_must_fit():
    with pytest.raises(ValueError, match="num_heads=4"):
        HANLayer(num_heads=4).build((None, None, 6), (None, None, 6))


@pytest.mark.backend_agnostic
def test_sizes_as_published():
    backbone = CMAF.from_preset("cmaf", load_weights=False).backbone
    assert {tuple(layer.kernel.shape)[1] for layer in backbone.embeddings.values()} == {128}
    assert backbone.embeddings["correlation"].kernel.shape == (21, 128)
    assert len(backbone.attentions) == 6
    for layer in backbone.attentions.values():
        assert layer.hidden.kernel.shape == (128, 512)
        assert layer.self_attention.num_heads == layer.cross_attention.num_heads == 4
    shapes = [tuple(hidden.kernel.shape) for hidden in backbone.mlp.hidden]
    assert shapes == [(768, 1024), (1024, 1024)]
    assert CMAF.learning_rate == 1e-3
