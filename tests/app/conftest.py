"""A tiny model, recordings and prompts."""

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.encoders import ConvImageEncoder

RATE = 16000


@pytest.fixture(scope="session")
def tiny_model(make_small_model):
    return make_small_model(image_encoder=ConvImageEncoder(8, (4, 8), (32, 32)))


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder of good and bad files."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal((RATE, 2))
    soundfile.write(folder / "mix.wav", noise, RATE)
    soundfile.write(folder / "three.wav", np.resize(noise, (3 * RATE, 2)), RATE)
    pause = np.resize(noise, (3 * RATE, 2))
    pause[RATE : 2 * RATE + 800] = 0.0
    soundfile.write(folder / "pause.wav", pause, RATE)
    soundfile.write(folder / "twice.wav", noise[:, [0, 0]], RATE)
    soundfile.write(folder / "dead.wav", noise * [1, 0], RATE)
    soundfile.write(folder / "bark.wav", noise[:, 0], RATE)
    soundfile.write(folder / "long.wav", np.tile(noise, (31, 1)), RATE)
    soundfile.write(folder / "fast.wav", noise, 400_000)
    soundfile.write(folder / "four.wav", np.tile(noise, 2), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF<b>nothing</b>")
    pixels = rng.integers(0, 255, (48, 48, 3), "uint8")
    Image.fromarray(pixels).save(folder / "dog.png")
    Image.fromarray(pixels).save(folder / "renamed.png", format="GIF")
    Image.new("1", (10_000, 10_000)).save(folder / "vast.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder
