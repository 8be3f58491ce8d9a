"""Eight scenes that every baseline must be able to learn by heart, and how it does."""

import keras
import numpy as np
import pytest

from keras_avssan.doa.steering import SPEED_OF_SOUND

SAMPLING_RATE = 16000
SPACING = 0.2  # metres
SAMPLES = 8000
PROMPT_DIM = 4
AZIMUTHS = np.array([12, 35, 58, 81, 104, 127, 150, 168], "float32")


def hear(signal, azimuth):
    """A plane wave from an azimuth in degrees as both microphones hear it, (samples, 2)."""
    lead = SPACING * np.cos(np.deg2rad(azimuth)) / SPEED_OF_SOUND
    turn = np.exp(1j * np.pi * np.fft.rfftfreq(len(signal), 1 / SAMPLING_RATE) * lead)
    spectrum = np.fft.rfft(signal)
    parts = [np.fft.irfft(spectrum * t, len(signal)) for t in (turn, np.conj(turn))]
    return np.stack(parts, axis=-1)


def make_noise(rng, samples, low, high):
    """Noise in a band from `low` to `high` hertz, of unit power."""
    spectrum = np.fft.rfft(rng.normal(size=samples))
    hertz = np.fft.rfftfreq(samples, 1 / SAMPLING_RATE)
    noise = np.fft.irfft(spectrum * ((hertz >= low) & (hertz < high)), samples)
    return noise / np.std(noise)


@pytest.fixture(scope="session", name="make_scenes")
def make_scenes_fixture():
    """`make_scenes(two_sources, samples)` makes eight scenes as inputs and labels.

    The sounds are low or high noise, and the prompt says which one is meant. With two sources the
    second half holds the mixes of the first half, asked for the other sound.
    """

    def make_scenes(two_sources=True, samples=SAMPLES):
        rng = np.random.default_rng(0)
        bands = [(300, 1500), (2500, 7000)]
        kinds = np.arange(8) // 4
        targets = np.stack(
            [
                hear(make_noise(rng, samples, *bands[kind]), azimuth)
                for kind, azimuth in zip(kinds, AZIMUTHS, strict=True)
            ]
        )
        others = np.roll(targets, 4, axis=0) if two_sources else 0.0
        prompts = np.zeros((8, PROMPT_DIM))
        prompts[np.arange(8), kinds] = 1.0
        inputs = {
            "audio": (0.1 * (targets + others)).astype("float32"),
            "prompt_embedding": prompts.astype("float32"),
        }
        interferers = np.roll(AZIMUTHS, 4) if two_sources else np.full(8, np.nan)
        labels = {
            "azimuth": AZIMUTHS,
            "target": (0.1 * targets).astype("float32"),
            "interferer_azimuth": interferers.astype("float32"),
        }
        return inputs, labels

    return make_scenes


@pytest.fixture(scope="session")
def overfit():
    """`overfit(model, scenes, learning_rate, steps)` trains on them; the MAE in degrees after.

    Ends as soon as the network, as it is asked and not as it is trained, is within 2°.
    """

    def train(model, scenes, learning_rate=1e-3, steps=400, every=20):
        inputs, labels = scenes
        model.compile(keras.optimizers.Adam(learning_rate, clipnorm=5.0), metrics=None)
        error = np.inf
        for step in range(1, steps + 1):
            model.train_on_batch(inputs, labels)
            if step % every == 0:
                estimate = np.argmax(model.predict_on_batch(inputs)["doa"], axis=-1) + 1.0
                error = float(np.mean(np.abs(estimate - labels["azimuth"])))
                if error <= 2.0:
                    break
        return error

    return train


@pytest.fixture(scope="session")
def comes_back(tmp_path_factory):
    """`comes_back(model, inputs)` saves a preset, loads it and compares what both answer."""

    def check(model, inputs):
        folder = str(tmp_path_factory.mktemp("presets") / "model")
        model.save_to_preset(folder)
        restored = type(model).from_preset(folder)
        assert type(restored.backbone) is type(model.backbone)
        np.testing.assert_allclose(
            restored.predict_on_batch(inputs)["doa"],
            model.predict_on_batch(inputs)["doa"],
            atol=1e-6,
        )

    return check
