"""Equations (4) to (7) against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.layers import SemanticSpatialAlignment

DIM, PATCHES, FRAMES, BINS, CUES = 6, 3, 5, 8, 2


@pytest.fixture
def inputs(rng):
    semantics = rng.normal(size=(2, FRAMES, DIM)).astype("float32")
    features = rng.normal(size=(2, PATCHES, FRAMES, BINS, CUES)).astype("float32")
    return semantics, features


def make_layer(randomize, **arguments):
    layer = SemanticSpatialAlignment(DIM, mlp_dim=10, **arguments)
    layer.build((None, None, DIM), (None, PATCHES, None, BINS, CUES))
    return randomize(layer)


def numpy_alignment(layer, semantics, patches, twin):
    """One scene: Z (T, D), and β (n,) from the mean of every entry of A = q kᵀ."""
    transformed, relevance = [], []
    for i, patch in enumerate(patches):
        cues = [encode(layer, patch[..., c], twin) for c in range(CUES)]
        spatial = np.concatenate(cues, axis=-1)
        query = semantics @ twin.array(layer.query_kernel)[i]
        key = spatial @ twin.array(layer.key_kernel)[i]
        value = spatial @ twin.array(layer.value_kernel)[i]
        scores = query @ key.T
        attended = twin.softmax(scores / np.sqrt(DIM)) @ value
        transformed.append(transform(layer, semantics, attended, twin))
        relevance.append(scores.mean())
    scale = np.sqrt(DIM) if layer.scale_relevance else 1.0
    beta = twin.softmax(np.array(relevance) / scale)
    return np.einsum("n,ntd->td", beta, np.stack(transformed)), beta


def encode(layer, cue, twin):
    for convolution in layer.convolutions:
        cue = twin.relu(twin.convolve(convolution, cue))
    return cue


def transform(layer, semantics, attended, twin):
    """Figure 1(b): MLP and normalisation, with or without the query as residual."""
    if layer.residual is None:
        hidden = twin.gelu(twin.dense(layer.hidden, attended))
        return twin.layer_norm(layer.output_norm, twin.dense(layer.projection, hidden))
    x = twin.layer_norm(layer.attention_norm, semantics + attended)
    hidden = twin.gelu(twin.dense(layer.hidden, x))
    return twin.layer_norm(layer.output_norm, x + twin.dense(layer.projection, hidden))


@pytest.mark.parametrize(
    ("residual", "scale_relevance"), [(None, False), ("query", False), ("query", True)]
)
def test_equations_4_to_7(residual, scale_relevance, inputs, twin, randomize):
    layer = make_layer(randomize, residual=residual, scale_relevance=scale_relevance)
    z, beta = (ops.convert_to_numpy(output) for output in layer(*inputs))
    for i, (semantics, patches) in enumerate(zip(*inputs, strict=True)):
        expected_z, expected_beta = numpy_alignment(layer, semantics, patches, twin)
        np.testing.assert_allclose(z[i], expected_z, atol=1e-4)
        np.testing.assert_allclose(beta[i], expected_beta, atol=1e-5)
    np.testing.assert_allclose(beta.sum(axis=1), 1.0, atol=1e-6)
    assert beta.max() - beta.min() > 0.01
    shapes = layer.compute_output_shape(inputs[0].shape, inputs[1].shape)
    assert shapes == (z.shape, beta.shape)


@pytest.mark.parametrize("attention_gain", [None, 2.0])
def test_queries_share_the_features_of_one_recording(attention_gain, rng, inputs, randomize):
    layer = make_layer(randomize, attention_gain=attention_gain)
    queries = rng.normal(size=(4, FRAMES, DIM)).astype("float32")
    features = inputs[1][:1]
    expected = layer(queries, np.repeat(features, 4, axis=0))
    for found, one in zip(layer(queries, features, shared=True), expected, strict=True):
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (found, one)), atol=1e-5)


def test_without_band_attention_all_patches_weigh_the_same(inputs, randomize):
    _, beta = make_layer(randomize, band_attention=False)(*inputs)
    np.testing.assert_allclose(ops.convert_to_numpy(beta), 1 / PATCHES, rtol=1e-6)


def test_every_patch_has_its_own_projections(inputs, randomize):
    """Equal features in all patches still give them different weights."""
    semantics, features = inputs
    features = np.repeat(features[:, :1], PATCHES, axis=1)
    _, beta = make_layer(randomize)(semantics, features)
    assert np.ptp(ops.convert_to_numpy(beta), axis=1).min() > 1e-3


@pytest.mark.parametrize("residual", [None, "query"])
def test_silence_is_finite(residual, inputs, gradient, randomize):
    layer = make_layer(randomize, residual=residual)
    semantics, features = np.zeros_like(inputs[0]), np.zeros_like(inputs[1])
    assert all(np.isfinite(ops.convert_to_numpy(x)).all() for x in layer(semantics, features))
    slope = gradient(lambda x: ops.sum(ops.square(layer(semantics, x)[0])), features)
    assert np.isfinite(slope).all()


@pytest.mark.backend_agnostic
def test_an_unknown_residual_is_refused():
    with pytest.raises(ValueError, match="`residual`"):
        SemanticSpatialAlignment(residual="both")


# ---- Beyond the paper: bounded relevance


def test_with_a_gain_the_relevance_is_a_cosine(inputs, twin, randomize):
    layer = make_layer(randomize, attention_gain=0.5)
    layer.gain.assign(3.0)
    z, beta = (ops.convert_to_numpy(output) for output in layer(*inputs))
    for i, (semantics, patches) in enumerate(zip(*inputs, strict=True)):
        relevance, transformed = [], []
        for j, patch in enumerate(patches):
            spatial = np.concatenate([encode(layer, patch[..., c], twin) for c in range(CUES)], -1)
            query = semantics @ twin.array(layer.query_kernel)[j]
            key = spatial @ twin.array(layer.key_kernel)[j]
            one, other = query.mean(axis=0), key.mean(axis=0)
            relevance.append(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
            value = spatial @ twin.array(layer.value_kernel)[j]
            attended = twin.softmax(query @ key.T / np.sqrt(DIM)) @ value
            transformed.append(transform(layer, semantics, attended, twin))
        expected = twin.softmax(3.0 * np.array(relevance))
        np.testing.assert_allclose(beta[i], expected, atol=1e-5)
        np.testing.assert_allclose(
            z[i], np.einsum("n,ntd->td", expected, np.stack(transformed)), atol=1e-4
        )
    assert beta.max() - beta.min() > 0.01


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_a_gain_of_zero_starts_with_equal_weights(scale, inputs):
    layer = SemanticSpatialAlignment(DIM, mlp_dim=10, attention_gain=0.0)
    _, beta = layer(scale * inputs[0], scale * inputs[1])
    np.testing.assert_allclose(ops.convert_to_numpy(beta), 1 / PATCHES, rtol=1e-6)


@pytest.mark.one_backend
def test_without_band_attention_or_patches_there_is_no_gain(inputs):
    semantics, features = inputs
    layer = SemanticSpatialAlignment(DIM, band_attention=False, attention_gain=2.0)
    _, beta = layer(semantics, features)
    np.testing.assert_allclose(ops.convert_to_numpy(beta), 1 / PATCHES, rtol=1e-6)
    single = SemanticSpatialAlignment(DIM, attention_gain=2.0)
    _, beta = single(semantics, features[:, :1])
    np.testing.assert_array_equal(ops.convert_to_numpy(beta), 1.0)
    assert not hasattr(layer, "gain") and not hasattr(single, "gain")


def test_silence_is_finite_with_a_gain(inputs, gradient):
    layer = SemanticSpatialAlignment(DIM, attention_gain=1.0)
    semantics, features = np.zeros_like(inputs[0]), np.zeros_like(inputs[1])
    layer(semantics, features)
    slope = gradient(lambda x: ops.sum(ops.square(layer(semantics, x)[1])), features)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("value", [-1, float("inf"), "1", False])
def test_an_impossible_gain_is_refused(value):
    with pytest.raises(ValueError, match="`attention_gain` must be a finite number of at least 0"):
        SemanticSpatialAlignment(attention_gain=value)
