"""`localize`: several recordings and prompts, files of answers, microphones of an array."""

import contextlib
import csv
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan import AVSSAN
from keras_avssan.cli.main import main
from keras_avssan.encoders import ConvImageEncoder, PictureTextEncoder, WordTable
from keras_avssan.models import Localizer

NOT_THERE = ", the prompted sound is probably not there"


@pytest.fixture
def localize(workspace):
    """Runs `localize` in the folder of the files."""

    def run(*arguments):
        before = os.getcwd()
        os.chdir(workspace)
        try:
            return main(["localize", *map(str, arguments), "--model", "model"])
        finally:
            os.chdir(before)

    return run


@pytest.mark.backend_agnostic
def test_every_prompt_is_found_in_every_recording(workspace, localize, tmp_path, capsys):
    rng = np.random.default_rng(1)
    soundfile.write(workspace / "street.wav", 0.1 * rng.standard_normal((8000, 2)), 16000)
    files = ["--json", tmp_path / "answers.json", "--csv", tmp_path / "answers.csv"]
    recordings, prompts = ["mix.wav", "street.wav"], ["dog.jpg", "mono.wav"]
    assert localize(*recordings, "--prompt", prompts[0], "--prompt", prompts[1], *files) == 0
    lines = capsys.readouterr().out.splitlines()
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert [(a["recording"], a["prompt"]) for a in answers] == [
        (recording, prompt) for recording in recordings for prompt in prompts
    ]
    model = AVSSAN.from_preset(str(workspace / "model"))
    for answer, line in zip(answers, lines, strict=True):
        theta, confidence = model.localize(
            str(workspace / answer["recording"]),
            str(workspace / answer["prompt"]),
            return_confidence=True,
        )
        assert answer["azimuth"] == theta[0]
        assert answer["confidence"] == pytest.approx(confidence[0], abs=1e-4)
        assert line.split() == [
            *(answer["recording"], answer["prompt"], f"{theta[0]:.0f}", "degrees,"),
            *"probability within 5 degrees:".split(),
            f"{answer['confidence']:.2f}",
        ]
    assert len({len(line) for line in lines}) == 1  # in columns
    assert all("presence" not in answer for answer in answers)  # this model gives none
    rows = list(csv.DictReader((tmp_path / "answers.csv").open()))
    assert [float(row["azimuth"]) for row in rows] == [a["azimuth"] for a in answers]
    assert [row["prompt"] for row in rows] == prompts * 2
    assert sorted(os.listdir(tmp_path)) == ["answers.csv", "answers.json"]


@pytest.mark.backend_agnostic
def test_recordings_as_prompts_keep_their_lengths(workspace, localize, tmp_path, capsys):
    """In one batch the shorter one would be repeated, and have another embedding."""
    rng = np.random.default_rng(2)
    for name, samples in (("short.wav", 4000), ("long.wav", 14321)):
        soundfile.write(workspace / name, 0.1 * rng.standard_normal(samples), 16000)
    scores = tmp_path / "answers.json"
    assert (
        localize("mix.wav", "--prompt", "short.wav", "--prompt", "long.wav", "--json", scores) == 0
    )
    together = [answer["confidence"] for answer in json.loads(scores.read_text())]
    alone = []
    for name in ("short.wav", "long.wav"):
        assert localize("mix.wav", "--prompt", name, "--json", scores) == 0
        alone += [answer["confidence"] for answer in json.loads(scores.read_text())]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-7)
    capsys.readouterr()


@pytest.mark.backend_agnostic
def test_words_come_before_a_folder_of_the_same_name(
    workspace, localize, make_small_model, monkeypatch, capsys
):
    """As in Python; only a path to the folder is refused before the model is loaded."""
    monkeypatch.chdir(workspace)
    assert localize("mix.wav", "--prompt", "empty") == 2
    with pytest.raises(ValueError, match="the folder of this name is not a file") as caught:
        AVSSAN.from_preset("model").localize("mix.wav", "empty")
    message = str(caught.value).replace("`prompt`", "`--prompt`").replace("prompt=", "--prompt=")
    assert capsys.readouterr().err == f"keras-avssan localize: error: {message}\n"
    assert localize("mix.wav", "--prompt", "./empty") == 2
    error = capsys.readouterr().err
    assert "`--prompt`: file './empty' must be a file. Received: a directory" in error
    words = WordTable.from_vectors(["dog", "empty"], np.eye(2), "two words")
    pictures = ConvImageEncoder(8, (4, 8), (32, 32))
    model = make_small_model(image_encoder=PictureTextEncoder(pictures, words))
    monkeypatch.setattr(Localizer, "from_preset", lambda *_: model)
    for ask in (
        lambda: localize("mix.wav", "--prompt", "empty"),
        lambda: model.localize("mix.wav", "empty"),
    ):
        with pytest.warns(UserWarning, match="'empty' is read as words; the folder of this name"):
            answer = ask()
    assert f"{answer[0]:.0f} degrees" in capsys.readouterr().out


@pytest.mark.backend_agnostic
def test_a_recording_that_is_too_long_leads_to_tracks(localize, tmp_path, capsys):
    long, short = tmp_path / "long.wav", tmp_path / "short.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal((61000, 2))
    soundfile.write(long, noise, 1000)
    soundfile.write(short, noise[:400], 1000)
    hint = "`--track` takes longer ones, in windows."
    assert localize(long, "--prompt", "dog.jpg") == 2
    error = capsys.readouterr().err
    assert "must last from 0.5 to 60 seconds. Received: 61.000 s " + hint in error
    assert localize(short, "--prompt", "dog.jpg") == 2
    error = capsys.readouterr().err
    assert "must last from 0.5 to 60 seconds" in error and hint not in error
    assert localize("mix.wav", "--prompt", long) == 2
    error = capsys.readouterr().err
    assert "61.000 s" in error and hint not in error


def test_two_of_four_channels(workspace, localize, capsys):
    samples, _ = soundfile.read(workspace / "mix.wav")
    noise = 0.1 * np.random.default_rng(2).standard_normal((len(samples), 4))
    noise[:, [0, 2]] = samples
    soundfile.write(workspace / "array.wav", noise, 16000)
    assert localize("mix.wav", "--prompt", "dog.jpg") == 0
    expected = capsys.readouterr().out
    assert localize("array.wav", "--channels", 0, 2, "--prompt", "dog.jpg") == 0
    assert capsys.readouterr().out == expected
    assert localize("array.wav", "--prompt", "dog.jpg") == 2
    error = capsys.readouterr().err
    assert "`--channels 0 1`, chooses two). Received: 4 channels" in error
    assert localize("array.wav", "--channels", 0, 4, "--prompt", "dog.jpg") == 2
    assert "must be from 0 to 3" in capsys.readouterr().err
    assert localize("mono.wav", "--prompt", "dog.jpg") == 2
    assert "must have 2 channels. Received: 1 channel\n" in capsys.readouterr().err


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("figure", [None, "answer.png"])
def test_the_spacing_and_the_channels_reach_the_model(
    localize, monkeypatch, tmp_path, capsys, figure
):
    received = {}

    class Model:
        def localize(self, audio, prompt, return_confidence, **pair):
            received.update(pair)
            return np.array([90.0]), np.array([float("nan")])

        def explain(self, audio, prompt, **pair):
            received.update(pair)
            return {"azimuth": 90.0, "confidence": float("nan")}

    monkeypatch.setattr(Localizer, "from_preset", lambda *_: Model())
    monkeypatch.setattr("keras_avssan.cli.localize._draw", lambda *_: None)
    more = ["--figure", tmp_path / figure] if figure else []
    more += ["--json", tmp_path / "answers.json"]
    arguments = ["mix.wav", "--prompt", "a dog", "--spacing", 0.08, "--channels", 1, 0]
    assert localize(*arguments, *more) == 0
    assert received == {"microphone_spacing": 0.08, "channels": (1, 0)}
    assert capsys.readouterr().out == "90 degrees, probability within 5 degrees: unknown\n"
    assert json.loads((tmp_path / "answers.json").read_text())[0]["confidence"] is None


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("figure", [None, "answer.png"])
@pytest.mark.parametrize(("presence", "said"), [(0.5, ""), (0.25, NOT_THERE)])
def test_presence_is_said_where_the_model_gives_it(
    localize, monkeypatch, tmp_path, capsys, figure, presence, said
):
    class Model:
        output = {"doa": None, "presence": None}

        def localize(self, audio, prompt, return_confidence, return_presence):
            assert return_confidence and return_presence
            return np.array([90.0]), np.array([0.8]), np.array([presence], "float32")

        def explain(self, audio, prompt):
            return {"azimuth": 90.0, "confidence": 0.8, "presence": presence}

    monkeypatch.setattr(Localizer, "from_preset", lambda *_: Model())
    monkeypatch.setattr("keras_avssan.cli.localize._draw", lambda *_: None)
    files = ["--json", tmp_path / "answers.json", "--csv", tmp_path / "answers.csv"]
    files += ["--figure", tmp_path / figure] if figure else []
    assert localize("mix.wav", "--prompt", "a dog", *files) == 0
    line = "90 degrees, probability within 5 degrees: 0.80, presence: "
    assert capsys.readouterr().out == f"{line}{presence:.2f}{said}\n"
    (answer,) = json.loads((tmp_path / "answers.json").read_text())
    assert answer["presence"] == presence
    (row,) = csv.DictReader((tmp_path / "answers.csv").open())
    assert list(row) == ["recording", "prompt", "azimuth", "confidence", "presence"]
    assert float(row["presence"]) == presence


@pytest.mark.backend_agnostic
def test_presence_of_a_stored_model(
    workspace, localize, make_candidates, monkeypatch, tmp_path, capsys
):
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4, 8), (32, 32)))
    monkeypatch.setattr(Localizer, "from_preset", lambda *_: model)
    arguments = ["mix.wav", "--prompt", "dog.jpg", "mono.wav"]
    assert localize(*arguments, "--json", tmp_path / "answers.json") == 0
    lines = capsys.readouterr().out.splitlines()
    answers = json.loads((tmp_path / "answers.json").read_text())
    for line, answer in zip(lines, answers, strict=True):
        expected = model.localize(
            str(workspace / "mix.wav"), str(workspace / answer["prompt"]), return_presence=True
        )[1]
        assert answer["presence"] == pytest.approx(expected[0], abs=1e-5)
        assert f"presence: {answer['presence']:.2f}" in line
        assert line.endswith(NOT_THERE) == (answer["presence"] < 0.5)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(("prompt", "has_picture"), [("dog.jpg", True), ("mono.wav", False)])
def test_the_picture_of_the_prompt_is_in_the_figure(
    localize, tmp_path, monkeypatch, prompt, has_picture
):
    titles = []

    def savefig(figure, *_, **__):
        titles.extend(axes.get_title(loc="center") for axes in figure.axes)
        (tmp_path / "answer.png").touch()

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", savefig)
    with contextlib.suppress(OSError):  # nothing is written
        localize("mix.wav", "--prompt", prompt, "--figure", tmp_path / "answer.png")
    assert ("prompt" in titles) == has_picture and any(
        title.startswith("answer ") for title in titles
    )


@pytest.mark.backend_agnostic
def test_a_figure_that_fails_leaves_the_answer(localize, tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    files = ["--figure", tmp_path / "answer.png", "--json", tmp_path / "answer.json"]
    assert localize("mix.wav", "--prompt", "dog.jpg", *files) == 2
    captured = capsys.readouterr()
    assert "degrees, probability within 5 degrees: " in captured.out
    assert captured.err == "keras-avssan localize: error: No space left on device\n"
    assert os.listdir(tmp_path) == ["answer.json"]


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("ending", [".pdf", ".SVG", ".jpg"])
def test_figures_of_other_formats(localize, tmp_path, ending):
    assert localize("mix.wav", "--prompt", "dog.jpg", "--figure", tmp_path / f"answer{ending}") == 0
    (name,) = os.listdir(tmp_path)
    start = {".pdf": b"%PDF", ".SVG": b"<?xml", ".jpg": b"\xff\xd8"}[ending]
    assert (tmp_path / name).read_bytes().startswith(start)
    if ending == ".jpg":
        assert Image.open(tmp_path / name).size[0] > 100


@pytest.mark.one_backend
def test_nothing_but_the_answer_is_printed(workspace, tmp_path):
    """In a process of its own, where the backend and what it brings along write as they do."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    command = [sys.executable, "-m", "keras_avssan", "localize", "mix.wav", "--prompt", "dog.jpg"]
    done = subprocess.run(
        [*command, "--model", "model"],
        capture_output=True,
        text=True,
        cwd=workspace,
        env={**environment, "KERAS_BACKEND": keras.backend.backend()},
    )
    assert done.returncode == 0 and done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert "degrees, probability within 5 degrees: " in line
