"""`keras-avssan app`, up to the page."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from keras_avssan import AVSSAN
from keras_avssan.app.demo_folder import as_typed, demo_folder, localize_command
from keras_avssan.app.demo_model import demo_model, demo_plan
from keras_avssan.app.examples import real_examples, write_examples
from keras_avssan.cli import app as cli_app
from keras_avssan.cli.main import main
from keras_avssan.data.media.audio_io import read_audio
from keras_avssan.data.media.image_io import read_image

pytestmark = pytest.mark.backend_agnostic


def test_a_model_must_be_named_where_the_default_is_not_installed(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_avssan._internal.saved_files.PACKAGED", tmp_path)
    assert main(["app"]) == 2
    assert "`--model` must be given, the folder of a saved model: " in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["app", "--model", "my_model", "--demo"])
    assert end.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere"], "`--model` must be the folder of a saved model"),
        (["--demo", "--host", "no.such.host.invalid"], "must be an address of this machine"),
        (["--demo", "--port", "70000"], "`--port` must be from 1 to 65535"),
        (["--demo", "--cache", "nowhere/demo"], "must lie in an existing folder"),
        (["--demo", "--array", "kinect"], "`--array` must be one of starss23, respeaker_4"),
        (["--demo", "--array", "nowhere.csv"], "nowhere.csv"),
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
    monkeypatch.setattr(cli_app, "_build", lambda *_: (None, ""))
    monkeypatch.setattr(cli_app, "serve", serve)
    with pytest.raises(SystemExit) as end:
        main(["app", "--demo"])
    assert end.value.code == 0 and not os.path.exists(folders[0])
    assert signal.getsignal(signal.SIGTERM) == before
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_the_cache_belongs_to_the_demo():
    with pytest.raises(ValueError, match="Received: --cache without --demo"):
        cli_app._check(SimpleNamespace(model="my_model", demo=False, cache="demo"))


def test_a_port_that_is_taken_is_reported_before_a_training(capsys, monkeypatch):
    monkeypatch.setattr(cli_app, "_open_model", None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert main(["app", "--demo", "--port", str(port)]) == 2
    assert f"that is free. Received: --host=127.0.0.1, --port={port} (" in capsys.readouterr().err


def test_without_gradio_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app", "--demo"]) == 2
    assert "pip install gradio" in capsys.readouterr().err


def test_examples_can_be_read(tmp_path):
    examples = write_examples(tmp_path, count=2, rooms=1)
    assert len(examples) == 4 and len({one.picture for one in examples}) == 4
    for one, other in zip(examples[::2], examples[1::2], strict=True):
        # Both questions of one recording.
        assert one.recording == other.recording
        assert (one.name, one.azimuth) == (other.other, other.other_azimuth)
        assert (other.name, other.azimuth) == (one.other, one.other_azimuth)
        assert abs(one.azimuth - other.azimuth) >= 50
        assert read_audio(one.recording, channels=2).shape == (16000, 2)
        assert read_image(one.picture).shape == (128, 128, 3)


def test_real_examples_can_be_read_without_a_training():
    examples = real_examples()
    assert len(examples) >= 6 and {one.name for one in examples} >= {"dog", "rooster", "rain"}
    for one, other in zip(examples[::2], examples[1::2], strict=True):
        assert one.recording == other.recording and one.picture != other.picture
        assert (one.name, one.azimuth) == (other.other, other.other_azimuth)
        assert abs(one.azimuth - other.azimuth) >= 50
        assert read_audio(one.recording, channels=2).shape == (64000, 2)
        assert read_image(one.picture).shape[-1] == 3


@pytest.mark.parametrize("demo", [False, True])
def test_the_page_has_real_examples_except_with_the_demo_model(demo, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("keras_avssan.app.build_interface", lambda *args: given.extend(args))
    folder = str(tmp_path / "examples") if demo else None
    _, allowed = cli_app._build("a model", folder)
    assert given[0] == "a model" and len(given[1]) == 8
    assert {os.path.dirname(one.recording) for one in given[1]} == {allowed}
    assert allowed == (folder or os.path.dirname(real_examples()[0].picture))


@pytest.mark.extensive
def test_the_demo_model_is_trained_once_and_kept_in_the_users_cache(tmp_path, monkeypatch, capsys):
    def save_atomically(*_):
        raise KeyboardInterrupt

    monkeypatch.setenv("KERAS_AVSSAN_CACHE", str(tmp_path))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sys.modules[demo_model.__module__], "save_atomically", save_atomically)
        demo_model(steps=2, rooms=2)
    (last,) = (tmp_path / "demo/model.checkpoints").glob("*2.*")
    last.unlink()  # it was stopped after one step
    model = demo_model(steps=2, rooms=2, progress=True)
    printed = capsys.readouterr().err
    assert f"No demo model yet in {as_typed(tmp_path)}/demo/model: training one, about" in printed
    assert "1 of 2: simulating 2 rooms" in printed and "2 of 2: training 2 steps" in printed
    assert " 50%" in printed and re.search(r"100%.* 2/2 \[\d+:\d+<\d+:\d+", printed)
    monkeypatch.setattr(sys.modules[demo_model.__module__], "fit_scenes", None)
    again = demo_model()
    assert isinstance(again, AVSSAN) and again.count_params() == model.count_params()
    assert demo_plan("test", rooms=1).split == "test"


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "~/.cache/keras-avssan/demo"),
        ("linux", {"XDG_CACHE_HOME": "/caches"}, "/caches/keras-avssan/demo"),
        ("darwin", {}, "~/Library/Caches/keras-avssan/demo"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/keras-avssan/demo"),
        ("linux", {"KERAS_AVSSAN_CACHE": "~/here"}, "~/here/demo"),
    ],
)
def test_the_cache_is_where_the_platform_has_it(platform, variables, folder, monkeypatch):
    for name in ("KERAS_AVSSAN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert demo_folder() == pathlib.Path(folder).expanduser()


def test_the_command_is_what_a_shell_understands(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    line = localize_command(tmp_path / "a mix.wav", "/else/dog.png", tmp_path / "model")
    assert line == ("keras-avssan localize ~/'a mix.wav' --prompt /else/dog.png --model ~/model")
    shell = ["sh", "-c", f"printf '%s|' {line}"]
    said = subprocess.run(shell, check=True, capture_output=True, text=True).stdout
    assert said.split("|")[2] == str(tmp_path / "a mix.wav")


def test_the_array_is_opened_for_the_page(tmp_path, monkeypatch):
    given = []
    monkeypatch.setitem(sys.modules, "gradio", sys)
    monkeypatch.setattr(cli_app, "_open_model", lambda *_: "a model")
    monkeypatch.setattr("keras_avssan.app.build_interface", lambda *args: given.append(args))
    monkeypatch.setattr(cli_app, "serve", lambda *_: None)
    (tmp_path / "mine.csv").write_text("0.1,0\n-0.1,0\n0,0.1\n")
    for array in ("respeaker_4", str(tmp_path / "mine.csv")):
        assert main(["app", "--demo", "--port", "17861", "--array", array]) == 0
    assert main(["app", "--demo", "--port", "17861"]) == 0
    four, three, none = (args[2] for args in given)
    assert (four.name, len(four), three.name, len(three)) == ("respeaker_4", 4, "mine", 3)
    assert none is None
