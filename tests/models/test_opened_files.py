"""Bytes and opened files do wherever paths do."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan import Prompt
from keras_avssan.classical import SRPPHAT
from keras_avssan.data import read_audio, read_image

pytestmark = pytest.mark.backend_agnostic

FORMS = {
    "bytes": lambda path: path.read_bytes(),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "open": lambda path: open(path, "rb"),
    "unbuffered": lambda path: open(path, "rb", buffering=0),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A recording, a sound that asks and a picture, under names that tell nothing."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    paths = {name: folder / f"{name}.upload" for name in ("mix", "bark", "dog")}
    soundfile.write(paths["mix"], 0.1 * rng.normal(size=(16000, 2)), 16000, format="WAV")
    soundfile.write(paths["bark"], 0.1 * rng.normal(size=16000), 16000, format="FLAC")
    Image.fromarray(rng.integers(0, 255, (20, 20, 3), "uint8")).save(paths["dog"], "PNG")
    return paths


@pytest.fixture(params=FORMS)
def give(request, files):
    """`give(name)` gives a file in one of the forms."""
    return lambda name: FORMS[request.param](files[name])


def test_what_is_read_is_what_the_path_gives(give, files):
    np.testing.assert_array_equal(read_audio(give("mix")), read_audio(files["mix"]))
    np.testing.assert_array_equal(read_image(give("dog"), 8), read_image(files["dog"], 8))


def test_localize(give, files, model):
    arrays = {
        "mix": read_audio(files["mix"]), "bark": read_audio(files["bark"]),
        "dog": read_image(files["dog"]),
    }  # fmt: skip
    for prompt in ("dog", "bark"):
        expected = model.explain(arrays["mix"], arrays[prompt])["posterior"]
        found = model.explain(give("mix"), give(prompt))["posterior"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    together = Prompt(pictures=[give("dog")], recordings=[give("bark")])
    assert model.localize([give("mix"), files["mix"]], together).shape == (2,)
    expected = SRPPHAT().localize(arrays["mix"])
    np.testing.assert_array_equal(SRPPHAT().localize(give("mix")), expected)


def test_a_file_can_be_given_again(files):
    with open(files["mix"], "rb") as file, open(files["dog"], "rb") as picture:
        first, second = read_audio(file), read_audio(file)
        np.testing.assert_array_equal(first, second)
        picture.read(10)
        np.testing.assert_array_equal(read_image(picture), read_image(files["dog"]))


def test_errors_name_the_file_or_the_argument(files, model):
    with open(files["dog"], "rb") as file:
        with pytest.raises(ValueError, match=r"`audio` '.*dog\.upload' cannot be read as audio"):
            read_audio(file)
    with pytest.raises(ValueError, match="`image` cannot be read as an image. Received: a file"):
        read_image(files["mix"].read_bytes())
    with pytest.raises(ValueError, match="`audio` is empty. Received: 0 bytes"):
        read_audio(io.BytesIO())
    with pytest.raises(ValueError, match="must be a picture or a recording.*Received: `prompt`"):
        model.localize(files["mix"].read_bytes(), b"words in bytes")
    with pytest.raises(TypeError, match="`audio` must be opened in binary mode"):
        read_audio(io.StringIO("text"))
    with pytest.raises(TypeError, match="`pictures` must be a list"):
        Prompt(pictures=files["dog"].read_bytes())
    cut = files["mix"].read_bytes()[:-3000]
    with pytest.raises(ValueError, match="`audio` is truncated"):
        read_audio(cut)
