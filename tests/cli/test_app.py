"""`keras-avssan app`, up to the page."""

import os
import re
import signal
import sys

import pytest

from keras_avssan import AVSSAN, cli_app
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
        (["--demo"], "`--demo` and `--cache DIR`.*Received: --demo alone"),
        (["--model", "nowhere", "--cache", "demo"], "Received: --cache alone"),
        (["--model", "nowhere", "--port", "70000"], "`--port` must be from 1 to 65535"),
        (["--demo", "--cache", "nowhere/demo"], "must lie in an existing folder"),
    ],
)
def test_bad_folders_are_one_clear_line(arguments, message, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", sys)  # is there; it is not reached
    assert main(["app", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.search(message, lines[0])


def test_uploads_are_removed_when_a_service_is_stopped(monkeypatch):
    folders = []

    def serve(*_):
        folders.append(os.environ["GRADIO_TEMP_DIR"])
        assert os.path.isdir(folders[0])
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setitem(sys.modules, "gradio", sys)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "elsewhere")
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    monkeypatch.setattr(cli_app, "_open_model", lambda *_: None)
    monkeypatch.setattr(cli_app, "_build", lambda *_: None)
    monkeypatch.setattr(cli_app, "serve", serve)
    with pytest.raises(SystemExit) as end:
        main(["app", "--model", "some"])
    assert end.value.code == 0 and not os.path.exists(folders[0])
    assert signal.getsignal(signal.SIGTERM) == before
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


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
