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


def make_refiner(randomize, **arguments):
    refiner = SpatialRefiner(BINS, mlp_dim=7, **arguments)
    refiner.build([(None, None, DIM)] * 3, (None, None, BINS, 4))
    return randomize(refiner)


def call(refiner, bands, spectrogram):
    return [ops.convert_to_numpy(output) for output in refiner(bands, spectrogram)]


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
