"""Scores by class pair, by angle between the sources and by reverberation time."""

import json

import numpy as np
import pytest

from keras_avssan.evaluation import Evaluation, SceneScores

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture
def evaluation():
    scores = SceneScores(
        azimuth=[90.0, 20.0, 150.0, 60.0, 10.0],
        interferer_azimuth=[80.0, 35.0, 90.0, np.nan, 180.0],
        estimate=[93.0, 34.0, 144.0, 67.0, 11.0],
    )
    return Evaluation(
        scores,
        ("dog", "dog", "bell", "bell", "dog"),
        ("bell", "bell", "dog", None, "rain"),
        {"scenes": 5, "snr_db": (0.0, 0.0), "prompt": "picture"},
        [0.2, 0.35, 0.4, 0.9, 0.65],
    )


def test_by_class_pair(evaluation):
    pairs = {
        (group["target"], group["interferer"]): group
        for group in evaluation.summary()["by_class_pair"]
    }
    assert list(pairs) == [("bell", None), ("bell", "dog"), ("dog", "bell"), ("dog", "rain")]
    dog = pairs["dog", "bell"]
    assert dog["scenes"] == 2
    assert dog["selection"] == {"mean": 0.5, "interval": [0.0, 1.0]}
    assert dog["mae"]["mean"] == (3 + 14) / 2
    assert dog["acc_5deg"]["mean"] == 0.5
    assert pairs["bell", None]["selection"] is None
    assert pairs["bell", None]["mae"]["mean"] == 7


def test_by_separation_bounds_belong_to_the_upper_bin_and_180_counts(evaluation):
    groups = evaluation.summary()["by_separation"]
    # 10; 15 is in the second bin; 60 and 170 in the last; without an interferer in none.
    assert [(g["from"], g["to"], g["scenes"]) for g in groups] == [
        (0, 15, 1),
        (15, 30, 1),
        (60, 180, 2),
    ]
    assert [g["selection"]["mean"] for g in groups] == [1, 0, 1]
    assert groups[2]["mae"]["mean"] == (6 + 1) / 2
    apart = SceneScores([0.0], [180.0], [0.0])
    (group,) = Evaluation(apart, ("a",), ("b",), {}).summary()["by_separation"]
    assert (group["from"], group["scenes"]) == (60, 1)


def test_by_t60(evaluation):
    groups = evaluation.summary()["by_t60"]
    assert [(g["from"], g["to"], g["scenes"]) for g in groups] == [
        (0, 0.35, 1),
        (0.35, 0.5, 2),
        (0.65, None, 2),
    ]
    assert groups[1]["mae"]["mean"] == (14 + 6) / 2
    assert groups[2]["selection"]["mean"] == 1  # of the one that has an interferer
    unknown = Evaluation(evaluation.scores, ("a",) * 5, ("b",) * 5, {})
    assert unknown.summary()["by_t60"] == []


def test_saved_and_loaded_it_is_the_same(evaluation, tmp_path):
    evaluation.save(tmp_path / "scores.json")
    text = (tmp_path / "scores.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    loaded = Evaluation.load(tmp_path / "scores.json")
    np.testing.assert_array_equal(
        loaded.scores.interferer_azimuth, evaluation.scores.interferer_azimuth
    )
    assert loaded.interferer_classes == evaluation.interferer_classes
    np.testing.assert_array_equal(loaded.t60, evaluation.t60)
    assert json.loads(json.dumps(loaded.to_dict())) == json.loads(text)
    (tmp_path / "other.json").write_text('{"scores": {}}')
    with pytest.raises(ValueError, match="per_scene"):
        Evaluation.load(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("targets", "interferers", "t60", "named"),
    [
        (("a",), ("b", "b"), None, "target_classes"),
        (("a", "a"), ("b",), None, "interferer_classes"),
        (("a", "a"), ("b", "b"), [0.5], "t60"),
    ],
)
def test_one_entry_a_scene(targets, interferers, t60, named):
    scores = SceneScores([1.0, 2.0], [3.0, 4.0], [1.0, 2.0])
    with pytest.raises(ValueError, match=f"`{named}` must hold one entry"):
        Evaluation(scores, targets, interferers, {}, t60)
