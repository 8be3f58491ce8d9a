"""Transitions of directions, of presence, and what the arguments may be."""

import numpy as np
import pytest

from keras_avssan.tracking import MotionModel

pytestmark = pytest.mark.backend_agnostic

DEGREES = np.arange(1, 181)


@pytest.mark.parametrize("speed", [0.0, 0.3, 10.0, 500.0])
def test_rows_are_probabilities(speed):
    matrix = MotionModel(speed=speed).transition(0.25)
    assert matrix.shape == (180, 180) and matrix.min() >= 0.0
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-12)


def test_a_source_at_rest_stays():
    np.testing.assert_array_equal(
        MotionModel(speed=0.0, jump_rate=0.0).transition(0.25), np.eye(180)
    )


@pytest.mark.parametrize("seconds", [0.25, 1.0, 2.0])
def test_the_walk_spreads_with_the_root_of_time(seconds):
    row = MotionModel(speed=6.0, jump_rate=0.0).transition(seconds)[89]
    assert row @ DEGREES == pytest.approx(90.0, abs=1e-9)
    # Rounding to whole degrees adds 1/12.
    assert row @ (DEGREES - 90.0) ** 2 == pytest.approx(36.0 * seconds + 1 / 12, rel=1e-3)


def test_four_steps_are_one_of_four_times_the_time():
    motion = MotionModel(speed=12.0, jump_rate=0.2)
    steps = np.linalg.matrix_power(motion.transition(0.25), 4)
    np.testing.assert_allclose(steps[60], motion.transition(1.0)[60], atol=2e-4)


@pytest.mark.parametrize(("degrees", "speed"), [(4, 10.0), (177, 10.0), (90, 200.0)])
def test_the_walk_is_reflected_at_the_axis(degrees, speed):
    """Against the frequencies of random steps that are folded back."""
    rng = np.random.default_rng(0)
    turned = np.mod(degrees - 0.5 + speed * rng.normal(size=400_000), 360.0)
    folded = np.where(turned > 180.0, 360.0 - turned, turned)  # at 0.5 and 180.5 degrees
    cells = np.minimum(1 + np.floor(folded), 180).astype(int)
    found = np.bincount(cells, minlength=181)[1:] / len(folded)
    row = MotionModel(speed=speed, jump_rate=0.0).transition(1.0)[degrees - 1]
    np.testing.assert_allclose(row, found, atol=5 * np.sqrt(found.max() / len(folded)))


def test_jumps_go_everywhere():
    row = MotionModel(speed=1.0, jump_rate=0.5).transition(2.0)[9]
    assert row[150] == pytest.approx((1 - np.exp(-1.0)) / 180)


def test_sounds_last_and_pause_as_long_as_they_are_said_to():
    motion = MotionModel(mean_presence=3.0, mean_absence=1.0)
    initial, matrix = motion.chain(0.5, with_presence=True)
    assert initial.shape == (181,) and matrix.shape == (181, 181)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(matrix[:-1, :-1].sum(axis=1) ** 6, np.exp(-1.0))  # 6 windows
    assert matrix[-1, -1] ** 2 == pytest.approx(np.exp(-1.0))
    assert (initial @ matrix)[-1] == pytest.approx(initial[-1])
    assert initial.sum() == pytest.approx(1.0)
    share, change = motion.presence_chain(0.5)
    assert share[0] == pytest.approx(initial[:-1].sum()) and share[1] == initial[-1]
    assert change[1, 1] == matrix[-1, -1]
    np.testing.assert_allclose(change.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(matrix[:-1, -1], change[0, 1])
    with pytest.raises(ValueError, match="`seconds` must be a positive time"):
        motion.presence_chain(0.0)


def test_without_presence_there_are_directions_alone():
    motion = MotionModel()
    initial, matrix = motion.chain(0.5, with_presence=False)
    np.testing.assert_array_equal(matrix, motion.transition(0.5))
    np.testing.assert_allclose(initial, 1 / 180)


@pytest.mark.parametrize(
    "argument",
    [
        {"speed": -1.0},
        {"speed": np.nan},
        {"jump_rate": "often"},
        {"mean_presence": 0.0},
        {"mean_absence": np.inf},
        {"outliers": 1.5},
        {"evidence": -0.1},
    ],
)
def test_arguments_out_of_range(argument):
    (name,) = argument
    with pytest.raises(ValueError, match=rf"`{name}` .*Received: {name}="):
        MotionModel(**argument)


def test_time_must_pass():
    with pytest.raises(ValueError, match="`seconds` must be a positive time"):
        MotionModel().transition(0.0)


@pytest.mark.parametrize("speed", [0.0, 0.3, 10.0, 500.0])
def test_on_a_circle_all_directions_are_alike(speed):
    matrix = MotionModel(speed=speed).transition(0.25, circular=True)
    assert matrix.shape == (360, 360) and matrix.min() >= 0.0
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-15)
    np.testing.assert_allclose(np.roll(matrix, (1, 1), (0, 1)), matrix, atol=1e-15)


@pytest.mark.parametrize(("degrees", "speed"), [(0, 10.0), (357, 10.0), (90, 200.0)])
def test_the_walk_goes_round_a_circle(degrees, speed):
    """Against the frequencies of random steps that are wrapped."""
    rng = np.random.default_rng(0)
    turned = np.rint(degrees + speed * rng.normal(size=400_000)).astype(int) % 360
    found = np.bincount(turned, minlength=360) / len(turned)
    row = MotionModel(speed=speed, jump_rate=0.0).transition(1.0, circular=True)[degrees]
    np.testing.assert_allclose(row, found, atol=5 * np.sqrt(found.max() / len(turned)))


def test_the_chain_of_a_circle():
    initial, matrix = MotionModel().chain(0.5, with_presence=True, circular=True)
    assert initial.shape == (361,) and matrix.shape == (361, 361)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(initial @ matrix, initial, atol=1e-12)
