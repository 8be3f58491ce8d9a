"""`localize --track`: lines, tables, JSON and the figure."""

import csv
import json
import os

import numpy as np
import pytest
import soundfile

from keras_avssan import AVSSAN
from keras_avssan.cli.main import main
from keras_avssan.models import Localizer

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture(scope="module")
def recording(workspace):
    """A recording of 2 s with a silent part."""
    samples = 0.1 * np.random.default_rng(3).standard_normal((32000, 2))
    samples[12000:24000] = 0.0
    soundfile.write(workspace / "long.wav", samples, 16000)
    return "long.wav"


@pytest.fixture
def track(workspace, recording, monkeypatch):
    """Runs `localize --track` in the folder of the files, with windows of half a second."""
    monkeypatch.chdir(workspace)

    def run(*arguments, recordings=(recording,)):
        command = ["localize", *recordings, "--track", "--window", "0.5", "--model", "model"]
        return main([*command, *map(str, arguments)])

    return run


def test_a_line_a_window(track, workspace, capsys):
    assert track("--prompt", "dog.jpg") == 0
    lines = capsys.readouterr().out.splitlines()
    model = AVSSAN.from_preset(str(workspace / "model"))
    expected = model.track(str(workspace / "long.wav"), str(workspace / "dog.jpg"), 0.5)
    assert len(lines) == len(expected) == 7
    for line, time, azimuth, gap in zip(
        lines, expected.times, expected.azimuth, expected.gaps, strict=True
    ):
        words = line.split()
        assert words[:2] == [f"{time:.2f}", "s"]
        if gap:
            assert line.endswith("no direction (silent)")
        else:
            assert words[2:4] == [f"{azimuth:.0f}", "degrees,"] and "spread" in words
    assert sum("silent" in line for line in lines) == 2


def test_tables_of_several_prompts_and_recordings(track, workspace, tmp_path, capsys):
    files = ["--csv", tmp_path / "track.csv", "--json", tmp_path / "track.json"]
    prompts = ["--prompt", "dog.jpg", "mono.wav"]
    more = ["--hop", "0.5", "--smoothing", "offline"]
    assert track(*prompts, *files, *more, recordings=["long.wav", "mix.wav"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["long.wav", "dog.jpg"],
        ["long.wav", "mono.wav"],
        ["mix.wav", "dog.jpg"],
        ["mix.wav", "mono.wav"],
    ]
    assert lines[0].split("  ")[2].startswith("3 of 4 windows with a direction, ")
    rows = json.loads((tmp_path / "track.json").read_text())
    table = list(csv.DictReader((tmp_path / "track.csv").open()))
    names = ["recording", "prompt", "time", "azimuth", "spread", "presence", "gap"]
    assert list(table[0]) == list(rows[0]) == names and len(table) == len(rows) == 2 * (4 + 2)
    model = AVSSAN.from_preset(str(workspace / "model"))
    found = model.track(
        str(workspace / "long.wav"), str(workspace / "mono.wav"), 0.5, 0.5, smoothing="offline"
    )
    for row, cells, time, azimuth in zip(
        rows[4:8], table[4:8], found.times, found.azimuth, strict=True
    ):
        assert row["time"] == time and row["prompt"] == "mono.wav"
        assert (row["azimuth"] is None) == (cells["azimuth"] == "") == np.isnan(azimuth)
        if row["azimuth"] is not None:
            assert row["azimuth"] == azimuth == float(cells["azimuth"])
        assert row["presence"] is None and row["gap"] == cells["gap"]
    assert "silent" in {row["gap"] for row in rows}


def test_presence_in_words(track, make_candidates, monkeypatch, capsys):
    model = make_candidates(prompt_dim=8)
    monkeypatch.setattr(Localizer, "from_preset", lambda *_: model)
    monkeypatch.setattr(
        "keras_avssan.models.localization.sound_tracking.read_prompts",
        lambda *_: {"prompt_embedding": np.ones((1, 8), "float32")},
    )
    assert track("--prompt", "a dog") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(", presence 0." in line for line in lines) and len(lines) == 7


def test_the_figure(track, tmp_path):
    assert track("--prompt", "dog.jpg", "--figure", tmp_path / "track.svg") == 0
    (name,) = os.listdir(tmp_path)
    content = (tmp_path / name).read_text()
    assert content.startswith("<?xml") and len(content) > 5000


def test_the_title_has_names_without_folders(track, workspace, recording, tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(
        "keras_avssan.cli.localize.draw_track", lambda track, title, path: titles.append(title)
    )
    paths = [str(workspace / name) for name in (recording, "dog.jpg")]
    figure = ["--figure", tmp_path / "track.svg"]
    assert track("--prompt", paths[1], *figure, recordings=paths[:1]) == 0
    assert titles == ["long.wav, dog.jpg"]


def test_the_pair_reaches_the_model(track, workspace, monkeypatch, capsys):
    received = {}
    original = Localizer.track

    def spy(self, *arguments, **options):
        received.update(options)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Localizer, "track", spy)
    more = ["--channels", 1, 0, "--spacing", 0.1, "--hop", 0.3, "--smoothing", "online"]
    assert track("--prompt", "dog.jpg", *more) == 0
    assert received["channels"] == (1, 0) and received["microphone_spacing"] == 0.1
    assert (received["window"], received["hop"]) == (0.5, 0.3)
    assert received["smoothing"] == "online" and received["progress"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--window", "2"], "`--window` must be used with `--track`"),
        (["--smoothing", "online"], "`--smoothing` must be used with `--track`"),
        (["--track", "--window", "0"], "`--window` must be positive"),
        (["--track", "--hop", "-1"], "`--hop` must be positive"),
        (["--track", "--window", "0.1"], "`window` must be from 0.5 to 60 seconds"),
        (["--track", "--window", "9"], "must last for one window of 9 s or more. Received: 2.000"),
    ],
)
def test_what_does_not_fit_is_reported(
    workspace, recording, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(workspace)
    command = ["localize", recording, "--prompt", "dog.jpg", "--model", "model"]
    assert main([*command, *arguments]) == 2
    assert message in capsys.readouterr().err
