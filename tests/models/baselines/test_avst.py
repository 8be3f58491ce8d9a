"""AVST finds the sound that is asked for, and lets two class tokens attend to each other."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.models.baselines import AVST
from keras_avssan.models.baselines.avst import AVSTBackbone, ClassTokenEncoder

SIZES = {"num_lags": 48, "dim": 16, "num_layers": 1, "num_heads": 2, "mlp_dim": 32, "dropout": 0.0}


@pytest.fixture
def model():
    return AVST(prompt_dim=4, prompt_tokens=2, **SIZES)


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


@pytest.mark.one_backend
def test_class_tokens_attend_to_each_other():
    backbone = AVSTBackbone(prompt_dim=4, **SIZES)
    rng = np.random.default_rng(0)
    for weight in backbone.attention.weights:
        weight.assign(0.3 * rng.normal(size=weight.shape))
    pair = rng.normal(size=(3, 2, 16)).astype("float32")
    answer = ops.convert_to_numpy(backbone.join(ops.convert_to_tensor(pair)))
    np.testing.assert_allclose(answer, _joined(pair, backbone.attention), atol=1e-4)


def _joined(pair, attention):
    """Multi-head attention of two tokens and its sum with them, normalised."""
    kernels = [ops.convert_to_numpy(weight) for weight in attention.weights]
    query, key, value = (
        np.einsum("btd,dhk->bhtk", pair, kernels[i]) + kernels[i + 1][:, None, :] for i in (0, 2, 4)
    )
    scores = np.exp(query @ np.swapaxes(key, 2, 3) / np.sqrt(query.shape[-1]))
    attended = scores / np.sum(scores, axis=-1, keepdims=True) @ value
    x = pair + np.einsum("bhtk,hkd->btd", attended, kernels[6]) + kernels[7]
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-3)


def test_order_of_the_frames_counts():
    encoder = ClassTokenEncoder(dim=8, num_layers=1, num_heads=2, mlp_dim=16)
    x = np.random.default_rng(0).normal(size=(1, 6, 5)).astype("float32")
    forwards, backwards = (ops.convert_to_numpy(encoder(y)) for y in (x, x[:, ::-1].copy()))
    assert forwards.shape == (1, 8)
    assert np.max(np.abs(forwards - backwards)) > 1e-3


@pytest.mark.one_backend
def test_any_duration_and_half_precision(make_scenes):
    inputs, _ = make_scenes(samples=5000)
    model = AVST(prompt_dim=4, dtype="mixed_bfloat16", **SIZES)
    count = model.count_params()
    for samples in (300, 5000):
        scenes = {**inputs, "audio": inputs["audio"][:, :samples]}
        doa = model.predict_on_batch(scenes)["doa"]
        assert doa.dtype == "float32"
        np.testing.assert_allclose(np.sum(doa, axis=-1), 1.0, atol=1e-4)
    assert model.count_params() == count


@pytest.mark.backend_agnostic
def test_lags_span_a_millisecond_to_either_side():
    lags = AVSTBackbone(prompt_dim=4).correlation.lags
    assert len(lags) == 96
    np.testing.assert_allclose([lags[0], lags[48], lags[-1]], [-16.0, 0.0, 47 / 3])


@pytest.mark.backend_agnostic
def test_sizes_as_published():
    backbone = AVST.from_preset("avst", load_weights=False).backbone
    for encoder in (backbone.audio_encoder, backbone.visual_encoder):
        assert encoder.class_token.shape == (1, 1, 128)
        assert [block.hidden.kernel.shape for block in encoder.blocks] == [(128, 256)] * 2
        assert {block.attention.num_heads for block in encoder.blocks} == {4}
    assert backbone.audio_encoder.embedding.kernel.shape == (96, 128)
    assert backbone.attention.num_heads == 4
    assert backbone.logits.kernel.shape == (256, 180)
    assert AVST.learning_rate == 1e-4
