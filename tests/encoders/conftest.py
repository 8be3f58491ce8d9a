"""What the tests of the sound-effects network share: its front end in NumPy, and real sounds."""

import numpy as np
import pytest

_FRAME, _HOP, _BANDS, _RATE = 2048, 1024, 96, 44100


def _mel(hertz):
    return 2595.0 * np.log10(1.0 + hertz / 700.0)


def _bands():
    """Triangles over mel with a sum of one, (bins, bands)."""
    edges = np.linspace(0.0, _mel(_RATE / 2), _BANDS + 2)
    bins = _mel(np.fft.rfftfreq(_FRAME, 1 / _RATE))
    weights = [np.interp(bins, edges[i : i + 3], [0.0, 1.0, 0.0]) for i in range(_BANDS)]
    return np.stack([weight / weight.sum() for weight in weights], axis=1)


def sound_effects_spectrogram(audio):
    """Spectrogram (frames, 96) of one recording at 44.1 kHz, before it is normalised.

    It follows Essentia, whose settings the package aisfx names: frames centred on multiples of
    the hop until one reaches the end, a symmetric window, power, bands of unit sum, a shifted
    logarithm. Essentia 2.1b6 itself gives the same within 1e-4.
    """
    frames = 1 + int(np.ceil(len(audio) / _HOP))
    padded = np.pad(np.asarray(audio, "float64"), (_FRAME // 2, _FRAME))
    cut = np.stack([padded[k * _HOP : k * _HOP + _FRAME] for k in range(frames)])
    window = np.sin(np.pi * np.arange(_FRAME) / (_FRAME - 1)) ** 2
    power = np.abs(np.fft.rfft(cut * window, axis=1)) ** 2
    return np.log10(1.0 + 1e4 * power @ _bands())


@pytest.fixture(scope="session", name="sound_effects_spectrogram")
def sound_effects_spectrogram_fixture():
    """`sound_effects_spectrogram(audio)` of a recording at 44.1 kHz, in NumPy."""
    return sound_effects_spectrogram
