"""`benchmarks/copies.py` counts what is found, and what is taken for a copy."""

import importlib
import pathlib

import numpy as np
import pytest

from keras_avssan.data.curation.near_duplicates import Copy

pytestmark = [pytest.mark.backend_agnostic, pytest.mark.extensive]

SCRIPTS = pathlib.Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("copies")


def test_pairs_are_counted_once(script):
    # Originals 0 to 5, of which 0 and 3 are copied as 6 and 7; 3 and 4 are alike.
    found = [
        Copy(first, second, "near-duplicate", 1.0) for first, second in ((0, 6), (4, 7), (1, 7))
    ]
    row = script._count(found, 6, 2, 3, known=[Copy(3, 4, "near-duplicate", 1.0)])
    assert row == {"found": (1, 2), "alarms": [(1, 3)], "pairs": 10}
    assert (
        script.table({"change": row}, "things").splitlines()[-1] == "| change | 1 of 2 | 1 | 10 |"
    )


def test_changed_copies_are_sought(script, catalog):
    few = catalog.select(classes=["dog", "bell"])
    rows = script.sound_rows([few.load_audio(clip) for clip in few.clips[::6]], every=4)
    assert rows["20 dB quieter"]["found"] == rows["inverted"]["found"] == (1, 1)
    assert rows["5 % faster"]["found"] == (0, 1)
    assert set(rows) == {*script.sound_changes(), script.ORIGINALS}
    pictures = [few.load_image(picture, 96) for picture in few.pictures[::6]]
    rows = script.picture_rows(pictures, every=2)
    assert rows["half as wide and high"]["found"] == (2, 2)
    assert not any(row["alarms"] for row in rows.values())


def test_changes_change(script):
    rng = np.random.default_rng(0)
    sound = 0.1 * rng.standard_normal(16000, "float32")
    for name, change in script.sound_changes().items():
        changed = change(sound)
        assert len(changed) != len(sound) or not np.array_equal(changed, sound), name
    picture = script.Image.fromarray(rng.integers(0, 256, (60, 80, 3), "uint8"))
    for name, change in script.picture_changes().items():
        changed = np.asarray(change(picture))
        assert changed.shape != (60, 80, 3) or not np.array_equal(changed, picture), name
