"""Resampling against sine waves, libsoxr and SciPy."""

import keras
import numpy as np
import pytest
import scipy.signal
import soxr
from keras import ops

from keras_avssan.layers.resampler import Resampler

RATES = [(16000, 44100), (44100, 16000), (48000, 16000), (16000, 24000), (22050, 16000)]


def resample(layer, audio):
    return ops.convert_to_numpy(layer(np.atleast_2d(audio).astype("float32")))


def interior(signal, layer):
    """Leaves out both ends, where the filters reach beyond the recording."""
    edge = 80 * layer.target_rate // min(layer.source_rate, layer.target_rate)
    return signal[..., edge:-edge]


def decibels(difference, reference):
    return 10 * np.log10(np.mean(np.square(difference)) / np.mean(np.square(reference)))


@pytest.mark.parametrize(("source", "target"), RATES)
def test_sine_waves_below_the_passband_edge_keep_level_and_phase(source, target, rng):
    frequencies = 0.9 * min(source, target) / 2 * np.array([1e-3, 0.1, 0.35, 0.8, 1.0])
    phases = rng.uniform(0, 2 * np.pi, (5, 1))

    def waves(rate):
        return np.sin(2 * np.pi * frequencies[:, None] * np.arange(rate // 4) / rate + phases)

    layer = Resampler(source, target)
    output, expected = resample(layer, waves(source)), waves(target)
    for wave, truth in zip(interior(output[:, : target // 4], layer), expected, strict=True):
        assert decibels(wave - interior(truth, layer), truth) < -80


@pytest.mark.parametrize(("source", "target"), [(44100, 16000), (48000, 16000), (22050, 16000)])
def test_frequencies_above_the_lower_nyquist_are_removed(source, target):
    wave = np.sin(2 * np.pi * 1.02 * target / 2 * np.arange(source // 4) / source)
    layer = Resampler(source, target)
    assert decibels(interior(resample(layer, wave)[0], layer), wave) < -80


def test_a_higher_rate_has_nothing_new_above_the_old_nyquist_frequency(rng):
    layer = Resampler(16000, 44100)
    output = interior(resample(layer, rng.normal(size=8000))[0], layer)
    power = np.square(np.abs(np.fft.rfft(output * np.blackman(len(output)))))
    frequencies = np.fft.rfftfreq(len(output), 1 / 44100)
    assert power[frequencies > 8050].max() < 1e-8 * power.max()


@pytest.mark.parametrize(("source", "target"), RATES)
def test_agrees_with_soxr(source, target, rng):
    passband = scipy.signal.firwin(401, 0.85 * min(1.0, target / source))
    noise = scipy.signal.fftconvolve(rng.normal(size=source // 2), passband, mode="same")
    layer = Resampler(source, target)
    expected = soxr.resample(noise, source, target, "VHQ")
    output = resample(layer, noise)[0, : len(expected)]
    assert abs(len(output) - len(expected)) <= 1
    assert decibels(interior(output - expected, layer), expected) < -60


@pytest.mark.one_backend
@pytest.mark.parametrize("samples", [1, 159, 160, 161, 1000, 16000])
@pytest.mark.parametrize(("source", "target"), [(16000, 44100), (44100, 16000)])
def test_length_is_rounded_up_as_in_scipy(source, target, samples):
    layer = Resampler(source, target)
    shape = resample(layer, np.ones(samples)).shape
    assert shape == layer.compute_output_shape((1, samples))
    up, down = (441, 160) if target > source else (160, 441)
    assert shape[1] == len(scipy.signal.resample_poly(np.ones(samples), up, down))


def test_length_of_a_recording_of_hours_does_not_overflow():
    hour = ops.convert_to_tensor(np.int32(3600 * 16000))
    assert int(Resampler(16000, 44100)._num_outputs(hour)) == 3600 * 44100


def test_a_constant_keeps_its_value():
    layer = Resampler(16000, 44100)
    np.testing.assert_allclose(interior(resample(layer, np.ones(1000)), layer), 1.0, atol=1e-6)


def test_equal_rates_change_nothing(rng):
    audio = rng.normal(size=(2, 100)).astype("float32")
    np.testing.assert_array_equal(resample(Resampler(8000, 8000), audio), audio)


def test_recordings_of_a_batch_are_independent(rng):
    layer = Resampler(16000, 44100)
    audio = rng.normal(size=(3, 500)) * np.array([[1.0], [100.0], [0.01]])
    together = resample(layer, audio)
    for row, alone in zip(together, audio, strict=True):
        np.testing.assert_allclose(row, resample(layer, alone)[0], rtol=1e-4, atol=1e-6)


def test_unknown_duration_inside_a_model(rng):
    inputs = keras.Input((None,))
    layer = Resampler(16000, 44100)
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None)
    for samples in (1000, 1234):
        audio = rng.normal(size=(2, samples)).astype("float32")
        np.testing.assert_allclose(
            np.asarray(model.predict(audio, verbose=0)), resample(layer, audio), atol=1e-5
        )


def test_stays_in_float32_under_mixed_precision(rng):
    audio = rng.normal(size=(1, 500)).astype("float32")
    low = Resampler(16000, 44100, dtype="mixed_bfloat16")
    np.testing.assert_array_equal(resample(low, audio), resample(Resampler(16000, 44100), audio))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("rates", "name"),
    [
        ((0, 16000), "source_rate"),
        ((16000, -1), "target_rate"),
        ((16000, 44100.5), "target_rate"),
        ((16000, 44101), "source_rate` and `target_rate"),
    ],
)
def test_bad_rates_are_named(rates, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        Resampler(*rates)
