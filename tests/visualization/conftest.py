import numpy as np
import pytest

from keras_avssan.evaluation import SeparationExample

FRAMES, BINS, HOP, SAMPLING_RATE = 12, 513, 512, 16000


@pytest.fixture
def explanation():
    """What `model.explain` returns, with a posterior that peaks at 40 degrees."""
    rng = np.random.default_rng(0)
    spectrogram = rng.normal(size=(FRAMES, BINS, 4)).astype("float32")
    mask = rng.uniform(size=(FRAMES, BINS)).astype("float32")
    posterior = np.exp(-np.abs(np.arange(1, 181) - 40) / 5)
    return {
        "posterior": posterior / posterior.sum(),
        "azimuth": 40.0,
        "confidence": 0.75,
        "spectrogram": spectrogram,
        "mask": mask,
        "masked_spectrogram": spectrogram * mask[..., None],
        "band_attention": {
            "fine": rng.dirichlet(np.ones(16)),
            "mid": rng.dirichlet(np.ones(4)),
            "full": np.ones(1),
        },
        "band_weights": rng.dirichlet(np.ones(3), size=FRAMES),
        "bands": ("fine", "mid", "full"),
        "sampling_rate": SAMPLING_RATE,
        "hop_length": HOP,
    }


@pytest.fixture
def target_audio():
    """Audio of as many samples as the frames of `explanation` cover."""
    rng = np.random.default_rng(1)
    return rng.normal(size=((FRAMES - 1) * HOP, 2)).astype("float32")


@pytest.fixture
def make_example(explanation):
    """`make_example(azimuth, interferer_azimuth, **names)`: the mix is 3:1 of its two sounds."""

    def make(azimuth=42.0, interferer_azimuth=120.0, **names):
        mix = explanation["spectrogram"]
        return SeparationExample(
            explanation, 0.75 * mix, 0.25 * mix, azimuth, interferer_azimuth, **names
        )

    return make
