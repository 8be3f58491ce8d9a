"""Messages of the library name the options of the command, not the arguments of Python."""

import argparse

import numpy as np
import pytest
import soundfile

from keras_avssan.cli.checks import in_options
from keras_avssan.cli.main import main

pytestmark = pytest.mark.backend_agnostic

BUILD = ["rooms", "build", "--out", "new", "--rooms", "2"]
IMPORT = ["rooms", "import", "table.csv", "--out", "new.npz"]
TABLE = ["benchmark", "--table", "2", "--out", "new"]
RATE = ["--spacing", "0.2", "--sampling-rate"]
TRACK = ["localize", "mix.wav", "--prompt", "dog.jpg", "--model", "model", "--track"]


@pytest.fixture
def files(workspace, monkeypatch):
    """The folder of the files, with a table of one measured response."""
    samples = 0.1 * np.random.default_rng(0).standard_normal((800, 2))
    soundfile.write(workspace / "rir.wav", samples, 8000)
    (workspace / "table.csv").write_text("file,azimuth,t60\nrir.wav,30,\n")
    (workspace / "wrong.csv").write_text("file,azimuth,t60\nrir.wav,30,long\n")
    monkeypatch.chdir(workspace)


@pytest.mark.parametrize(
    ("command", "expected", "received"),
    [
        (["rooms", "show", "bank.npz", "--room", "9", "--plot", "a.png"], "room", "9"),
        ([*BUILD, "--t60", "0.8", "0.2"], "t60", "(0.8, 0.2)"),
        ([*BUILD, "--azimuth", "0", "400"], "azimuth", "(0.0, 400.0)"),
        ([*BUILD, "--wall-margin", "-3"], "wall-margin", "-3.0"),
        ([*BUILD, "--phase-error", "999"], "phase-error", "999.0"),
        ([*BUILD, "--shards", "4", "6"], "shards", "[4, 5]"),
        ([*BUILD, "--seed", "9" * 23], "seed", "9" * 23),
        (["train", "--out", "new", "--seed", "4294967296"], "seed", "4294967296"),
        ([*TABLE, "--seed", "4294967296"], "seed", "4294967296"),
        ([*TABLE, "--systems", "gcc"], "systems", "['gcc']"),
        (IMPORT, "spacing", "None"),
        ([*IMPORT, *RATE, "8000", "--sources-per-room", "5"], "sources-per-room", "5"),
        ([*IMPORT, *RATE, "48000"], "sampling-rate", "48000"),
        ([*TRACK, "--window", "0.1"], "window", "0.1"),
        ([*TRACK, "--hop", "0.00001"], "hop", "1e-05"),
    ],
)
def test_options_are_named(files, capsys, command, expected, received):
    assert main(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f": error: `--{expected}` must " in line
    assert f"Received: --{expected}={received}" in line


def test_files_and_columns_keep_their_names(files, capsys):
    assert main(["rooms", "import", "wrong.csv", "--out", "new.npz", "--spacing", "0.2"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "`FILE` must be a CSV table with numbers in the column `t60`. Received: FILE=" in line
    assert "--t60" not in line


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "`room` must be below 3. Received: room=7",
            "`--room` must be below 3. Received: --room=7",
        ),
        # Another value is that of another thing of the same name.
        ("`room` must be below 3. Received: room=70", None),
        ("`room` must be below 3. Received: room=7.5", None),
        ("`room` must be below 3. Received: bedroom=7", None),
        ("`room` must be below 3.", None),
        ("`size` must be one. Received: size=0.5", "`--side` must be one. Received: --side=0.5"),
        ("The column `room` is wrong. Received: room=7", "The column `room` is wrong. Received: "),
    ],
)
def test_arguments_are_renamed_where_the_value_is_that_of_the_option(message, expected):
    parser = argparse.ArgumentParser()
    parser.add_argument("--room", type=int)
    parser.add_argument("--side", dest="size", type=float)
    options = parser.parse_args(["--room", "7", "--side", "0.5"])
    options.parser = parser
    found = in_options(options, message)
    assert found == message if expected is None else found.startswith(expected)
