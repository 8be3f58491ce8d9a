"""Scores of a set of scenes."""

import json

import numpy as np
import pytest

from keras_avssan.evaluation import (
    Evaluation,
    SceneScores,
    bootstrap_interval,
    paired_difference,
)
from keras_avssan.evaluation.absent_targets import auroc

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture
def scores():
    return SceneScores(
        azimuth=[90.0, 20.0, 150.0, 60.0],
        interferer_azimuth=[30.0, 80.0, 140.0, 120.0],
        estimate=[92.0, 78.0, 144.0, 67.0],
    )


def test_scores_by_hand(scores):
    means = scores.means()
    assert scores.selected.tolist() == [True, False, False, True]
    assert means["selection"] == 0.5
    assert means["mae"] == (2 + 58 + 6 + 7) / 4
    assert means["acc_5deg"] == 0.25
    assert means["acc_10deg"] == 0.75
    assert means["selected_mae"] == (2 + 7) / 2
    assert means["nearest_acc_5deg"] == 0.75


def test_random_source_baseline_is_the_mean_over_both_choices(scores):
    baseline = scores.random_source_baseline()
    outcomes = [
        SceneScores(scores.azimuth, scores.interferer_azimuth, choice).means()
        for choice in (scores.azimuth, scores.interferer_azimuth)
    ]
    for name in ("selection", "mae", "acc_5deg", "acc_10deg", "acc_20deg"):
        assert np.isclose(baseline[name], np.mean([outcome[name] for outcome in outcomes]))


def test_random_source_baseline_of_independent_uniform_directions():
    rng = np.random.default_rng(0)
    azimuths = rng.uniform(0.5, 180, (2, 200_000))
    baseline = SceneScores(*azimuths, estimate=azimuths[0]).random_source_baseline()
    assert abs(baseline["mae"] - 30) < 0.2
    assert abs(baseline["acc_5deg"] - 0.53) < 0.005


def test_no_scene_selected_gives_nan():
    means = SceneScores([10.0], [90.0], [90.0]).means()
    assert np.isnan(means["selected_mae"])


def test_bootstrap_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        low, high = bootstrap_interval(rng.random(60) < 0.7, resamples=300, seed=trial)
        covered += low <= 0.7 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_bootstrap_interval_leaves_out_nan_and_is_seeded():
    values = [1.0, np.nan, 1.0]
    assert bootstrap_interval(values) == (1.0, 1.0)
    numbers = np.arange(50.0)
    assert bootstrap_interval(numbers, seed=3) == bootstrap_interval(numbers, seed=3)
    with pytest.raises(ValueError, match="`values`"):
        bootstrap_interval([np.nan])


@pytest.mark.parametrize(
    ("azimuth", "interferer", "estimate", "name"),
    [
        ([], [], [], "azimuth"),
        ([1.0], [np.inf], [1.0], "interferer_azimuth"),
        ([np.nan], [1.0], [1.0], "azimuth"),
        ([1.0], [2.0], [1.0, 2.0], "same length"),
        ([[1.0]], [2.0], [1.0], "azimuth"),
    ],
)
def test_bad_input(azimuth, interferer, estimate, name):
    with pytest.raises(ValueError, match=name):
        SceneScores(azimuth, interferer, estimate)


def test_scenes_without_an_interferer_have_no_selection():
    scores = SceneScores([90.0, 20.0, 60.0], [np.nan, 80.0, 50.0], [94.0, 70.0, 63.0])
    per_scene, means = scores.per_scene(), scores.means()
    np.testing.assert_array_equal(per_scene["selection"], [np.nan, 0, 1])
    np.testing.assert_array_equal(per_scene["selected_mae"], [np.nan, np.nan, 3])
    np.testing.assert_array_equal(per_scene["nearest_acc_5deg"], [1, 0, 1])
    assert means["selection"] == 0.5
    assert means["mae"] == (4 + 50 + 3) / 3
    baseline = scores.random_source_baseline()
    assert baseline["mae"] == pytest.approx((0 + 60 + 10) / 6)
    assert baseline["acc_10deg"] == pytest.approx((1 + 0.5 + 1) / 3)
    alone = SceneScores([90.0], [np.nan], [91.0])
    assert np.isnan(alone.means()["selection"])
    assert np.isnan(alone.random_source_baseline()["selection"])
    assert alone.means()["acc_5deg"] == 1.0


def test_a_table_without_any_interferer_has_gaps():
    scores = SceneScores([90.0, 20.0], [np.nan, np.nan], [94.0, 21.0])
    evaluation = Evaluation(scores, ("bell", "dog"), (None, None), {})
    rows = evaluation.table().splitlines()
    assert rows[2].split() == ["selection", "–", "–", "–"]
    assert rows[3].split()[:2] == ["MAE", "2.5°"] and rows[3].endswith(" 0.0°")
    assert "| selection | – | – | – |" in evaluation._repr_markdown_().splitlines()
    assert evaluation.summary()["per_class"]["dog"] == {"scenes": 1, "selection": None, "mae": 1.0}


def test_of_several_interferers_the_nearest_to_the_estimate_counts():
    scores = SceneScores(
        [90.0, 20.0, 60.0, 10.0],
        [[30.0, 100.0], [80.0, 150.0], [50.0, np.nan], [np.nan, np.nan]],
        [97.0, 30.0, 63.0, 12.0],
    )
    assert scores.selected.tolist() == [False, True, True, False]
    np.testing.assert_array_equal(scores.separation, [10, 60, 10, np.nan])
    per_scene = scores.per_scene()
    np.testing.assert_array_equal(per_scene["selection"], [0, 1, 1, np.nan])
    np.testing.assert_array_equal(per_scene["nearest_acc_5deg"], [1, 0, 1, 1])
    baseline = scores.random_source_baseline()
    assert baseline["selection"] == pytest.approx((1 / 3 + 1 / 3 + 1 / 2) / 3)
    assert baseline["mae"] == pytest.approx(((60 + 10) / 3 + (60 + 130) / 3 + 10 / 2 + 0) / 4)
    assert baseline["acc_10deg"] == pytest.approx((2 / 3 + 1 / 3 + 1 + 1) / 4)
    evaluation = Evaluation(scores, ("a",) * 4, ("b + c", "b + c", "b", None), {})
    again = Evaluation.from_dict(evaluation.to_dict())
    np.testing.assert_array_equal(again.scores.interferer_azimuth, scores.interferer_azimuth)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"confidence": 0}, "confidence"),
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": 95}, "confidence"),
        ({"confidence": float("nan")}, "confidence"),
        ({"confidence": "0.9"}, "confidence"),
        ({"resamples": 0}, "resamples"),
        ({"resamples": 1.5}, "resamples"),
    ],
)
def test_intervals_that_are_none_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        bootstrap_interval([1.0, 2.0], **arguments)
    with pytest.raises(ValueError, match=f"`{name}`"):
        auroc([1.0, 2.0], [0.0, 1.0], **arguments)


@pytest.mark.parametrize("angle", [-0.5, 180.5])
@pytest.mark.parametrize("place", range(3))
def test_angles_of_another_convention_are_refused(place, angle):
    angles = [[90.0], [30.0], [92.0]]
    angles[place] = [angle]
    with pytest.raises(ValueError, match=f"from 0 to 180 degrees.* with {angle}"):
        SceneScores(*angles)


def test_a_file_with_the_keys_of_earlier_versions_is_read(tmp_path):
    overlap = {"known": True, "scenes": 1.0, "rooms": {"in_training": 1, "all": 2}}
    settings = {"microphone_spacing_m": 0.2, "model_spacing_m": 0.08, "training_overlap": overlap}
    scores = SceneScores([90.0], [30.0], [94.0])
    evaluation = Evaluation(scores, ("bell",), ("dog",), settings)
    text = json.dumps(evaluation.to_dict())
    for today, before in (
        ("random_source_baseline", "blind_choice"),
        ("model_spacing_m", "told_spacing_m"),
        ("in_training", "of_training"),
    ):
        assert f'"{today}"' in text
        text = text.replace(f'"{today}"', f'"{before}"')
    (tmp_path / "scores.json").write_text(text)
    loaded = Evaluation.load(tmp_path / "scores.json")
    assert loaded.to_dict() == evaluation.to_dict()
    assert "spacing given to the model 8 cm" in loaded.table()
    assert "1 of 2 rooms were in the training" in loaded.table()
    assert paired_difference(loaded, evaluation, resamples=10)["mae"]["mean"] == 0


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("azimuth", [90.0, "9x"], r"`per_scene.azimuth\[1\]` must be a number .*='9x'"),
        ("estimate", [[90.0], [1.0, 2.0]], "`per_scene.estimate` must hold lists of equal length"),
        ("interferer_azimuth", [{}, 1.0], r"`per_scene.interferer_azimuth\[0\]` must be a"),
        ("estimate", [True, 1.0], r"`per_scene.estimate\[0\]` must be a number"),
        ("t60", [0.3, "long"], r"`per_scene.t60\[1\]` must be a number .*='long'"),
    ],
)
def test_a_damaged_number_of_an_evaluation_is_named(name, values, message, tmp_path):
    path = tmp_path / "scores.json"
    scores = SceneScores([90.0, 20.0], [30.0, np.nan], [92.0, 78.0])
    Evaluation(scores, ("a", "b"), ("b", None), {}, np.array([0.3, 0.4])).save(path)
    content = json.loads(path.read_text())
    assert Evaluation.load(path).to_dict() == content
    content["per_scene"][name] = values
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"{message}.* Received: path='.*scores\.json'"):
        Evaluation.load(path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"per_scene": {}}', '{"per_scene": []}'])
def test_a_damaged_evaluation_is_named(content, tmp_path):
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(ValueError, match=r"complete file of .* Received: path='.*scores\.json'"):
        Evaluation.load(tmp_path / "scores.json")
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        Evaluation.load(tmp_path / "none.json")
