"""Equations (8) to (10) against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.layers import SpatialRefiner

DIM, FRAMES, BINS = 6, 5, 9


@pytest.fixture
def bands(rng):
    return [rng.normal(size=(2, FRAMES, DIM)).astype("float32") for _ in range(3)]


@pytest.fixture
def spectrogram(rng):
    return rng.normal(size=(2, FRAMES, BINS, 4)).astype("float32")


def build_refiner(count=3, **arguments):
    refiner = SpatialRefiner(BINS, mlp_dim=7, **arguments)
    refiner.build([(None, None, DIM)] * count, (None, None, BINS, 4))
    return refiner


def make_refiner(randomize, **arguments):
    return randomize(build_refiner(**arguments))


def call(refiner, bands, spectrogram, **arguments):
    return [ops.convert_to_numpy(output) for output in refiner(bands, spectrogram, **arguments)]


@pytest.mark.parametrize(("adaptive", "magnitude"), [(True, False), (False, False), (True, True)])
def test_equations_8_to_10(adaptive, magnitude, bands, spectrogram, twin, randomize):
    refiner = make_refiner(randomize, adaptive=adaptive, magnitude=magnitude)
    mask, masked, weights = call(refiner, bands, spectrogram)
    alpha = np.full((2, FRAMES, 3), 1 / 3)
    if adaptive:
        hidden = twin.gelu(twin.dense(refiner.weight_hidden, np.concatenate(bands, axis=-1)))
        alpha = twin.softmax(twin.dense(refiner.weight_logits, hidden))
    fused = sum(alpha[..., i, None] * band for i, band in enumerate(bands))
    if magnitude:
        left = np.abs(spectrogram[..., 0] + 1j * spectrogram[..., 1])
        right = np.abs(spectrogram[..., 2] + 1j * spectrogram[..., 3])
        magnitudes = ((left**2 + right**2) / 2 + 1e-6) ** 0.15
        fused = np.concatenate([fused, magnitudes], axis=-1)
    hidden = twin.gelu(twin.dense(refiner.mask_hidden, fused))
    expected = twin.sigmoid(twin.dense(refiner.mask_logits, hidden))
    np.testing.assert_allclose(weights, alpha, atol=1e-5)
    np.testing.assert_allclose(mask, expected, atol=1e-5)
    np.testing.assert_allclose(masked, spectrogram * expected[..., None], atol=1e-5)
    shapes = refiner.compute_output_shape([bands[0].shape] * 3, spectrogram.shape)
    assert shapes == (mask.shape, masked.shape, weights.shape)


def test_band_weights_change_from_frame_to_frame(bands, spectrogram, randomize):
    _, _, weights = call(make_refiner(randomize), bands, spectrogram)
    assert np.ptp(weights, axis=1).min() > 1e-3


def test_one_mask_for_both_channels_keeps_the_direction(bands, spectrogram, randomize):
    _, masked, _ = call(make_refiner(randomize), bands, spectrogram)

    def ratio(parts):
        return (parts[..., 0] + 1j * parts[..., 1]) / (parts[..., 2] + 1j * parts[..., 3])

    np.testing.assert_allclose(ratio(masked), ratio(spectrogram), rtol=1e-3)


def test_spectrogram_is_not_rounded_under_mixed_precision(bands, spectrogram, randomize):
    refiner = make_refiner(randomize, dtype="mixed_bfloat16")
    mask, masked, weights = call(refiner, [ops.cast(b, "bfloat16") for b in bands], spectrogram)
    assert mask.dtype == masked.dtype == weights.dtype == "float32"
    np.testing.assert_allclose(masked, spectrogram * mask[..., None], rtol=1e-6)


def test_silence_is_finite(bands, spectrogram, gradient, randomize):
    refiner = make_refiner(randomize)
    silence = np.zeros_like(spectrogram)
    _, masked, _ = call(refiner, bands, silence)
    np.testing.assert_array_equal(masked, 0.0)
    zero = np.zeros_like(bands[0])
    slope = gradient(lambda x: ops.sum(refiner([x, x, x], silence)[0]), zero)
    assert np.isfinite(slope).all()


# ---- Beyond the paper: bounded logits and band dropout


def test_with_a_gain_the_logits_are_cosines(bands, spectrogram, twin, randomize):
    refiner = make_refiner(randomize, attention_gain=1.0)
    refiner.gain.assign(2.5)
    _, _, weights = call(refiner, bands, spectrogram)
    hidden = twin.gelu(twin.dense(refiner.weight_hidden, np.concatenate(bands, axis=-1)))
    vectors = twin.array(refiner.band_vectors)
    lengths = np.linalg.norm(hidden, axis=-1)[..., None] * np.linalg.norm(vectors, axis=-1)
    cosines = hidden @ vectors.T / lengths
    np.testing.assert_allclose(weights, twin.softmax(2.5 * cosines), atol=1e-5)
    assert np.ptp(weights, axis=1).min() > 1e-3


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_a_gain_of_zero_starts_with_equal_weights(scale, bands, spectrogram):
    refiner = build_refiner(attention_gain=0.0)
    _, _, weights = call(refiner, [scale * band for band in bands], spectrogram)
    np.testing.assert_allclose(weights, 1 / 3, rtol=1e-6)


def test_a_gain_bounds_the_ratio_of_weights(bands, spectrogram, randomize):
    """Cosines are from -1 to 1, whatever the features; the published logits have no bound."""
    loud = [100 * band for band in bands]
    _, _, published = call(make_refiner(randomize), loud, spectrogram)
    refiner = make_refiner(randomize, attention_gain=1.0)
    refiner.gain.assign(1.0)
    _, _, bounded = call(refiner, loud, spectrogram)
    assert bounded.max() / bounded.min() < np.exp(2)
    assert published.max() > 0.999


@pytest.mark.parametrize("arguments", [{}, {"adaptive": False}, {"attention_gain": 2.0}])
def test_a_dropped_band_has_no_weight_and_the_others_sum_to_one(
    arguments, bands, spectrogram, randomize
):
    many = [np.repeat(band[:1], 400, axis=0) for band in bands]
    scenes = np.repeat(spectrogram[:1], 400, axis=0)
    refiner = make_refiner(randomize, band_dropout=0.6, **arguments)
    plain = make_refiner(randomize, **arguments)
    _, _, whole = call(plain, many, scenes)
    _, _, weights = call(refiner, many, scenes, training=True)
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-5)
    dropped = (weights == 0).all(axis=1)
    assert ((weights == 0) == dropped[:, None]).all() and dropped.sum(axis=1).max() == 1
    # A band is dropped in 240 of 400 scenes, each in 80; six standard deviations.
    assert abs(dropped.sum() - 240) < 60 and (abs(dropped.sum(axis=0) - 80) < 48).all()
    kept = whole * ~dropped[:, None]
    np.testing.assert_allclose(weights, kept / kept.sum(axis=-1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("training", [False, None])
def test_no_band_is_dropped_at_inference(training, bands, spectrogram, randomize):
    plain = call(make_refiner(randomize), bands, spectrogram)
    outputs = call(make_refiner(randomize, band_dropout=1.0), bands, spectrogram, training=training)
    for output, expected in zip(outputs, plain, strict=True):
        np.testing.assert_array_equal(output, expected)


def test_a_single_band_is_never_dropped(bands, spectrogram):
    refiner = build_refiner(1, band_dropout=1.0)
    _, _, weights = call(refiner, bands[:1], spectrogram, training=True)
    np.testing.assert_array_equal(weights, 1.0)


def test_a_dropped_band_that_had_all_the_weight_leaves_finite_weights(bands, spectrogram):
    refiner = build_refiner(band_dropout=1.0)
    refiner.weight_logits.bias.assign([200.0, 0.0, 0.0])
    many = [np.repeat(band, 50, axis=0) for band in bands]
    _, _, weights = call(refiner, many, np.repeat(spectrogram, 50, axis=0), training=True)
    first = weights[(weights[..., 0] == 0).all(axis=1)]
    assert 0 < len(first) < 100
    np.testing.assert_allclose(first.sum(axis=-1), 1.0, rtol=1e-5)
    assert first[..., 1:].min() > 1e-3


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", True])
def test_an_impossible_gain_is_refused(value):
    with pytest.raises(ValueError, match="`attention_gain` must be a finite number of at least 0"):
        SpatialRefiner(attention_gain=value)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", None])
def test_an_impossible_dropout_is_refused(value):
    with pytest.raises(ValueError, match="`band_dropout` must be a number from 0 to 1"):
        SpatialRefiner(band_dropout=value)
