"""Simulated recordings in the layout of STARSS23."""

import pathlib
import runpy
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.classical import SRPPHAT
from keras_avssan.data import STARSS23, STARSS23_CLASSES, ClassFolders
from keras_avssan.data.starss23.annotations import read_events
from keras_avssan.data.starss23.segment_prompts import read_class_map

pytestmark = pytest.mark.backend_agnostic

SCRIPT = pathlib.Path(__file__).parents[3] / "benchmarks/starss23_material.py"


@pytest.fixture
def write(tmp_path, monkeypatch):
    data = tmp_path / "sounds"
    rng = np.random.default_rng(0)
    for name in ("bell", "bird", "dog"):
        (data / name).mkdir(parents=True)
        for number in range(14):
            path = data / name / str(number)
            soundfile.write(f"{path}.wav", 0.1 * rng.standard_normal(16000), 16000)
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), "uint8")).save(f"{path}.png")

    def run(*arguments, classes=("bell", "bird", "dog")):
        monkeypatch.setattr(
            sys,
            "argv",
            [
                *("material", "--data", str(data), "--out", str(tmp_path / "material")),
                *("--classes", *classes, "--seconds", "6", "--places", "2", *arguments),
            ],
        )
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return tmp_path / "material"

    return run


def test_recordings_are_where_the_annotation_says(write):
    root = write("--train", "2", "--test", "1", "--tracks", "1")
    assert read_class_map(root / "classes.csv") == {
        name: [chosen]
        for name, chosen in zip(STARSS23_CLASSES, ("bell", "bird", "dog"), strict=False)
    }
    dataset = STARSS23(root, split="train", duration=1.0, max_motion=5.0, baffle="open")
    assert len(dataset.recordings) == 2
    assert len(STARSS23(root, split="test", duration=1.0, baffle="open").recordings) == 1
    assert set(dataset.classes) <= set(STARSS23_CLASSES[:3]) and len(dataset) > 4
    method = SRPPHAT(microphone_spacing=dataset.microphone_spacing)
    audio = [dataset.load_audio(segment) for segment in dataset.segments]
    found = np.array([float(np.squeeze(method.localize(one))) for one in audio])
    errors = np.abs(found - [segment.azimuth for segment in dataset.segments])
    assert np.median(errors) < 12  # echoes, and a pair of 7 cm


def test_tracks_never_play_the_same_class(write):
    root = write("--train", "1", "--test", "1", "--seconds", "12")
    [path] = (root / "metadata_dev/dev-train-sim").iterdir()
    events = read_events(path)
    entries = list(zip(events.frame, events.class_index, strict=True))
    assert len(set(entries)) == len(entries) and max(events.frame) == 119
    assert max(np.bincount(events.frame)) == 2


def test_wrong_classes(write, capsys):
    with pytest.raises(SystemExit):
        write(classes=("bell", "dog"))
    assert "more than the 2 tracks" in capsys.readouterr().err


def test_splits_keep_recordings_apart(write, monkeypatch):
    seen = {"train": set(), "val": set()}
    load = ClassFolders.load_audio

    def watched(catalog, clip):
        seen[clip.split].add(clip.id)
        return load(catalog, clip)

    monkeypatch.setattr(ClassFolders, "load_audio", watched)
    write("--train", "1", "--test", "0")
    assert seen["train"] and not seen["val"]
    write("--train", "0", "--test", "1")
    assert seen["val"] and not seen["train"] & seen["val"]
