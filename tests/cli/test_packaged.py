"""`--model` with the names of packaged models, its default, and the command `presets`."""

import shutil

import pytest

from keras_avssan._internal import saved_files
from keras_avssan.cli.main import main

pytestmark = pytest.mark.backend_agnostic

HEAD = "---\ndescription: Fifty kinds of sound.\nlicense: Apache-2.0\n---\n# Card\n"


@pytest.fixture
def packaged(workspace, tmp_path, monkeypatch):
    """A folder of packaged models with the default one."""
    folder = shutil.copytree(workspace / "model", tmp_path / "presets" / saved_files.DEFAULT_MODEL)
    (folder / "MODEL_CARD.md").write_text(HEAD)
    monkeypatch.setattr(saved_files, "PACKAGED", tmp_path / "presets")
    return folder


@pytest.fixture
def none(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_files, "PACKAGED", tmp_path)


def localize(workspace, *more):
    return main(
        ["localize", str(workspace / "mix.wav"), "--prompt", str(workspace / "dog.jpg"), *more]
    )


def test_the_packaged_model_is_the_default(packaged, workspace, capsys):
    assert localize(workspace) == 0
    default = capsys.readouterr().out
    for model in (saved_files.DEFAULT_MODEL, str(workspace / "model")):
        assert localize(workspace, "--model", model) == 0
        assert capsys.readouterr().out == default
    assert "degrees, probability within 5 degrees" in default


@pytest.mark.parametrize("command", ["localize", "app"])
def test_without_it_a_model_must_be_named(command, none, workspace, capsys):
    assert (localize(workspace) if command == "localize" else main(["app"])) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "`--model` must be given, the folder of a saved model: this installation" in error
    assert f"does not hold the default, '{saved_files.DEFAULT_MODEL}'." in error


def test_an_unknown_name_lists_the_packaged_ones(packaged, workspace, capsys):
    assert localize(workspace, "--model", "avssan_huge") == 2
    error = capsys.readouterr().err
    assert (
        f"or the name of a packaged one ({packaged.name}). Received: --model='avssan_hug" in error
    )


def test_the_app_opens_the_default(packaged, monkeypatch):
    opened = []
    monkeypatch.setattr("keras_avssan.cli.app._run", lambda options: opened.append(options.model))
    monkeypatch.setattr("socket.socket.bind", lambda *_: None)
    assert main(["app"]) == 0 and main(["app", "--demo"]) == 0
    assert opened == [saved_files.DEFAULT_MODEL, None]


def test_presets_are_listed(packaged, capsys):
    assert main(["presets"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert " AVSSAN   yes " in lines[packaged.name] and " MB  Apache-2.0 " in lines[packaged.name]
    assert lines[packaged.name].endswith("Fifty kinds of sound.")
    assert lines["avssan_small"].split()[1:3] == ["AVSSAN", "no"]
    assert lines["gcc_mlp"].split()[1:3] == ["GCCMLP", "no"]


def test_a_card_is_printed(packaged, capsys):
    assert main(["presets", "--card", packaged.name]) == 0
    assert capsys.readouterr().out == HEAD
    assert main(["presets", "--card", "avssan_small"]) == 2
    assert f"`--card` must be one of {packaged.name}. Received:" in capsys.readouterr().err
    (packaged / "MODEL_CARD.md").unlink()
    assert main(["presets", "--card", packaged.name]) == 2
    assert "MODEL_CARD.md' does not exist" in capsys.readouterr().err


def test_without_packaged_models_there_is_no_card(none, capsys):
    assert main(["presets", "--card", "any"]) == 2
    assert "`--card` must be a packaged model; there is none. Received:" in capsys.readouterr().err


def test_a_training_is_not_saved_under_the_name_of_a_packaged_model(
    packaged, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--out", packaged.name]) == 2
    assert (
        f"write './{packaged.name}'. Received: --out='{packaged.name}'" in capsys.readouterr().err
    )
