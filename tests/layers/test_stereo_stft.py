"""The two-channel spectrogram against SciPy."""

import numpy as np
import pytest
import scipy.signal
from keras import ops

from keras_avssan.layers import StereoSTFT
from keras_avssan.layers.stereo_stft import level_gain

IMPLEMENTATIONS = ["fft", "conv"]


def transform(layer, audio):
    """Complex spectrogram (batch, T, F, channels)."""
    parts = ops.convert_to_numpy(layer(audio))
    return parts[..., 0::2] + 1j * parts[..., 1::2]


def scipy_transform(audio, frame_length=1024, hop_length=512):
    """The same with SciPy; its window for "psd" at 1 Hz has unit energy too."""
    half = frame_length // 2
    _, _, bins = scipy.signal.stft(
        np.pad(audio, [(0, 0), (half, half), (0, 0)]),
        fs=1.0,
        nperseg=frame_length,
        noverlap=frame_length - hop_length,
        boundary=None,
        padded=False,
        scaling="psd",
        axis=1,
    )
    return bins.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("samples", [300, 8192, 8703])
def test_equals_scipy_for_any_duration(implementation, samples, rng):
    audio = rng.normal(size=(2, samples, 2)).astype("float32")
    layer = StereoSTFT(implementation=implementation)
    bins = transform(layer, audio)
    assert bins.shape == (2, 1 + samples // 512, 513, 2)
    assert layer.compute_output_shape(audio.shape) == (2, 1 + samples // 512, 513, 4)
    np.testing.assert_allclose(bins, scipy_transform(audio), atol=2e-4)


@pytest.mark.one_backend
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_other_frames_and_channels(implementation, rng):
    audio = rng.normal(size=(1, 1000, 3)).astype("float32")
    layer = StereoSTFT(64, 24, implementation)
    assert layer.num_bins == 33
    np.testing.assert_allclose(transform(layer, audio), scipy_transform(audio, 64, 24), atol=1e-4)


def test_white_noise_of_unit_variance_has_unit_power(rng):
    bins = transform(StereoSTFT(), rng.normal(size=(1, 64000, 2)).astype("float32"))
    power = (np.abs(bins[:, 1:-1]) ** 2).mean(axis=(0, 1, 3))
    assert power.mean() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(power, 1.0, atol=0.5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_silence_has_finite_gradients(implementation, gradient):
    layer = StereoSTFT(64, 32, implementation)
    slope = gradient(lambda x: ops.sum(ops.square(layer(x))), np.zeros((1, 200, 2), "float32"))
    np.testing.assert_array_equal(slope, 0.0)


def test_stays_in_float32_under_mixed_precision(rng):
    audio = rng.normal(size=(1, 2048, 2)).astype("float32")
    layer = StereoSTFT(dtype="mixed_bfloat16")
    assert layer.compute_dtype == "float32"
    np.testing.assert_array_equal(transform(layer, audio), transform(StereoSTFT(), audio))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"frame_length": 0}, "frame_length"),
        ({"frame_length": 1025}, "frame_length"),
        ({"hop_length": -1}, "hop_length"),
        ({"hop_length": 0.5}, "hop_length"),
        ({"implementation": "wavelet"}, "implementation"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        StereoSTFT(**arguments)


def test_level_gain_brings_the_pair_to_unit_power(rng):
    audio = rng.normal(size=(3, 4000, 2)) * np.array([0.01, 1.0, 30.0])[:, None, None]
    audio = audio.astype("float32")
    gain = ops.convert_to_numpy(level_gain(audio))
    assert gain.shape == (3, 1, 1)
    np.testing.assert_allclose(np.mean((audio * gain) ** 2, axis=(1, 2)), 1.0, rtol=1e-4)


def test_level_gain_of_silence_is_finite(gradient):
    silence = np.zeros((1, 100, 2), "float32")
    assert np.isfinite(ops.convert_to_numpy(level_gain(silence))).all()
    slope = gradient(lambda x: ops.sum(x * level_gain(x)), silence)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(("frame_length", "hop_length"), [(1024, 512), (64, 16)])
@pytest.mark.parametrize("samples", [2048, 3000])
def test_inverse_gives_the_signal_back(frame_length, hop_length, samples, rng):
    audio = rng.normal(size=(2, samples, 2)).astype("float32")
    layer = StereoSTFT(frame_length, hop_length)
    again = ops.convert_to_numpy(layer.inverse(layer(audio), samples))
    assert again.shape == audio.shape
    reached = (samples // hop_length) * hop_length + frame_length // 2 - 8
    np.testing.assert_allclose(again[:, :reached], audio[:, :reached], atol=1e-3)


def test_inverse_of_a_changed_spectrogram_equals_scipy(rng):
    layer = StereoSTFT()
    parts = ops.convert_to_numpy(layer(rng.normal(size=(1, 4096, 1)).astype("float32")))
    parts = parts * rng.uniform(size=parts[..., :1].shape)
    _, expected = scipy.signal.istft(
        (parts[0, ..., 0] + 1j * parts[0, ..., 1]).T, 1.0, nperseg=1024, scaling="psd"
    )
    found = ops.convert_to_numpy(layer.inverse(parts.astype("float32"), 4096))[0, :, 0]
    np.testing.assert_allclose(found, expected[:4096], atol=1e-3)


@pytest.mark.backend_agnostic
def test_inverse_refuses_another_duration():
    layer = StereoSTFT()
    with pytest.raises(ValueError, match="`samples` must fit the 3 frames.*samples=2048"):
        layer.inverse(np.zeros((1, 3, 513, 4), "float32"), 2048)


@pytest.mark.parametrize("level", [1e-28, 1e-10, 1.0, 1e10, 1e30])
def test_any_loudness_is_brought_to_one(level):
    audio = np.random.default_rng(0).normal(size=(2, 500, 2)) * [[[level]], [[1.0]]]
    audio = audio.astype("float32")
    levelled = audio * ops.convert_to_numpy(level_gain(audio))
    np.testing.assert_allclose(np.sqrt(np.mean(levelled**2, axis=(1, 2))), 1, rtol=1e-3)


def test_silence_has_a_finite_gain():
    assert np.isfinite(ops.convert_to_numpy(level_gain(np.zeros((1, 50, 2))))).all()
