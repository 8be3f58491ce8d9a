"""SELDNet learns one source; its features and its recurrence are what NumPy computes."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.models.baselines import SELDNet
from keras_avssan.models.baselines.seld_net import (
    ConvPoolBlock,
    SELDNetBackbone,
    magnitude_and_phase,
)

# Running statistics that follow within the few steps of a test.
SMALL = {
    "filters": 16,
    "recurrent_dim": 32,
    "hidden_dim": 32,
    "momentum": 0.8,
    "frame_length": 512,
    "hop_length": 1024,
}


@pytest.fixture
def model():
    return SELDNet(**SMALL)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def run_gru(x, kernel, recurrent_kernel, bias):
    """A gated recurrent unit over (steps, features): update, reset and candidate gate."""
    state = np.zeros(len(recurrent_kernel))
    states = []
    for step in x:
        zx, rx, cx = np.split(step @ kernel + bias[0], 3)
        zh, rh, ch = np.split(state @ recurrent_kernel + bias[1], 3)
        update, reset = sigmoid(zx + zh), sigmoid(rx + rh)
        # The reset gate acts on what the recurrent weights put out.
        state = update * state + (1 - update) * np.tanh(cx + reset * ch)
        states.append(state)
    return np.array(states)


@pytest.mark.one_backend
def test_learns_eight_scenes_of_one_source(model, make_scenes, overfit):
    assert overfit(model, make_scenes(two_sources=False), learning_rate=5e-3, every=10) <= 3.0


def test_features_are_log_magnitude_and_phase():
    rng = np.random.default_rng(1)
    spectrum = rng.normal(size=(2, 3, 9, 2)) + 1j * rng.normal(size=(2, 3, 9, 2))
    parts = np.stack([spectrum.real, spectrum.imag], axis=-1).reshape(2, 3, 9, 4)
    features = ops.convert_to_numpy(magnitude_and_phase(ops.convert_to_tensor(parts, "float32")))
    spectrum = spectrum[:, :, :8]
    expected = [np.log(np.sqrt(np.abs(spectrum) ** 2 + 1e-4)), np.angle(spectrum) / np.pi]
    np.testing.assert_allclose(features, np.concatenate(expected, axis=-1), atol=1e-5)


def test_silence_has_finite_features():
    features = ops.convert_to_numpy(magnitude_and_phase(ops.zeros((1, 2, 9, 4))))
    np.testing.assert_allclose(features[..., :2], np.log(0.01), atol=1e-5)
    np.testing.assert_array_equal(features[..., 2:], 0.0)


def test_directions_of_the_recurrence_are_multiplied(model):
    layer = model.backbone.recurrent[0]
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=w.shape, scale=0.3) for w in layer.get_weights()]
    layer.set_weights(weights)
    x = rng.normal(size=(2, 5, weights[0].shape[0]))
    forward = np.stack([run_gru(one, *weights[:3]) for one in x])
    backward = np.stack([run_gru(one[::-1], *weights[3:])[::-1] for one in x])
    output = ops.convert_to_numpy(layer(ops.convert_to_tensor(x, "float32")))
    np.testing.assert_allclose(output, forward * backward, atol=1e-5)


def test_pooling_keeps_the_largest_of_neighbouring_bins():
    block = ConvPoolBlock(3, pool_size=4)
    x = np.random.default_rng(3).normal(size=(2, 5, 10, 4)).astype("float32")
    pooled = ops.convert_to_numpy(block(x))
    whole = ops.convert_to_numpy(ops.relu(block.norm(block.conv(x))))
    expected = np.stack([whole[:, :, :4].max(axis=2), whole[:, :, 4:8].max(axis=2)], axis=2)
    assert pooled.shape == block.compute_output_shape(x.shape) == (2, 5, 2, 3)
    np.testing.assert_allclose(pooled, expected, atol=1e-6)


def test_recordings_of_any_duration(model):
    audio = np.random.default_rng(4).normal(size=(2, 6000, 2)).astype("float32")
    for samples in (1600, 6000):
        posterior = model.predict_on_batch({"audio": audio[:, :samples]})["doa"]
        assert posterior.shape == (2, 180)
        np.testing.assert_allclose(posterior.sum(axis=-1), 1.0, atol=1e-5)


@pytest.mark.one_backend
def test_comes_back_from_a_preset(model, make_scenes, comes_back):
    comes_back(model, make_scenes()[0])


@pytest.mark.one_backend
def test_prompts_have_no_influence(model, make_scenes):
    inputs, _ = make_scenes()
    alone = model.predict_on_batch({"audio": inputs["audio"]})["doa"]
    np.testing.assert_array_equal(model.predict_on_batch(inputs)["doa"], alone)


@pytest.mark.one_backend
def test_half_precision_stays_near():
    audio = np.random.default_rng(5).normal(size=(2, 1600, 2)).astype("float32")
    whole, half = SELDNet(**SMALL), SELDNet(**SMALL, dtype="mixed_bfloat16")
    half.set_weights(whole.get_weights())
    posteriors = [net.predict_on_batch({"audio": audio})["doa"] for net in (whole, half)]
    assert posteriors[1].dtype == "float32"
    np.testing.assert_allclose(posteriors[1], posteriors[0], atol=1e-3)


@pytest.mark.backend_agnostic
def test_pooling_must_leave_a_bin():
    with pytest.raises(ValueError, match=r"`pool_sizes` must leave .*\(8, 8, 16\)"):
        SELDNetBackbone(pool_sizes=(8, 8, 16))


@pytest.mark.backend_agnostic
def test_sizes_as_published():
    backbone = SELDNet.from_preset("seldnet", load_weights=False).backbone
    kernels = [tuple(block.conv.kernel.shape) for block in backbone.convolutions]
    assert kernels == [(3, 3, 4, 64), (3, 3, 64, 64), (3, 3, 64, 64)]
    assert [block.pool_size for block in backbone.convolutions] == [8, 8, 2]
    shapes = [tuple(layer.forward_layer.cell.kernel.shape) for layer in backbone.recurrent]
    assert shapes == [(4 * 64, 3 * 128), (128, 3 * 128)]
    assert [layer.merge_mode for layer in backbone.recurrent] == ["mul", "mul"]
    assert backbone.hidden.kernel.shape == (128, 128)
    assert backbone.logits.kernel.shape == (128, 180)
