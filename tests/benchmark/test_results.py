"""Tables, breakdowns and figure of finished rows."""

import json

import numpy as np
import pytest

from keras_avssan.benchmark.figure import plot_selection
from keras_avssan.benchmark.results import TableResults
from keras_avssan.evaluation import Evaluation, SceneScores

pytestmark = pytest.mark.backend_agnostic

SCENES = 40
AZIMUTH, INTERFERER = np.full(SCENES, 60.0), np.full(SCENES, 120.0)


def evaluation(share):
    """The first share of the scenes is right to 2 degrees, the others are at the interferer."""
    right = np.arange(SCENES) < share * SCENES
    scores = SceneScores(AZIMUTH, INTERFERER, np.where(right, AZIMUTH + 2, INTERFERER))
    targets = ("dog", "bell") * (SCENES // 2)
    others = ("bell", "dog") * (SCENES // 2)
    return Evaluation(scores, targets, others, {"scenes": SCENES}, np.full(SCENES, 0.4)).to_dict()


def row(name, shares, **more):
    return {
        "name": name,
        "title": name.upper(),
        "kind": "audio-visual",
        "tables": [2],
        "prompt": "picture",
        "paper": [[2, 0.0, 16.59, 71.29]],
        "left_out": None,
        "steps": 7,
        "trainable_parameters": 1234,
        "learning_rate": 0.003,
        "trials": [{"learning_rate": 0.003, "loss": 4.5678, "mae": 12.34}],
        "seconds": {"training": 61.0, "tests": 2.0},
        "evaluations": {level: evaluation(share) for level, share in shares.items()},
        **more,
    }


@pytest.fixture
def results():
    rows = [
        row("mine", {"0": 0.5, "-5": 0.5}),
        row("avssan_base", {"-5": 0.5, "0": 0.75}),
        {**row("avssan_text", {}, left_out="no words"), "evaluations": {}},
    ]
    return TableResults(2, rows)


def cells(markdown, part, title):
    lines = markdown.split(f"## {part}\n")[1].split("\n## ")[0].splitlines()
    return [c.strip() for line in lines if line.startswith(f"| {title} ") for c in line.split("|")]


def test_the_table(results):
    assert results.levels == ["0", "-5"]
    assert [entry["name"] for entry in results.rows] == ["avssan_base", "avssan_text", "mine"]
    table = results.markdown()
    ours = cells(table, "0 dB", "AVSSAN_BASE")
    assert ours[2].startswith("75.0 % (") and ours[3].startswith("16.5° (")
    assert ours[4].startswith("75.0 %") and ours[6].startswith("100.0 %")
    assert ours[7] == "2.0° (2.0–2.0)"
    assert ours[8:10] == ["–", "16.59°, 71.29 %"]
    theirs = cells(table, "0 dB", "MINE")
    assert theirs[8].startswith("+25.0 (+1")
    assert cells(table, "−5 dB", "MINE")[8] == "+0.0 (+0.0 to +0.0)"
    assert cells(table, "−5 dB", "MINE")[9] == "–"
    blind = cells(table, "0 dB", "random source, exact angles")
    assert blind[2:7] == ["50.0 %", "30.0°", "50.0 %", "50.0 %", "100.0 %"]
    cost = cells(table, "Training", "MINE")
    assert cost[2:] == ["1,234", "7", "0.003", "0.003: 4.568, 12.3°", "–", "61 s", "2 s", ""]
    assert "- AVSSAN_TEXT: no words" in table


def test_the_same_for_programs(results):
    content = results.to_dict()
    mine = content["rows"][2]
    assert mine["scores"]["0"]["selection"]["mean"] == 0.5
    difference = mine["reference_minus_row"]["0"]["selection"]
    assert difference["mean"] == 0.25 and difference["interval"][0] > 0
    assert content["rows"][0]["reference_minus_row"] == {}
    assert content["random_source_baseline"]["0"]["mae"] == 30


def test_rows_of_earlier_versions_are_read(results):
    rows = json.loads(json.dumps(results.rows).replace("random_source_baseline", "blind_choice"))
    before = TableResults(2, rows)
    assert before.to_dict() == results.to_dict()
    assert before.markdown() == results.markdown()


def test_the_breakdown(results):
    text = results.breakdown()
    assert "| System | 60–180° (40 scenes) |" in text
    assert "| System | 0.35–0.5 s (40 scenes) |" in text
    assert "| bell (20) | 75 % | 50 % |" in text
    assert text.count("### AVSSAN_BASE: the hardest and the easiest class pairs") == 2
    assert "| bell | dog | 20 | 75.0 %" in text


def test_without_the_reference_or_any_row():
    table = TableResults(2, [row("mine", {"0": 0.5})]).markdown()
    assert cells(table, "0 dB", "MINE")[8] == "–"
    assert TableResults(2, []).markdown().startswith("# Table 2")


def test_the_figure(results):
    figure = plot_selection(results)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["MINE", "AVSSAN_BASE"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0 dB", "−5 dB"]
    points = [line.get_xdata() for line in axes.lines if line.get_linestyle() == "None"]
    assert any(np.allclose(point, [50, 75]) for point in points if len(point) == 2)


def test_networks_that_have_not_learned_are_named():
    answers = np.full(SCENES, 148.0)
    answers[:1] = 60.0
    constant = evaluation(0.5)
    constant["per_scene"]["estimate"] = answers.tolist()
    rows = [
        row("blank", {"0": 0.5}, evaluations={"0": constant}),
        row("untrained", {"0": 0.5}, evaluations={"0": constant}, steps=0),
        row("mine", {"0": 0.5}),
    ]
    table = TableResults(2, rows).markdown()
    assert "| BLANK (has not learned: 148° in 98 % of the scenes) |" in table
    assert "| UNTRAINED |" in table and "| MINE |" in table


def test_levels_of_table_3():
    rows = [
        row("mine", {"STARSS23, trained on it": 0.75, "STARSS23": 0.5}, paper=[[3, None, 27.0, 52]])
    ]
    results = TableResults(3, rows)
    assert results.levels == ["STARSS23", "STARSS23, trained on it"]
    for level, share in (("STARSS23", "50.0 %"), ("STARSS23, trained on it", "75.0 %")):
        ours = cells(results.markdown(), level, "MINE")
        assert ours[2].startswith(share) and ours[9] == "27.00°, 52.00 %"


def test_trials_of_earlier_versions_have_no_loss():
    earlier = row("mine", {"0": 0.5}, trials=[{"learning_rate": 0.003, "mae": 12.34}])
    assert "| 0.003: 12.3° |" in TableResults(2, [earlier]).markdown()
