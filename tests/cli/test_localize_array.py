"""`localize --array`: recordings of more than two microphones."""

import dataclasses
import json
import os
import re

import numpy as np
import pytest
import soundfile

from keras_avssan import AVSSAN
from keras_avssan.arrays import MicrophoneArray
from keras_avssan.cli.main import main
from keras_avssan.models import Localizer

pytestmark = pytest.mark.backend_agnostic

SQUARE = "x,y\n0.1,0.1\n-0.1,0.1\n-0.1,-0.1\n0.1,-0.1\n"


@pytest.fixture(scope="module")
def files(workspace):
    """The folder with recordings of four and six channels, and files of positions."""
    rng = np.random.default_rng(5)
    six = 0.1 * rng.standard_normal((8000, 6))
    soundfile.write(workspace / "six.wav", six, 16000)
    soundfile.write(workspace / "four.wav", six[:, 1:5], 16000)
    long = 0.1 * rng.standard_normal((24000, 6))
    soundfile.write(workspace / "long_six.wav", long, 16000)
    soundfile.write(workspace / "long_four.wav", long[:, 1:5], 16000)
    (workspace / "square.csv").write_text(SQUARE)
    (workspace / "same.csv").write_text("0.1,0\n0.1,0\n0,0.1\n-0.1,0\n")
    (workspace / "line.csv").write_text("0,0\n0.1,0\n0.2,0\n0.3,0\n")
    (workspace / "metres.csv").write_text("10,0\n0,10\n-10,0\n0,-10\n")
    return workspace


@pytest.fixture
def localize(files, monkeypatch):
    """Runs `localize` in the folder of the files."""

    def run(*arguments):
        monkeypatch.chdir(files)
        return main(["localize", *map(str, arguments), "--prompt", "dog.jpg", "--model", "model"])

    return run


@pytest.mark.parametrize("array", ["respeaker_4", "square.csv"])
def test_azimuths_all_around(files, localize, tmp_path, capsys, array):
    assert localize("four.wav", "--array", array, "--json", tmp_path / "answers.json") == 0
    (answer,) = json.loads((tmp_path / "answers.json").read_text())
    made = (
        MicrophoneArray.from_preset(array)
        if array == "respeaker_4"
        else MicrophoneArray.from_file(files / array)
    )
    model = AVSSAN.from_preset(str(files / "model"))
    theta, confidence = model.localize(
        str(files / "four.wav"), str(files / "dog.jpg"), return_confidence=True, array=made
    )
    assert answer["azimuth"] == theta[0]
    assert answer["confidence"] == pytest.approx(confidence[0], abs=1e-4)
    assert capsys.readouterr().out.startswith(f"{theta[0]:.0f} degrees")


def test_channels_of_the_microphones(localize, capsys):
    assert localize("six.wav", "--array", "square.csv", "--array-channels", 1, 2, 3, 4) == 0
    chosen = capsys.readouterr().out
    assert localize("four.wav", "--array", "square.csv") == 0
    assert capsys.readouterr().out == chosen


def test_directions_over_time(files, localize, tmp_path, capsys):
    """The table has azimuths all around, and the figure a whole circle."""
    more = ["--track", "--window", 0.5, "--hop", 0.5, "--smoothing", "offline"]
    outputs = ["--json", tmp_path / "track.json", "--figure", tmp_path / "track.png"]
    channels = ["--array-channels", 1, 2, 3, 4]
    assert localize("long_six.wav", "--array", "square.csv", *channels, *more, *outputs) == 0
    model = AVSSAN.from_preset(str(files / "model"))
    expected = model.track(
        str(files / "long_six.wav"),
        str(files / "dog.jpg"),
        0.5,
        0.5,
        smoothing="offline",
        channels=(1, 2, 3, 4),
        array=MicrophoneArray.from_file(files / "square.csv"),
    )
    rows = json.loads((tmp_path / "track.json").read_text())
    assert [row["azimuth"] for row in rows] == expected.azimuth.tolist() and len(rows) == 3
    assert expected.posteriors.shape == (3, 360)
    assert "3 of 3 windows with a direction, " in capsys.readouterr().out
    assert (tmp_path / "track.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("azimuths", "arc"),
    [
        ([350.0, 2.0, 340.0, 10.0], "340 to 10 degrees"),
        ([20.0, 350.0], "350 to 20 degrees"),
        ([90.0, 30.0, 180.0], "30 to 180 degrees"),
        ([7.0], "7 to 7 degrees"),
    ],
)
def test_the_summary_has_the_arc_that_holds_all_azimuths(
    files, localize, monkeypatch, tmp_path, capsys, azimuths, arc
):
    original = Localizer.track

    def known(self, *arguments, **options):
        (track,) = original(self, *arguments, **options)
        values = np.resize(np.array(azimuths, "float32"), len(track))
        return [dataclasses.replace(track, azimuth=values)]

    monkeypatch.setattr(Localizer, "track", known)
    more = ["--track", "--window", 0.5, "--hop", 0.25, "--csv", tmp_path / "track.csv"]
    assert localize("long_four.wav", "--array", "square.csv", *more) == 0
    assert f"windows with a direction, {arc}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["four.wav", "--array", "kinect"], "`--array` must be one of starss23"),
        (["four.wav", "--array", "none.csv"], "none.csv"),
        (["four.wav", "--array", "same.csv"], "same.csv' holds no array.*different places"),
        (["four.wav", "--array", "line.csv"], "`--array` must have .*along two level axes or more"),
        (["four.wav", "--array", "metres.csv"], "at most 10 m apart; they are in metres"),
        (["mix.wav", "--array", "square.csv"], "must have 4 channels. Received: 2 channels"),
        (["six.wav", "--array", "square.csv"], "--array-channels 0 1 2 3`, chooses 4"),
        (["six.wav", "--array", "square.csv", "--array-channels", "1", "2"], "must be 4 different"),
        (
            ["four.wav", "--array", "square.csv", "--array-channels", "1", "2", "3", "4"],
            "`--array-channels` must be from 0 to 3",
        ),
        (["mix.wav", "--array-channels", "0", "1"], "must be used with `--array`"),
        (
            ["four.wav", "--array", "square.csv", "--channels", "0", "1"],
            "`--channels` must be left",
        ),
        (["four.wav", "--array", "square.csv", "--spacing", "0.1"], "`--spacing` must be left out"),
        (
            ["four.wav", "--array", "square.csv", "--figure", "a.png"],
            "`--figure` must be used with `--track` where there is an `--array`",
        ),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    files, localize, capsys, tmp_path, arguments, message
):
    before = sorted(os.listdir(files))
    with pytest.raises(SystemExit) as stopped:
        raise SystemExit(localize(*arguments, "--csv", tmp_path / "answers.csv"))
    assert stopped.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 or error[0].startswith("usage"), error
    assert re.search(message, error[-1]), error
    assert sorted(os.listdir(files)) == before and not os.listdir(tmp_path)
