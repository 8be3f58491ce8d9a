"""Folders of encoders with a damaged, missing or unlike file end in one error that names them."""

import json
import shutil

import pytest

from keras_avssan import AVSSANBackbone
from keras_avssan.encoders import (
    CLIPEncoder,
    LogMelEncoder,
    SentenceEncoder,
    SoundEffectsCNN,
    VGGish,
    WordPieceTokenizer,
    YAMNet,
)

pytestmark = pytest.mark.backend_agnostic

MAKE = {
    "YAMNet": lambda: YAMNet(0.0625),
    "VGGish": lambda: VGGish(filters=(2, 2, 2, 2), hidden_dim=4, embedding_dim=4),
    "SoundEffectsCNN": lambda: SoundEffectsCNN(filters=(2, 2, 2, 2)),
    "AVSSANBackbone": lambda: AVSSANBackbone(
        audio_encoder=LogMelEncoder(8, (4,)), prompt_dim=4, dim=8, num_heads=2, mlp_dim=8
    ),
}


@pytest.fixture(scope="module", params=list(MAKE))
def saved(request, tmp_path_factory):
    """The class of a network and the folder of its preset."""
    network = MAKE[request.param]()
    folder = tmp_path_factory.mktemp(request.param)
    network.save_to_preset(str(folder))
    return type(network), folder


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def unlike(path):
    config = json.loads(path.read_text())
    config["config"]["name"] = ["unknown"]
    config["config"]["no_such_argument"] = 3
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.weights.h5", truncate),
        ("model.weights.h5", lambda path: path.write_bytes(b"")),
        ("model.weights.h5", lambda path: path.unlink()),
        ("config.json", truncate),
        ("config.json", lambda path: path.unlink()),
        ("config.json", lambda path: path.write_text("[]")),
        ("config.json", unlike),
    ],
)
def test_a_damaged_file_of_a_network(name, damage, saved, tmp_path):
    owner, folder = saved
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    owner.from_preset(copy)
    damage(copy / name)
    with pytest.raises(ValueError, match=r"^`preset` cannot be loaded") as caught:
        owner.from_preset(str(copy))
    assert str(caught.value).endswith(f"Received: preset={str(copy)!r}")


def test_an_unknown_argument_is_named_without_the_configuration(saved):
    owner, folder = saved
    with pytest.raises(TypeError) as caught:
        owner.from_preset(folder, foo=1)
    assert str(caught.value) == f"`{owner.__name__}` takes no argument `foo`. Received: foo=1"


def test_wrong_arguments_of_a_sound_preset_are_named_themselves(tmp_path):
    YAMNet(0.0625).save_to_preset(str(tmp_path))
    with pytest.raises(ValueError, match=r"^`stage` must be .* Received: stage=99"):
        YAMNet.from_preset(tmp_path, stage=99)
    (tmp_path / "model.weights.h5").unlink()
    assert YAMNet.from_preset(tmp_path, load_weights=False, stage=3).settings["stage"] == 3
    with pytest.raises(ValueError, match="`preset` cannot be loaded"):
        YAMNet.from_preset(tmp_path, stage=3)


@pytest.mark.parametrize(
    "owner", [YAMNet, VGGish, SoundEffectsCNN, CLIPEncoder, SentenceEncoder, WordPieceTokenizer]
)
def test_what_is_no_preset(owner, tmp_path):
    with pytest.raises(ValueError, match=r"`preset` must be the folder.*'.*nothing'"):
        owner.from_preset(tmp_path / "nothing")
    for wrong in (3, None, ["a"]):
        with pytest.raises(TypeError, match="`preset` must be a name, an address or a path"):
            owner.from_preset(wrong)
