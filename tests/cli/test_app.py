"""`python -m keras_avssan app`, up to the page."""

import sys

import pytest

from keras_avssan import AVSSAN
from keras_avssan.app import demo_model
from keras_avssan.app.demo_model import demo_plan
from keras_avssan.app.examples import write_examples
from keras_avssan.cli import main
from keras_avssan.data.audio_io import read_audio
from keras_avssan.data.image_io import read_image

pytestmark = pytest.mark.once


def test_a_model_must_be_named(capsys):
    with pytest.raises(SystemExit) as end:
        main(["app"])
    assert end.value.code == 2
    assert "--model --demo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere"], "`--model` must be the folder of a saved model"),
        (["--demo", "nowhere/demo"], "must lie in an existing folder"),
    ],
)
def test_bad_folders_are_one_clear_line(arguments, message, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", sys)  # is there; it is not reached
    assert main(["app", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]


def test_without_gradio_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app", "--model", "nowhere"]) == 2
    assert 'pip install "keras-avssan[app]"' in capsys.readouterr().err


def test_examples_can_be_read(tmp_path):
    pairs = write_examples(tmp_path, count=2, rooms=1)
    assert len(pairs) == 2
    for mix, picture in pairs:
        assert read_audio(mix, channels=2).shape == (16000, 2)
        assert read_image(picture).shape == (128, 128, 3)


def test_the_demo_model_is_trained_once(tmp_path, monkeypatch):
    folder = str(tmp_path / "demo")
    model = demo_model(folder, steps=2, rooms=2)
    monkeypatch.setattr(sys.modules[demo_model.__module__], "fit_scenes", None)
    again = demo_model(folder)
    assert isinstance(again, AVSSAN) and again.count_params() == model.count_params()
    assert demo_plan("test", rooms=1).split == "test"
