"""What the commands are given: a small model, a bank, files and a folder of classes."""

import keras_hub
import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.simulation import RIRBank, RoomRanges

SAMPLING_RATE = 16000


@pytest.fixture(scope="session")
def workspace(tmp_path_factory, make_small_model):
    """A folder with a model, a bank, a recording, a picture and a folder of classes."""
    root = tmp_path_factory.mktemp("cli")
    model = make_small_model(image_encoder=ConvImageEncoder(8, (4, 8), (32, 32)))
    model.save_to_preset(root / "model")
    ranges = RoomRanges(t60=(0.2, 0.25))
    RIRBank.build(4, ranges=ranges, sources_per_room=2, max_duration=0.05, progress=False).save(
        root / "bank.npz"
    )
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal((SAMPLING_RATE, 2))
    soundfile.write(root / "mix.wav", noise, SAMPLING_RATE)
    soundfile.write(root / "mono.wav", noise[:, 0], SAMPLING_RATE)
    soundfile.write(root / "silent.wav", 0 * noise, SAMPLING_RATE)
    (root / "broken.wav").write_bytes(b"RIFFnothing")
    _write_picture(root / "dog.jpg", rng)
    (root / "broken.jpg").write_bytes(b"no picture")
    for name in ("dog", "bell"):
        folder = root / "classes" / name
        folder.mkdir(parents=True)
        for index in range(5):
            sound = 0.1 * rng.standard_normal(SAMPLING_RATE)
            soundfile.write(folder / f"sound{index}.wav", sound, SAMPLING_RATE)
            _write_picture(folder / f"picture{index}.png", rng)
    (root / "empty").mkdir()
    return root


def _write_picture(path, rng):
    Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype="uint8")).save(path)


@pytest.fixture
def encoders(tmp_path):
    """Options that name the folders of a tiny network of pictures and of a tiny BERT."""
    pictures = keras_hub.models.VGGBackbone([1, 1], [4, 8], image_shape=(16, 16, 3))
    pictures.save_to_preset(str(tmp_path / "pictures"))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "rain"]
    sizes = {"hidden_dim": 8, "intermediate_dim": 8, "max_sequence_length": 16}
    bert = keras_hub.models.BertBackbone(len(words), num_layers=1, num_heads=2, **sizes)
    bert.save_to_preset(str(tmp_path / "words"))
    (tmp_path / "words" / "vocab.txt").write_text("\n".join(words))
    options = ["--image-encoder", str(tmp_path / "pictures"), "--image-size", "16"]
    return [*options, "--text-encoder", str(tmp_path / "words")]
