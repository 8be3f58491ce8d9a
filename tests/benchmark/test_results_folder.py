"""A folder of results belongs to one configuration."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_avssan._internal.atomic_files import write_json
from keras_avssan.benchmark.train_and_score import ResultsFolder

pytestmark = pytest.mark.backend_agnostic

ROW = {"name": "a", "title": "A", "tables": [2], "paper": [], "left_out": "no words"}
SCORED = {
    **ROW,
    **{"left_out": None, "seconds": {}, "steps": 0},
    "evaluations": {
        "0": {
            "settings": {},
            "per_scene": {
                **{"azimuth": [90.0], "interferer_azimuth": [None], "estimate": [91.0]},
                **{"target_class": ["a"], "interferer_class": [None]},
            },
        }
    },
}
TRIAL = {"learning_rate": 0.1, "mae": 3.0, "seconds": 1.0}
CONFIG = {"budget": 10, "snr": (0.0, -5.0), "classes": ["a"] * 40}


def test_it_is_started_and_resumed(tmp_path):
    first = ResultsFolder(tmp_path / "new", CONFIG)
    assert json.loads((first.path / "config.json").read_text())["snr"] == [0.0, -5.0]
    for name, table, tables in (("a", 2, [2, 4]), ("b", 2, [2]), ("a", 3, [2, 3])):
        write_json(first.row_path(name, table), {**ROW, "name": name, "tables": tables})
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


def with_estimate(value):
    row = json.loads(json.dumps(SCORED))
    row["evaluations"]["0"]["per_scene"]["estimate"] = [value]
    return row


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "`name` must be of type str, and is None"),
        ({**ROW, "tables": 2}, "`tables` must be of type list, and is 2"),
        ({k: v for k, v in ROW.items() if k != "left_out"}, "it has no `left_out`"),
        ({**SCORED, "steps": "many"}, "`steps` must be of type int, and is 'many'"),
        ({**SCORED, "evaluations": 3}, "`evaluations` must be of type dict, and is 3"),
        (with_estimate("9x"), r"`evaluations` of 0: `per_scene.estimate\[0\]` must be a number"),
    ],
)
def test_a_damaged_row_names_file_and_entry(row, message, tmp_path):
    folder = ResultsFolder(tmp_path / "new", CONFIG)
    write_json(folder.row_path("a", 2), SCORED)
    assert folder.rows(2) == [SCORED]
    write_json(folder.row_path("a", 2), row)
    with pytest.raises(ValueError, match=rf"rows/a\.json' is damaged: {message}"):
        folder.rows(2)


@pytest.mark.parametrize(
    ("trials", "message"),
    [
        ({"mae": 1.0}, "it must hold a list of trials"),
        ([TRIAL, {**TRIAL, "mae": "low"}], "`mae` of trial 1 must be a number, and is 'low'"),
        ([3], "`learning_rate` of trial 0 must be a number, and is None"),
    ],
)
def test_damaged_trials_name_file_and_entry(trials, message, tmp_path):
    folder = ResultsFolder(tmp_path / "new", CONFIG)
    assert folder.trials("a") == []
    write_json(folder.trials_path("a"), [TRIAL])
    assert folder.trials("a") == [TRIAL]
    write_json(folder.trials_path("a"), trials)
    with pytest.raises(ValueError, match=rf"trials/a\.json' is damaged: {message}"):
        folder.trials("a")


def test_a_damaged_training_names_file_and_entry(tmp_path):
    folder = ResultsFolder(tmp_path / "new", CONFIG)
    assert folder.training("a") is None
    training = {"trials": [], "steps": 2, "trainable_parameters": 5, "seconds": {}}
    write_json(folder.training_path("a"), training)
    assert folder.training("a") == training
    write_json(folder.training_path("a"), {**training, "seconds": None})
    with pytest.raises(ValueError, match=r"models/a\.json' is damaged: `seconds` must be of type"):
        folder.training("a")
