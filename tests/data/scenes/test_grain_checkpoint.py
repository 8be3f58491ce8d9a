"""A Grain iterator resumes where a process was killed."""

import importlib
import itertools
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.backend_agnostic

FOLDER = pathlib.Path(__file__).parent


@pytest.fixture
def make_iterator(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("read_batches").make_iterator


@pytest.mark.extensive
def test_a_killed_reader_goes_on_with_the_next_batch(make_iterator, tmp_path):
    note = tmp_path / "position.json"
    reader = subprocess.Popen(
        [sys.executable, FOLDER / "read_batches.py", note], stdout=subprocess.PIPE
    )
    try:
        for _ in range(5):
            assert reader.stdout.readline()
    finally:
        reader.kill()
    assert reader.wait() == -9
    position = json.loads(note.read_text())
    assert position["read"] >= 5
    resumed = make_iterator()
    resumed.set_state(position["state"])
    undisturbed = itertools.islice(make_iterator(), position["read"] - 1, position["read"] + 4)
    first, *expected = [inputs["audio"] for inputs, _ in undisturbed]
    assert first[0, 0, 0] == pytest.approx(position["first"])
    actual = [inputs["audio"] for inputs, _ in itertools.islice(resumed, 4)]
    np.testing.assert_array_equal(actual, expected)
    assert len({audio.tobytes() for audio in actual}) == 4
