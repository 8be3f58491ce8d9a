"""The page on real rooms: its code runs, and its numbers are those of the code."""

import pathlib
import re
import runpy

import numpy as np
import pytest

from keras_avssan.data import STARSS23, STARSS23_CLASSES
from keras_avssan.data.starss23.microphone_pair import MicrophonePair

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).parents[3]
PAGE = (ROOT / "docs/starss23.md").read_text()


@pytest.mark.usefixtures("pictures")
def test_its_blocks_run(writer, sound, render, model_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    [class_map] = re.findall(r"```\n(class,pictures\n.*?)```", PAGE, re.DOTALL)
    (tmp_path / "classes.csv").write_text(class_map)
    sounds = [sound("bell", 0, 100, 75)]
    audio = render(sounds, 10.0)
    writer.recording(sounds=sounds, audio=audio)
    writer.recording("fold3_room1_mix001", sounds, folder="dev-train-sony", audio=audio)
    (tmp_path / "my_model").symlink_to(model_folder)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    assert re.search(r"^usable +1$", capsys.readouterr().out, re.M)
    assert names["segment"].azimuth == pytest.approx(30.0)
    assert names["theta"] == names["evaluation"].scores.estimate


def test_its_classes_are_in_their_order():
    listed = re.search(r"thirteen classes: (.*?)\.", PAGE, re.DOTALL)
    assert tuple(listed[1].replace("\n", " ").split(", ")) == STARSS23_CLASSES


def test_its_numbers_are_those_of_the_benchmark(capsys):
    runpy.run_path(str(ROOT / "benchmarks/rigid_sphere.py"), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert f"fitted: {100 * MicrophonePair().spacing:.2f} cm, distance 6.88 cm" in printed
    for direction in ("0°", "30°", "60°"):
        [row] = [line for line in printed if line.startswith(f"| {direction} |")]
        assert row in PAGE
    cells = [
        re.sub(r"[*]|, the distance|, fitted to the phases below 8 kHz", "", line)
        for line in PAGE.splitlines()
    ]
    for spacing in ("6.88", "7.50", "7.97", "9.00", "10.00"):
        [row] = [line for line in printed if line.startswith(f"| {spacing} cm |")]
        assert row in cells


def test_no_annotated_segment_need_be_left_out(writer, sound):
    moving = tuple(np.linspace(-90, 90, 20))
    people = [sound("clapping", 0, 20, moving), sound("clapping", 0, 20, 100, number=1)]
    writer.recording(sounds=people, seconds=2.0)
    writer.recording("fold4_room23_mix002", [sound("knock", 3, 4, 0)], 2.0)
    dataset = STARSS23(
        writer.root, duration=2.0, max_motion=None, allow_same_class=True, min_activity=0.0
    )
    assert len(dataset) == 2
