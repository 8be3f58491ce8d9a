"""A stand-in for a trained network, whose answers are known, and recordings of moving noise."""

import numpy as np
import pytest

from keras_avssan.classical import SRPPHAT
from keras_avssan.models import LocalizerPreprocessor

RATE = 16000


class LoudDirections:
    """Answers as a network: the direction of the loudest sound, and whether there is a loud one.

    A prompt is a vector of two numbers: a threshold of the level, and degrees to add.
    """

    output = {"doa": None, "presence": None}

    def __init__(self):
        self.preprocessor = LocalizerPreprocessor(RATE, None, 2, min_duration=0.1, max_duration=5.0)
        self.method = SRPPHAT()
        self.rows = []  # of each run
        self.embedded = 0

    def prompt_inputs(self, prompt=None, sampling_rate=None, microphone_spacing=None):
        self.embedded += 1
        return {"prompt_embedding": np.reshape(np.asarray(prompt, "float32"), (-1, 2))}

    def predict_on_batch(self, inputs):
        audio, prompt = inputs["audio"], inputs["prompt_embedding"]
        assert audio.dtype == np.float32 and len(audio) == len(prompt)
        self.rows.append(len(audio))
        spectrum = self.method.predict_on_batch({"audio": audio})["doa"].astype("float64") ** 20
        posterior = spectrum / spectrum.sum(axis=1, keepdims=True)
        posterior = np.stack(
            [np.roll(row, int(shift)) for row, shift in zip(posterior, prompt[:, 1], strict=True)]
        )
        loud = audio.std(axis=(1, 2)) > prompt[:, 0]
        return {"doa": posterior.astype("float32"), "presence": np.where(loud, 0.9, 0.1)}


class LoudDirectionsAlone(LoudDirections):
    """The same without presence."""

    output = {"doa": None}

    def predict_on_batch(self, inputs):
        return {"doa": super().predict_on_batch(inputs)["doa"]}


@pytest.fixture
def network():
    return LoudDirections()


@pytest.fixture
def plain_network():
    return LoudDirectionsAlone()


def noise_from(azimuth, samples, rng, level=0.1, rate=RATE):
    """White noise (samples, 2) of a far source, 0.2 m between the microphones."""
    source = np.fft.rfft(rng.normal(size=samples))
    hertz = np.fft.rfftfreq(samples, 1 / rate)
    delay = 0.2 * np.cos(np.deg2rad(azimuth)) / 343.0
    pair = np.stack([source, source * np.exp(-2j * np.pi * hertz * delay)], axis=-1)
    pair = np.fft.irfft(pair, samples, axis=0)
    return (level * (pair + 0.01 * rng.normal(size=pair.shape))).astype("float32")


@pytest.fixture(scope="session", name="noise_from")
def noise_from_fixture():
    """`noise_from(azimuth, samples, rng, level, rate)`."""
    return noise_from


@pytest.fixture(scope="session")
def moving():
    """A recording of 4 s: every half second the source is 10 degrees further, from 50 to 120."""
    rng = np.random.default_rng(0)
    return np.concatenate([noise_from(50 + 10 * step, RATE // 2, rng) for step in range(8)])
