"""Far sources at a pair of microphones, each in its own bins, and masks that know them."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.layers import SpatialExtractor

BINS, FRAMES = 257, 12


class FarSources:
    """Random spectrograms of plane waves: `azimuths` in degrees, `shares` of the bins, levels."""

    def __init__(self, azimuths, shares=(1.0,), levels=(1.0, 1.0), spacing=0.2, seed=0):
        rng = np.random.default_rng(seed)
        self.azimuths = np.array(azimuths, "float32")
        hertz = np.arange(BINS) * 16000 / (2 * (BINS - 1))
        owner = rng.choice(len(azimuths), size=(FRAMES, BINS), p=shares)
        self.masks = np.stack([owner == k for k in range(len(azimuths))]).astype("float32")
        delay = spacing * np.cos(np.deg2rad(self.azimuths))[owner] / SPEED_OF_SOUND
        first = np.array(levels)[owner] * np.exp(2j * np.pi * rng.random(owner.shape))
        second = first * np.exp(-2j * np.pi * hertz * delay)
        parts = [part for x in (first, second) for part in (x.real, x.imag)]
        self.spectrogram = np.stack(parts, axis=-1)[None].astype("float32")

    def mask_at(self, azimuths):
        """Ideal masks (K, T, F) of the sources nearest to azimuths, nothing beyond 15 degrees."""
        apart = np.abs(self.azimuths[:, None] - np.asarray(azimuths, "float32"))
        known = (apart.min(axis=0) <= 15).astype("float32")
        return known[:, None, None] * self.masks[apart.argmin(axis=0)]


@pytest.fixture(scope="session")
def far_sources():
    """Makes `FarSources`."""
    return FarSources


@pytest.fixture
def ideal_masks(monkeypatch):
    """`ideal_masks(sources)`: every extractor gives the ideal masks of these sources."""

    def install(sources):
        def call(layer, spectrogram, azimuths, microphone_spacing=None, rivals=None):
            masks = sources.mask_at(ops.convert_to_numpy(azimuths)[0])
            return ops.convert_to_tensor(masks[None])

        monkeypatch.setattr(SpatialExtractor, "call", call)

    return install


@pytest.fixture(scope="session")
def mirrored():
    """`mirrored(spectrogram)`: the microphones exchanged."""
    return lambda spectrogram: np.ascontiguousarray(spectrogram[..., [2, 3, 0, 1]])
