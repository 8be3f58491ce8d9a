"""Scores of a selective localiser against NumPy."""

import keras
import numpy as np
import pytest

from keras_avssan.doa import (
    AngularAccuracy,
    AngularMAE,
    SelectedAngularMAE,
    SelectionRate,
    encode_azimuth,
)

METRICS = [AngularMAE(), AngularAccuracy(5), SelectionRate(), SelectedAngularMAE()]
PAIRWISE = [SelectionRate, SelectedAngularMAE]


@pytest.fixture
def scenes():
    """Random truths (target, interferer or NaN) and whole-degree estimates of 40 scenes."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 180, size=(40, 2)).astype("float32")
    truth[::5, 1] = np.nan
    near = truth[np.arange(40), np.where(np.isnan(truth[:, 1]), 0, rng.integers(0, 2, 40))]
    estimate = np.clip(np.round(near + rng.normal(scale=6, size=40)), 1, 180)
    return truth, estimate.astype("float32")


def numpy_scores(truth, estimate, weights=None):
    """The four scores, written out scene by scene."""
    weights = np.ones(len(truth)) if weights is None else weights
    rows = {"mae": [], "acc_5deg": [], "selection": [], "selected_mae": []}
    for (target, interferer), theta, weight in zip(truth, estimate, weights, strict=True):
        error = abs(theta - target)
        rows["mae"].append((error, weight))
        rows["acc_5deg"].append((error <= 5, weight))
        if not np.isnan(interferer):
            selected = error < abs(theta - interferer)
            rows["selection"].append((selected, weight))
            rows["selected_mae"].append((error, weight * selected))
    return {
        name: np.average([v for v, _ in row], weights=[w for _, w in row])
        for name, row in rows.items()
    }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("weighted", [False, True])
def test_score(metric, weighted, scenes):
    truth, estimate = scenes
    weights = np.random.default_rng(1).uniform(size=40).astype("float32") if weighted else None
    metric.reset_state()
    metric.update_state(truth, encode_azimuth(estimate), sample_weight=weights)
    expected = numpy_scores(truth, estimate, weights)[metric.name]
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_batches_accumulate_scene_by_scene(metric, scenes):
    truth, estimate = scenes
    posterior = keras.ops.convert_to_numpy(encode_azimuth(estimate))
    metric.reset_state()
    for part in (slice(0, 7), slice(7, 40)):
        metric.update_state(truth[part], posterior[part])
    expected = numpy_scores(truth, estimate)[metric.name]
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-5)
    metric.reset_state()
    assert np.isnan(float(metric.result()))


@pytest.mark.parametrize("metric", [AngularMAE(), AngularAccuracy()], ids=lambda m: m.name)
def test_the_target_alone_is_enough(metric, scenes):
    truth, estimate = scenes
    metric.update_state(truth[:, 0], encode_azimuth(estimate))
    alone = float(metric.result())
    metric.reset_state()
    metric.update_state(truth, encode_azimuth(estimate))
    assert alone == float(metric.result())


@pytest.mark.one_backend
def test_accuracy_counts_an_error_of_exactly_the_tolerance():
    posterior = encode_azimuth([90.0, 90.0, 90.0])
    for tolerance, expected in [(0, 1 / 3), (5, 2 / 3), (10, 1.0)]:
        metric = AngularAccuracy(tolerance)
        metric.update_state([90.0, 95.0, 100.0], posterior)
        assert metric.name == f"acc_{tolerance}deg"
        assert float(metric.result()) == pytest.approx(expected)


@pytest.mark.one_backend
def test_halfway_is_not_selected():
    metric = SelectionRate()
    metric.update_state([[80.0, 100.0]], encode_azimuth([90.0]))
    assert float(metric.result()) == 0.0


@pytest.mark.one_backend
def test_scenes_without_an_interferer_do_not_count():
    metric = SelectionRate()
    metric.update_state([[80.0, np.nan], [80.0, 20.0]], encode_azimuth([80.0, 80.0]))
    assert float(metric.result()) == 1.0
    metric.reset_state()
    metric.update_state([[80.0, np.nan]], encode_azimuth([80.0]))
    assert np.isnan(float(metric.result()))


def test_an_error_over_no_selected_scene_is_nan():
    metric = SelectedAngularMAE()
    metric.update_state([[170.0, 20.0]], encode_azimuth([10.0]))
    assert np.isnan(float(metric.result()))
    metric.update_state([[170.0, 20.0]], encode_azimuth([168.0]))
    assert float(metric.result()) == 2.0


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_scenes_without_weight_do_not_count(metric, scenes):
    truth, estimate = scenes
    metric.reset_state()
    metric.update_state(truth, encode_azimuth(estimate), sample_weight=np.zeros(40))
    assert np.isnan(float(metric.result()))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_the_state_of_replicas_merges_by_adding(metric, scenes):
    """Also if one of them has no scene that counts."""
    truth, estimate = scenes
    posterior = keras.ops.convert_to_numpy(encode_azimuth(estimate))
    total = [0.0, 0.0]
    for part in (slice(0, 1), slice(1, 40)):  # the first scene has no interferer
        metric.reset_state()
        metric.update_state(truth[part], posterior[part])
        total = [a + float(b) for a, b in zip(total, metric.variables, strict=True)]
    for variable, value in zip(metric.variables, total, strict=True):
        variable.assign(value)
    expected = numpy_scores(truth, estimate)[metric.name]
    np.testing.assert_allclose(float(metric.result()), expected, rtol=1e-5)


def test_ends_of_the_grid_do_not_wrap_around():
    metric = AngularMAE()
    metric.update_state([0.0, 180.0], encode_azimuth([180.0, 1.0]))
    assert float(metric.result()) == pytest.approx((180 + 179) / 2)


@pytest.mark.parametrize(
    "metric",
    [AngularMAE(name="a"), AngularAccuracy(7.5, name="b"), *(m(name="c") for m in PAIRWISE)],
    ids=lambda metric: type(metric).__name__,
)
def test_config_round_trip(metric):
    restored = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(restored) is type(metric)
    assert restored.get_config() == metric.get_config()


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match="`tolerance`"):
        AngularAccuracy(-1)


@pytest.mark.parametrize("metric_class", PAIRWISE)
def test_selection_needs_an_interferer(metric_class):
    with pytest.raises(ValueError, match=r"`y_true`.*\(batch, 2\)"):
        metric_class().update_state([90.0], encode_azimuth([90.0]))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_posterior_with_nan_makes_the_score_nan(metric):
    posterior = keras.ops.convert_to_numpy(encode_azimuth([30.0, 90.0])).copy()
    posterior[1] = np.nan
    metric.reset_state()
    metric.update_state([[30.0, 80.0], [90.0, 20.0]], posterior)
    assert np.isnan(float(metric.result()))


@pytest.mark.parametrize(
    ("truth", "posterior", "message"),
    [
        ((2, 3), (2, 180), r"`y_true`.*\(2, 3\)"),
        ((2, 2, 1), (2, 180), r"`y_true`.*\(2, 2, 1\)"),
        ((), (1, 180), r"`y_true`.*\(\)"),
        ((2,), (3, 180), r"`y_pred`.*\(3, 180\)"),
        ((2,), (2, 90), r"`y_pred`.*\(2, 90\)"),
        ((2,), (2,), r"`y_pred`.*shape=\(2,\)"),
    ],
)
def test_other_shapes_are_refused(truth, posterior, message):
    with pytest.raises(ValueError, match=message):
        AngularMAE().update_state(np.ones(truth), np.ones(posterior))


@pytest.mark.parametrize("metric", PAIRWISE)
def test_a_column_of_targets_holds_no_interferer(metric):
    with pytest.raises(ValueError, match="must have shape"):
        metric().update_state(np.ones((2, 1)), np.ones((2, 180)))
