"""Differences between two systems on the same scenes."""

import numpy as np
import pytest

from keras_avssan.evaluation import Evaluation, SceneScores, paired_difference

pytestmark = pytest.mark.backend_agnostic

SETTINGS = {"scenes": 4, "snr_db": (-5.0, 5.0), "prompt": "picture"}


def make(estimate, azimuth=(90.0, 20.0, 150.0, 60.0), settings=SETTINGS, classes=("a", "b") * 2):
    interferer = np.array([30.0, 80.0, 140.0, 120.0])
    scores = SceneScores(azimuth, interferer, estimate)
    return Evaluation(scores, classes, ("c",) * 4, settings)


def test_by_hand():
    first = make([92.0, 21.0, 144.0, 70.0])  # selected: 1 1 0 1
    second = make([31.0, 25.0, 141.0, 69.0])  # selected: 0 1 0 1
    difference = paired_difference(first, second)
    assert difference["selection"]["mean"] == 0.25
    assert difference["mae"]["mean"] == ((2 - 59) + (1 - 5) + (6 - 9) + (10 - 9)) / 4
    # Of the scenes that both selected.
    assert difference["selected_mae"]["mean"] == ((1 - 5) + (10 - 9)) / 2
    assert [difference[name]["scenes"] for name in ("mae", "selected_mae")] == [4, 2]
    low, high = difference["selection"]["interval"]
    assert low == 0.0 and high > 0.25
    back = paired_difference(second, first)["mae"]["interval"]
    assert back == pytest.approx([-bound for bound in reversed(difference["mae"]["interval"])])
    same = paired_difference(first, first)
    assert all(entry["interval"] == [0, 0] for entry in same.values())


def test_no_scene_in_common_gives_none():
    first, second = make([30.0, 20.0, 140.0, 120.0]), make([90.0, 80.0, 140.0, 120.0])
    assert paired_difference(first, second)["selected_mae"] is None


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered, widths = 0, []
    scenes = 80
    for trial in range(200):
        # Half of the scenes are hard for both; one selects 0.7 and the other 0.6 of the rest.
        hard = rng.random(scenes) < 0.5
        azimuth, interferer = np.full(scenes, 60.0), np.full(scenes, 120.0)
        settings = {"scenes": scenes}
        systems = []
        for rate in (0.7, 0.6):
            right = ~hard & (rng.random(scenes) < rate)
            scores = SceneScores(azimuth, interferer, np.where(right, azimuth, interferer))
            systems.append(Evaluation(scores, ("a",) * scenes, ("b",) * scenes, settings))
        entry = paired_difference(*systems, resamples=300, seed=trial)["selection"]
        low, high = entry["interval"]
        covered += low <= 0.05 <= high
        widths.append(high - low)
    assert 0.89 <= covered / 200 <= 0.99
    # By hand: the standard deviation of a scene's difference is sqrt(0.5 * 0.46 - 0.05**2).
    expected = 2 * 1.96 * np.sqrt((0.5 * 0.46 - 0.05**2) / scenes)
    assert np.mean(widths) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"azimuth": (90.0, 20.0, 150.0, 61.0)}, "azimuths"),
        ({"classes": ("a",) * 4}, "classes"),
        ({"settings": {**SETTINGS, "snr_db": 0.0}}, "snr_db"),
        ({"settings": {}}, "scenes"),
    ],
)
def test_other_scenes_are_refused(changes, named):
    estimate = [92.0, 21.0, 144.0, 70.0]
    with pytest.raises(ValueError, match=named):
        paired_difference(make(estimate), make(estimate, **changes))


def test_evaluations_of_another_day_model_and_version_are_of_the_same_scenes():
    """Earlier versions counted the rooms that there were, and named no `run`."""
    estimate = [92.0, 21.0, 144.0, 70.0]
    new = {**SETTINGS, "rooms": 3, "run": {"date": "2026-01-01", "model": "a", "command": "b"}}
    stored = make(estimate, settings={**SETTINGS, "rooms": 100})
    assert paired_difference(make(estimate, settings=new), stored)["mae"]["mean"] == 0
    other = {**new, "run": {**new["run"], "model": "c"}}
    assert paired_difference(make(estimate, settings=new), make(estimate, settings=other))


def test_another_prompt_and_lists_in_place_of_tuples_are_the_same_scenes():
    estimate = [92.0, 21.0, 144.0, 70.0]
    stored = make(estimate, settings={**SETTINGS, "snr_db": [-5.0, 5.0], "prompt": "recording"})
    assert paired_difference(make(estimate), stored)["mae"]["mean"] == 0
