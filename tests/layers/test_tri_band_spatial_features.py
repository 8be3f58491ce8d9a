"""Equations (2) and (3) against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.layers import TriBandSpatialFeatures

FRAMES, BINS = 3, 513


@pytest.fixture
def spectrogram(rng):
    return rng.normal(size=(2, FRAMES, BINS, 4)).astype("float32")


def compute(spectrogram, **arguments):
    bands = TriBandSpatialFeatures(**arguments)(spectrogram)
    return {name: ops.convert_to_numpy(band) for name, band in bands.items()}


def cues(spectrogram, **arguments):
    """The cues bin by bin, (batch, T, F, C)."""
    return compute(spectrogram, bands=["full"], **arguments)["full"][:, 0]


def numpy_cues(spectrogram, ipd, ild_scale):
    """Equations (2) and (3) as published: the angle of the ratio, the ratio in decibels."""
    left = spectrogram[..., 0] + 1j * spectrogram[..., 1]
    right = spectrogram[..., 2] + 1j * spectrogram[..., 3]
    phase = np.angle(left / right)
    level = ild_scale * 20 * np.log10(np.abs(left) / np.abs(right))
    parts = [phase] if ipd == "angle" else [np.cos(phase), np.sin(phase)]
    return np.stack([*parts, level], axis=-1)


def swapped(spectrogram):
    return spectrogram[..., [2, 3, 0, 1]]


@pytest.mark.parametrize(("ipd", "count"), [("cos_sin", 3), ("angle", 2)])
def test_shapes_of_the_bands(ipd, count, spectrogram):
    layer = TriBandSpatialFeatures(ipd)
    shapes = {name: tuple(band.shape) for name, band in layer(spectrogram).items()}
    assert shapes == {
        "fine": (2, 16, FRAMES, 32, count),
        "mid": (2, 4, FRAMES, 128, count),
        "full": (2, 1, FRAMES, 513, count),
    }
    assert layer.compute_output_shape(spectrogram.shape) == shapes
    assert layer.num_cues == count


@pytest.mark.parametrize("ipd", ["cos_sin", "angle"])
def test_magnitude_is_the_last_cue(ipd, spectrogram):
    layer = TriBandSpatialFeatures(ipd, magnitude=True)
    with_magnitude = cues(spectrogram, ipd=ipd, magnitude=True)
    assert layer.num_cues == with_magnitude.shape[-1]
    assert layer.compute_output_shape(spectrogram.shape)["full"][-1] == layer.num_cues
    np.testing.assert_allclose(with_magnitude[..., :-1], cues(spectrogram, ipd=ipd), atol=1e-6)
    power = np.abs(spectrogram[..., ::2] + 1j * spectrogram[..., 1::2]) ** 2
    np.testing.assert_allclose(
        with_magnitude[..., -1], (power.mean(axis=-1) + 1e-6) ** 0.15, rtol=1e-5
    )
    silence = cues(np.zeros_like(spectrogram), ipd=ipd, magnitude=True)
    assert np.isfinite(silence).all()


@pytest.mark.parametrize("ipd", ["cos_sin", "angle"])
@pytest.mark.parametrize("ild_scale", [0.1, 1.0])
def test_equations(ipd, ild_scale, spectrogram):
    computed = cues(spectrogram, ipd=ipd, ild_scale=ild_scale, epsilon=1e-7)
    np.testing.assert_allclose(computed, numpy_cues(spectrogram, ipd, ild_scale), atol=1e-4)


def test_patches_are_neighbouring_bins_and_drop_the_nyquist_bin(spectrogram):
    bands = compute(spectrogram)
    full = bands["full"][:, 0]
    for name, width in [("fine", 32), ("mid", 128)]:
        joined = np.concatenate(list(bands[name].transpose(1, 0, 2, 3, 4)), axis=2)
        np.testing.assert_array_equal(joined, full[:, :, :512])
        np.testing.assert_array_equal(bands[name][:, 2], full[:, :, 2 * width : 3 * width])


def test_swapping_the_microphones_flips_the_signs(spectrogram):
    original, flipped = cues(spectrogram), cues(swapped(spectrogram))
    np.testing.assert_allclose(flipped, original * [1.0, -1.0, -1.0], atol=1e-6)
    original, flipped = cues(spectrogram, ipd="angle"), cues(swapped(spectrogram), ipd="angle")
    np.testing.assert_allclose(flipped, -original, atol=1e-6)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_a_delay_of_the_second_channel_is_a_positive_phase(delay, rng):
    """A source beside microphone 1 reaches microphone 2 later: the phase grows with frequency."""
    source = rng.normal(size=(1, FRAMES, BINS)) + 1j * rng.normal(size=(1, FRAMES, BINS))
    phase = 2 * np.pi * np.arange(BINS) / 1024 * delay
    late = source * np.exp(-1j * phase)
    spectrogram = np.stack([source.real, source.imag, late.real, late.imag], -1).astype("float32")
    computed = cues(spectrogram, epsilon=1e-7)
    np.testing.assert_allclose(
        computed[0],
        np.broadcast_to(np.stack([np.cos(phase), np.sin(phase), 0 * phase], -1), computed[0].shape),
        atol=1e-4,
    )
    angle = cues(spectrogram, ipd="angle", epsilon=1e-7)[..., 0]
    np.testing.assert_allclose(
        np.exp(1j * angle[0]), np.broadcast_to(np.exp(1j * phase), angle[0].shape), atol=1e-4
    )


def test_equations_as_printed(spectrogram):
    """A difference of two angles, not wrapped; ε beside the second magnitude alone."""
    left = spectrogram[..., 0] + 1j * spectrogram[..., 1]
    right = spectrogram[..., 2] + 1j * spectrogram[..., 3]
    phase = np.angle(left) - np.angle(right)
    assert np.abs(phase).max() > 1.5 * np.pi
    printed = {"ipd": "difference", "ild_epsilon": "second", "ild_scale": 1.0}
    np.testing.assert_allclose(cues(spectrogram, **printed)[..., 0], phase, atol=1e-5)
    floored = np.maximum(np.abs(left), 0.3)
    np.testing.assert_allclose(
        cues(spectrogram, **printed, epsilon=0.3)[..., 1],
        20 * np.log10(floored / (np.abs(right) + 0.3)),
        atol=1e-4,
    )


def test_twice_the_level_is_six_decibels():
    spectrogram = np.ones((1, 1, BINS, 4), "float32") * np.array([2, 2, 1, 1], "float32")
    level = cues(spectrogram, ild_scale=1.0)[..., -1]
    np.testing.assert_allclose(level, 20 * np.log10(2), rtol=1e-4)


@pytest.mark.parametrize(
    ("ipd", "ild_epsilon"), [("cos_sin", "both"), ("angle", "both"), ("difference", "second")]
)
def test_silence_gives_zeros_and_finite_gradients(ipd, ild_epsilon, gradient):
    silence = np.zeros((1, 1, BINS, 4), "float32")
    np.testing.assert_array_equal(cues(silence, ipd=ipd, ild_epsilon=ild_epsilon), 0.0)
    layer = TriBandSpatialFeatures(ipd, ild_epsilon=ild_epsilon)

    def total(x):
        return sum(ops.sum(band) for band in layer(x).values())

    assert np.isfinite(gradient(total, silence)).all()
    for one_silent in ([1, 1, 0, 0], [0, 0, 1, 1]):
        x = silence + np.array(one_silent, "float32")
        assert np.isfinite(cues(x, ipd=ipd, ild_epsilon=ild_epsilon)).all()
        assert np.isfinite(gradient(total, x)).all()


def test_bands_are_chosen_by_name(spectrogram):
    assert list(compute(spectrogram, bands=["full", "mid"])) == ["full", "mid"]


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"ipd": "tangent"}, "ipd"),
        ({"ild_epsilon": "first"}, "ild_epsilon"),
        ({"bands": ["coarse"]}, "bands"),
        ({"bands": []}, "bands"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        TriBandSpatialFeatures(**arguments)


@pytest.mark.backend_agnostic
def test_a_narrow_spectrogram_is_refused():
    with pytest.raises(ValueError, match="`spectrogram` must have at least 128 bins"):
        TriBandSpatialFeatures()(np.ones((1, 2, 65, 4), "float32"))
