"""Far sources recorded by a pair, with exact delays in the frequency domain."""

import numpy as np
import pytest

RATE = 16000


def pure_delays(azimuths, spacing=0.2, samples=8000, seed=0):
    """Noise from far sources: channel 0 leads by spacing · cos θ / c. (batch, samples, 2)."""
    rng = np.random.default_rng(seed)
    source = np.fft.rfft(rng.normal(size=(len(azimuths), samples)))
    delay = spacing * np.cos(np.deg2rad(azimuths)) / 343.0
    hertz = np.fft.rfftfreq(samples, 1 / RATE)
    late = source * np.exp(-2j * np.pi * hertz * delay[:, None])
    return np.fft.irfft(np.stack([source, late], axis=-1), samples, axis=1).astype("float32")


@pytest.fixture(scope="session", name="pure_delays")
def pure_delays_fixture():
    """`pure_delays(azimuths, spacing)`: recordings of noise from these directions."""
    return pure_delays
