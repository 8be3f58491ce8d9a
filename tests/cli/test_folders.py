"""`build folders` and `build check-splits`."""

import json
import shutil

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.cli.main import main

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture
def root(tmp_path):
    """A folder of two classes of noises and patches."""
    root = tmp_path / "sounds"
    rng = np.random.default_rng(0)
    for name in ("bell", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            soundfile.write(root / name / f"a{number}.wav", 0.1 * rng.standard_normal(8000), 16000)
            patches = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype="uint8"))
            patches.resize((48, 48)).save(root / name / f"i{number}.png")
    return root


def test_folders_are_checked(root, tmp_path, capsys):
    (root / "dog" / "broken.wav").write_bytes(b"RIFF")
    assert main(["build", "folders", str(root), "--json", str(tmp_path / "report.json")]) == 0
    printed = capsys.readouterr().out
    assert "dog/broken.wav: " in printed
    assert printed.split("unusable")[0].split() == ["class", "recordings", "pictures"]
    assert "shortest (s)" in printed
    assert "8 recordings (0.1 min) and 8 pictures; 1 files cannot be used" in printed
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["classes"]["bell"]["clips"] == 4
    assert not (root / "metadata.csv").exists()


def test_splits_are_written_and_then_apart(root, capsys):
    shutil.copy(root / "dog/a0.wav", root / "bell/b.wav")
    command = ["build", "folders", str(root), "--write-metadata", "--seed", "3"]
    assert main([*command, "--splits", "0.5", "0", "0.5"]) == 0
    assert capsys.readouterr().out.endswith(f"wrote {root / 'metadata.csv'}\n")
    assert main(["build", "check-splits", str(root)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("0 leaks among ") and "of test" in last and "of val" not in last
    assert main(command) == 2
    assert "must not replace a metadata.csv, which may hold" in capsys.readouterr().err


def test_leaks_are_listed_and_make_the_exit_code(root, tmp_path, capsys):
    table = tmp_path / "table.csv"
    shutil.copy(root / "dog/a1.wav", root / "dog/a9.wav")
    files = sorted(path.name for path in (root / "dog").iterdir())
    rows = [f"dog/{name},dog,{'val' if '9' in name else 'train'}" for name in files]
    table.write_text("\n".join(["path,class,split", *rows]))
    command = ["build", "check-splits", str(table), "--root", str(root)]
    assert main([*command, "--json", str(tmp_path / "leaks.json")]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.split() == "clip identical 1.00 train: dog/a1.wav val: dog/a9.wav".split()
    assert last.startswith("1 leaks among 4 clips of train")
    (leak,) = json.loads((tmp_path / "leaks.json").read_text())
    assert leak["second"]["id"] == "dog/a9.wav"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["folders", "nowhere"], "`root` must be an existing folder. Received: root='nowhere'"),
        (["folders", ".", "--json", "no/where.json"], "`--json` must lie in an existing folder"),
        (["folders", ".", "--splits", "0", "0", "0"], "`--splits`"),
        (["folders", "ROOT", "--workers", "0"], "`--workers` must be at least 1"),
        (["folders", "ROOT", "--engine", "threads"], "`--engine` must be one of"),
        (
            ["check-splits", "nowhere.csv"],
            "`data` must be an existing folder",
        ),
        (["check-splits", "ROOT", "--workers", "-1"], "`--workers`"),
    ],
)
def test_bad_input_is_one_line(root, capsys, command, message):
    command = [str(root) if word == "ROOT" else word for word in command]
    assert main(["build", *command]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"keras-avssan build {command[0]}: error: ") and message in line
