"""The command line: the whole way on tiny data, and one clear line on bad input."""

import json

import keras_hub
import pytest
from PIL import Image

from keras_avssan import AVSSAN
from keras_avssan.cli.main import main
from keras_avssan.encoders import (
    CLIPEncoder,
    CLIPTextTokenizer,
    VGGish,
)
from keras_avssan.evaluation import Evaluation, paired_difference
from keras_avssan.models.baselines import GCCMLP


@pytest.mark.one_backend
def test_localize_prints_degrees_and_probability_and_draws(workspace, capsys, tmp_path):
    figure = tmp_path / "answer.png"
    arguments = ["localize", str(workspace / "mix.wav"), "--prompt", str(workspace / "dog.jpg")]
    arguments += ["--model", str(workspace / "model"), "--figure", str(figure)]
    assert main(arguments) == 0
    words = capsys.readouterr().out.splitlines()[-1].split()
    assert 1 <= int(words[0]) <= 180
    assert words[1:-1] == "degrees, probability within 5 degrees:".split()
    assert 0 <= float(words[-1]) <= 1
    assert Image.open(figure).size[0] > 100


@pytest.mark.one_backend
def test_localize_takes_a_recording_as_prompt(workspace, capsys):
    assert main(_localize(workspace, prompt="mono.wav")) == 0
    assert "degrees" in capsys.readouterr().out


@pytest.mark.backend_agnostic
def test_any_network_of_the_library_is_prompted(workspace, capsys, tmp_path):
    GCCMLP(hidden_dim=8).save_to_preset(str(tmp_path / "model"))
    arguments = ["localize", str(workspace / "mix.wav"), "--prompt", str(workspace / "dog.jpg")]
    arguments += ["--model", str(tmp_path / "model")]
    assert main(arguments) == 0
    assert "degrees, probability within 5 degrees: " in capsys.readouterr().out
    assert main([*arguments, "--figure", str(tmp_path / "answer.png")]) == 2
    assert (
        "needs an AVSSAN as `--model`, which explains its answers. Received: --model="
        in capsys.readouterr().err
    )
    arguments = ["evaluate", "--model", str(tmp_path / "model"), "--scenes", "4"]
    arguments += ["--data", str(workspace / "classes"), "--bank", str(workspace / "bank.npz")]
    assert main([*arguments, "--duration", "0.5"]) == 0
    assert "selection" in capsys.readouterr().out


@pytest.mark.backend_agnostic
def test_evaluate_takes_any_folder_of_classes(workspace, capsys, tmp_path):
    out = tmp_path / "scores.json"
    arguments = ["evaluate", "--model", str(workspace / "model"), "--scenes", "6", "--snr", "-5"]
    arguments += ["--data", str(workspace / "classes"), "--bank", str(workspace / "bank.npz")]
    arguments += ["--json", str(out), "--duration", "0.5"]
    assert main(arguments) == 0
    report = json.loads(out.read_text())
    made = report["settings"].pop("run")
    assert made["model"] == str(workspace / "model") and made["data"] == str(workspace / "classes")
    assert (made["bank"], made["bank_part"]) == (str(workspace / "bank.npz"), "test")
    assert made["sampling_rate"] == 16000 and made["versions"]["backend"]
    assert made["date"].endswith("+00:00")
    assert made["command"].startswith("keras-avssan evaluate --model ")
    assert report["settings"]["scenes"] == 6
    assert report["settings"]["snr_db"] == -5
    assert 0 <= report["scores"]["selection"]["mean"] <= 1
    assert report["random_source_baseline"]["selection"] == 0.5
    assert sum(entry["scenes"] for entry in report["per_class"].values()) == 6
    assert "random source" in capsys.readouterr().out
    # Prompted with recordings, the same scenes have other answers.
    assert main([*arguments, "--prompt", "recording", "--reference-split", "train"]) == 0
    assert json.loads(out.read_text())["settings"]["prompt"] == "recording"
    # The same scenes again give the same report.
    again = tmp_path / "again.json"
    arguments[arguments.index(str(out))] = str(again)
    assert main(arguments) == 0
    second = json.loads(again.read_text())
    assert second["settings"].pop("run")["command"] != made["command"]
    assert second == report
    same = paired_difference(Evaluation.load(out), Evaluation.load(again), resamples=10)
    assert same["mae"]["scenes"] == 6


@pytest.mark.backend_agnostic
@pytest.mark.extensive
def test_train_with_encoders_from_presets(workspace, tmp_path):
    tokenizer = CLIPTextTokenizer(["d o", "do g</w>"])
    backbone = keras_hub.models.CLIPBackbone(
        keras_hub.models.CLIPVisionEncoder(8, 8, 1, 2, 16, image_shape=(16, 16, 3)),
        keras_hub.models.CLIPTextEncoder(len(tokenizer.vocabulary), 8, 8, 1, 2, 16),
        projection_dim=4,
    )
    CLIPEncoder(backbone, tokenizer).save_to_preset(tmp_path / "clip")
    VGGish(filters=(2, 2, 2, 2), hidden_dim=4).save_to_preset(str(tmp_path / "vggish"))
    out = tmp_path / "trained"
    arguments = ["train", "--data", str(workspace / "classes"), "--out", str(out)]
    arguments += ["--bank", str(workspace / "bank.npz"), "--steps", "2", "--epochs", "1"]
    arguments += ["--batch-size", "2", "--duration", "0.5", "--split", "train"]
    arguments += ["--validation-split", "train", "--prompts", "picture", "text"]
    arguments += ["--render", "device"]
    arguments += ["--image-encoder", str(tmp_path / "clip")]
    arguments += ["--audio-encoder", str(tmp_path / "vggish")]
    assert main(arguments) == 0
    model = AVSSAN.from_preset(str(out))
    assert type(model.backbone.image_encoder) is CLIPEncoder
    assert type(model.backbone.audio_encoder) is VGGish
    command = ["localize", str(workspace / "mix.wav"), "--prompt", "a dog", "--model", str(out)]
    assert main(command) == 0


@pytest.mark.parametrize("option", ["--image-encoder", "--audio-encoder"])
def test_train_names_an_encoder_that_is_not_there(option, workspace, tmp_path, capsys):
    arguments = ["train", "--data", str(workspace / "classes"), "--out", str(tmp_path / "model")]
    assert main([*arguments, option, "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.one_backend
def test_train_saves_a_model_that_loads(workspace, tmp_path, capsys):
    out = tmp_path / "trained"
    arguments = ["train", "--data", str(workspace / "classes"), "--out", str(out)]
    arguments += ["--bank", str(workspace / "bank.npz"), "--steps", "2", "--epochs", "1"]
    arguments += ["--batch-size", "2", "--duration", "0.5", "--split", "train"]
    arguments += ["--prompts", "picture", "recording"]
    assert main([*arguments, "--validation-split", "train"]) == 0
    assert AVSSAN.from_preset(str(out)).configuration == "base"
    # A second run must not overwrite it.
    assert main(arguments) == 2
    assert "`--out`" in capsys.readouterr().err


def _localize(workspace, audio="mix.wav", prompt="dog.jpg", model="model", figure=None):
    arguments = ["localize", str(workspace / audio), "--prompt", str(workspace / prompt)]
    arguments += ["--model", str(workspace / model)]
    return arguments + (["--figure", str(figure)] if figure else [])


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"audio": "mono.wav"}, "channel"),
        ({"audio": "silent.wav"}, "silent"),
        ({"audio": "broken.wav"}, "broken.wav"),
        ({"audio": "missing.wav"}, "missing.wav"),
        ({"prompt": "broken.jpg"}, "broken.jpg"),
        ({"prompt": "missing.jpg"}, "missing.jpg"),
        ({"prompt": "silent.wav"}, "silent"),
        ({"prompt": "a barking dog"}, "a barking dog"),
        ({"model": "missing"}, "--model"),
    ],
)
def test_localize_names_what_is_wrong_and_writes_nothing(
    workspace, tmp_path, capsys, arguments, named
):
    figure = tmp_path / "answer.png"
    assert main(_localize(workspace, figure=figure, **arguments)) == 2
    error = capsys.readouterr().err.strip()
    assert named in error
    assert len(error.splitlines()) == 1
    assert "Arguments received" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (["--data", "EMPTY"], "empty"),
        (["--classes", "dog", "unicorn"], "unicorn"),
        (["--split", "nowhere"], "nowhere"),
        (["--scenes", "0"], "--scenes"),
        (["--duration", "-1"], "duration"),
        (["--prompt", "song"], "prompt"),
        (["--bank", "missing.npz"], "missing.npz"),
    ],
)
def test_evaluate_names_what_is_wrong_and_writes_nothing(workspace, tmp_path, capsys, extra, named):
    arguments = ["evaluate", "--model", str(workspace / "model"), "--scenes", "2"]
    arguments += ["--data", str(workspace / "classes"), "--bank", str(workspace / "bank.npz")]
    arguments += ["--json", str(tmp_path / "scores.json")]
    arguments += [str(workspace / "empty") if value == "EMPTY" else value for value in extra]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    line = error.strip().splitlines()[-1]
    assert line.startswith("keras-avssan evaluate: error:")
    assert named in line
    assert not list(tmp_path.iterdir())


def test_unknown_commands_and_missing_options_end_with_code_2(capsys):
    for arguments in ([], ["dance"], ["localize", "mix.wav"]):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 2
    capsys.readouterr()


@pytest.mark.parametrize("command", ["train", "evaluate", "localize"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as error:
        main([command, "--help"])
    assert error.value.code == 0
    assert "--model" in capsys.readouterr().out or command == "train"
