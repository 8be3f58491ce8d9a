"""Generalised cross-correlation against NumPy, and against known delays."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.layers import GeneralizedCrossCorrelation, StereoSTFT

LAGS = range(-8, 9)


def delayed_pair(lag, samples=2048, seed=0):
    """White noise that reaches channel 0 `lag` samples before channel 1."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=samples))
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(samples) * lag)
    return np.stack([np.fft.irfft(spectrum), np.fft.irfft(spectrum * turn)], axis=-1)


def correlate(audio, lags=LAGS):
    spectrogram = StereoSTFT(128, 64)(audio[None].astype("float32"))
    return ops.convert_to_numpy(GeneralizedCrossCorrelation(lags)(spectrogram))[0]


def test_is_the_inverse_transform_of_the_phase():
    audio = np.random.default_rng(1).normal(size=(640, 2))
    window = np.hanning(129)[:128]
    padded = np.pad(audio, ((64, 64), (0, 0)))
    for frame, found in enumerate(correlate(audio)):
        part = padded[64 * frame : 64 * frame + 128] * window[:, None]
        first, second = np.fft.rfft(part, axis=0).T
        cross = first * np.conj(second)
        curve = np.fft.irfft(cross / np.abs(cross))
        # The correlation peaks at minus the lead in this sign of the transform.
        np.testing.assert_allclose(found, [curve[-lag] for lag in LAGS], atol=2e-4)


@pytest.mark.one_backend
@pytest.mark.parametrize("lag", [-7, 0, 3])
def test_peaks_where_channel_0_leads(lag):
    curve = correlate(delayed_pair(lag)).mean(axis=0)
    assert LAGS[np.argmax(curve)] == lag


def test_fractions_of_samples():
    lags = np.arange(-4, 4.01, 0.25)
    curve = correlate(delayed_pair(1.75), lags).mean(axis=0)
    assert lags[np.argmax(curve)] == 1.75


def test_silence_is_zero():
    np.testing.assert_array_equal(correlate(np.zeros((640, 2))), 0.0)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("lags", [[], [float("nan")]])
def test_wrong_lags_are_refused(lags):
    with pytest.raises(ValueError, match="`lags` must hold finite.*lags="):
        GeneralizedCrossCorrelation(lags)
