"""The Conformer block computes what it says, and looks as far as it should."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.models.baselines.conformer import ConformerBlock, ConformerConvolution

DIM = 6


def _randomise(layer):
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        # Positive, since the variances of batch normalisation are among them.
        weight.assign(rng.uniform(0.1, 1.0, size=weight.shape))


def _noise(frames, seed=1):
    return np.random.default_rng(seed).normal(size=(2, frames, DIM)).astype("float32")


def _numbers(weight):
    return ops.convert_to_numpy(weight)


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def _normalised(norm, x):
    centred = x - np.mean(x, axis=-1, keepdims=True)
    power = np.mean(centred**2, axis=-1, keepdims=True)
    return _numbers(norm.gamma) * centred / np.sqrt(power + norm.epsilon) + _numbers(norm.beta)


def _dense(dense, x):
    return x @ _numbers(dense.kernel) + _numbers(dense.bias)


def _convolved(module, x):
    """The convolution module step by step."""
    a, b = np.split(_dense(module.gated, _normalised(module.input_norm, x)), 2, axis=-1)
    x = a * _sigmoid(b)
    kernel = _numbers(module.depthwise.kernel)[..., 0]
    half = len(kernel) // 2
    padded = np.pad(x, [(0, 0), (half, half), (0, 0)])
    frames = range(x.shape[1])
    x = np.stack([np.sum(padded[:, t : t + len(kernel)] * kernel, axis=1) for t in frames], axis=1)
    x = x + _numbers(module.depthwise.bias)
    norm = module.norm
    x = (x - _numbers(norm.moving_mean)) / np.sqrt(_numbers(norm.moving_variance) + norm.epsilon)
    x = x * _numbers(norm.gamma) + _numbers(norm.beta)
    return _dense(module.projection, x * _sigmoid(x))


@pytest.mark.one_backend
@pytest.mark.parametrize("frames", [3, 12])
def test_convolution_module_against_its_formula(frames):
    module = ConformerConvolution(kernel_size=5)
    module.build((None, None, DIM))
    _randomise(module)
    x = _noise(frames)
    np.testing.assert_allclose(_numbers(module(x)), _convolved(module, x), rtol=1e-4, atol=1e-4)


@pytest.mark.one_backend
def test_convolution_looks_half_a_kernel_far():
    module = ConformerConvolution(kernel_size=5)
    x = _noise(11)
    y = x.copy()
    y[:, 5] += np.arange(DIM)
    changed = np.max(np.abs(_numbers(module(x)) - _numbers(module(y))), axis=(0, 2)) > 1e-5
    assert np.flatnonzero(changed).tolist() == [3, 4, 5, 6, 7]


def test_block_is_two_half_steps_around_attention_and_convolution():
    block = ConformerBlock(num_heads=1, ffn_dim=8, kernel_size=3)
    block.build((None, None, DIM))
    _randomise(block)
    x = expected = _noise(7)

    def half_step(layers, x):
        norm, hidden, projection = layers
        x = _dense(hidden, _normalised(norm, x))
        return 0.5 * _dense(projection, x * _sigmoid(x))

    expected = expected + half_step(block.first_ffn, expected)
    expected = expected + _attended(block.attention, _normalised(block.attention_norm, expected))
    expected = expected + _convolved(block.convolution, expected)
    expected = expected + half_step(block.second_ffn, expected)
    expected = _normalised(block.norm, expected)
    np.testing.assert_allclose(_numbers(block(x)), expected, rtol=1e-3, atol=1e-3)


def _attended(attention, x):
    """Self-attention with one head."""
    kernels = [_numbers(weight) for weight in attention.weights]
    query, key, value = (x @ kernels[i][:, 0] + kernels[i + 1][0] for i in (0, 2, 4))
    scores = query @ np.swapaxes(key, 1, 2) / np.sqrt(query.shape[-1])
    scores = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    attended = scores / np.sum(scores, axis=-1, keepdims=True) @ value
    return attended @ kernels[6][0] + kernels[7]


@pytest.mark.one_backend
def test_only_the_convolution_knows_the_order_of_the_frames():
    x = _noise(6)
    order = [3, 0, 5, 1, 4, 2]
    pointwise = ConformerBlock(num_heads=2, ffn_dim=8, kernel_size=1)
    np.testing.assert_allclose(
        _numbers(pointwise(x[:, order])), _numbers(pointwise(x))[:, order], atol=1e-5
    )
    block = ConformerBlock(num_heads=2, ffn_dim=8, kernel_size=3)
    assert np.max(np.abs(_numbers(block(x[:, order])) - _numbers(block(x))[:, order])) > 1e-2


@pytest.mark.backend_agnostic
def test_heads_must_fit():
    with pytest.raises(ValueError, match="num_heads=4"):
        ConformerBlock(num_heads=4).build((None, None, DIM))
