"""`build vggsound-ssl`, and `train` on what it built."""

import json
import os

import pytest

from keras_avssan.cli.main import main
from keras_avssan.data import SpatialClips, VGGSoundSSL
from keras_avssan.data.vggsound_ssl import stage1_decode as parts
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = pytest.mark.backend_agnostic

SMALL = ["--clip", "none", "--min-instances", "2", "--rows-per-part", "6"]


def build(material, out, *more):
    arguments = ["--csv", str(material.csv), "--videos", str(material.videos), "--out", str(out)]
    return main(["build", "vggsound-ssl", *arguments, *SMALL, *more])


@pytest.fixture(scope="module")
def bank_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("bank") / "bank.npz"
    RIRBank.build(
        6, sources_per_room=2, ranges=RoomRanges(t60=(0.2, 0.21)), max_duration=0.05, progress=False
    ).save(path)
    return path


def test_builds_and_passes_everything_on(material, tmp_path, capsys, bank_path):
    out = tmp_path / "ssl"
    options = ["--splits", "0.5", "0.25", "0.25", "--seed", "4", "--max-clips", "12"]
    options += ["--duration", "1", "--clips-per-shard", "3", "--max-classes", "2", "--csv-splits"]
    options += ["--spatialise", "1", "--bank", str(bank_path)]
    assert build(material, out, *options) == 0
    captured = capsys.readouterr()
    assert "4/4" in captured.err
    lines = captured.out.splitlines()
    # One video is cut after its first second, which is all that was requested.
    assert lines[0].startswith(f"{out}: 11 clips (train ")
    assert lines[0].endswith(" of 2 classes, 0.00 hours")
    assert "class not chosen 5" in lines[1] and "silent 1" in lines[1]
    assert lines[2] == f"{out}/spatial: 1 of each, with two channels"
    settings = VGGSoundSSL(out).manifest["settings"]
    assert settings["splits"] == [0.5, 0.25, 0.25] and settings["csv_splits"] is True
    assert (settings["seed"], settings["max_clips"], settings["duration"]) == (4, 12, 1.0)
    assert (settings["clips_per_shard"], settings["rows_per_part"]) == (3, 6)
    clips = SpatialClips(out)
    assert len(clips) == 11 and clips.manifest["settings"]["seed"] == 4
    # Nothing is left to do.
    assert build(material, out, *options) == 0


def test_trains_on_it(material, tmp_path, bank_path, monkeypatch):
    plans = []
    monkeypatch.setattr(
        "keras_avssan.training.fit_scenes",
        lambda model, plan, **options: plans.extend([plan, options["validation_plan"]]),
    )
    monkeypatch.setattr("keras_avssan.training.save_atomically", lambda *arguments: None)
    assert build(material, tmp_path / "ssl") == 0
    arguments = ["train", "--data", str(tmp_path / "ssl"), "--out", str(tmp_path / "model")]
    arguments += ["--bank", str(bank_path), "--duration", "0.5"]
    assert main([*arguments, "--classes", "violin", "dog barking"]) == 0
    assert [plan.split for plan in plans] == ["train", "val"]
    for plan in plans:
        assert isinstance(plan.catalog, VGGSoundSSL)
        assert plan.classes == ("dog barking", "violin")
    assert main([*arguments, "--classes", "whistling"]) == 2


def test_stopped_by_the_user(material, tmp_path, monkeypatch, capsys):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(parts, "read_video_audio", stop)
    assert build(material, tmp_path / "ssl") == 130
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("keras-avssan build vggsound-ssl: stopped with 0 of 4 parts")
    assert line.endswith("the same call or command resumes from there")


def test_bad_input_is_one_clear_line(material, tmp_path, capsys, bank_path):
    out = tmp_path / "ssl"
    for options, message in [
        (["--min-instances", "99"], "Received: --min-instances=99"),
        (["--clip", "nowhere"], "`--clip` must be"),
        (["--classes", "whistling"], "Received: --classes=('whistling',)"),
        (["--spatialise", "1"], "`--spatialise` and `--bank` must be given together"),
        (["--bank", str(bank_path)], "`--spatialise` and `--bank` must be given together"),
        (["--spatialise", "1", "--bank", "nowhere.npz"], "nowhere.npz"),
        (["--engine", "steam"], "`--engine` must be one of"),
        (["--workers", "0"], "`--workers`"),
        (["--csv", "nowhere.csv"], "`--csv`: file 'nowhere.csv' does not exist"),
    ]:
        assert build(material, out, *options) == 2, options
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and message in lines[0], lines
        assert not out.exists()


def test_a_full_disk_is_one_clear_line(material, tmp_path, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert build(material, tmp_path / "ssl") == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("No space left on device")
    assert build(material, tmp_path / "ssl") == 0
    assert json.loads((tmp_path / "ssl" / "build.json").read_text())["clip"] is None
