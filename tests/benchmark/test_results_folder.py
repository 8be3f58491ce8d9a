"""A folder of results belongs to one configuration."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_avssan._internal.atomic_files import write_json
from keras_avssan.benchmark.train_and_score import ResultsFolder

pytestmark = pytest.mark.backend_agnostic

CONFIG = {"budget": 10, "snr": (0.0, -5.0), "classes": ["a"] * 40}


def test_it_is_started_and_resumed(tmp_path):
    first = ResultsFolder(tmp_path / "new", CONFIG)
    assert json.loads((first.path / "config.json").read_text())["snr"] == [0.0, -5.0]
    write_json(first.row_path("a", 2), {"name": "a", "tables": [2, 4]})
    write_json(first.row_path("b", 2), {"name": "b", "tables": [2]})
    write_json(first.row_path("a", 3), {"name": "a", "tables": [2, 3]})
    again = ResultsFolder(tmp_path / "new", dict(CONFIG))
    assert [row["name"] for row in again.rows(2)] == ["a", "b"]
    assert [row["name"] for row in again.rows(4)] == ["a"]
    assert [row["tables"] for row in again.rows(3)] == [[2, 3]]
    # Nothing temporary is left.
    assert not [p for p in first.path.rglob("*") if p.suffix == ".part"]


def test_another_configuration_is_refused_and_named(tmp_path):
    ResultsFolder(tmp_path / "new", CONFIG)
    for changes, named in (
        ({"budget": 20}, "`budget` is 10 there, but 20 now"),
        ({"more": 1}, "`more` is None there, but 1 now"),
        ({"classes": ["b"]}, r"`classes` is \[.*\.\.\. there, but \['b'\] now"),
    ):
        with pytest.raises(ValueError, match=named):
            ResultsFolder(tmp_path / "new", {**CONFIG, **changes})


def test_of_processes_that_begin_at_once_one_wins(tmp_path):
    def begin(budget):
        try:
            ResultsFolder(tmp_path / "new", {"budget": budget})
        except ValueError:
            return None
        return budget

    with ThreadPoolExecutor(8) as pool:
        started = [budget for budget in pool.map(begin, [1, 2] * 8) if budget is not None]
    assert set(started) == {json.loads((tmp_path / "new" / "config.json").read_text())["budget"]}
    assert len(started) == 8


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="`out` must be new, empty or hold results"):
        ResultsFolder(tmp_path, CONFIG)
    with pytest.raises(ValueError, match="`out` must be a folder"):
        ResultsFolder(tmp_path / "letter.txt", CONFIG)
    # The remains of a run that was stopped early are not refused.
    (tmp_path / "partial" / "rooms").mkdir(parents=True)
    ResultsFolder(tmp_path / "partial", CONFIG)
    (tmp_path / "partial" / "config.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        ResultsFolder(tmp_path / "partial", CONFIG)
