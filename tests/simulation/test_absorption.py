import numpy as np
import pytest

from keras_avssan.simulation.absorption import (
    eyring_absorption,
    eyring_decay_time,
    sabine_absorption,
)

pytestmark = pytest.mark.backend_agnostic


def test_sabine_is_the_classical_formula():
    volume, surface, t60 = 6 * 5 * 3, 2 * (6 * 5 + 5 * 3 + 3 * 6), 0.4
    expected = 0.1611 * volume / (surface * t60)
    assert sabine_absorption((6, 5, 3), t60) == pytest.approx(expected, rel=1e-3)


def test_eyring_takes_less_absorption_and_inverts():
    absorption = eyring_absorption((6, 5, 3), 0.4)
    assert absorption < sabine_absorption((6, 5, 3), 0.4)
    assert eyring_decay_time((6, 5, 3), absorption) == pytest.approx(0.4)


def test_decay_time_of_six_walls_takes_their_areas():
    walls = np.array([[0.1, 0.1, 0.2, 0.2, 0.6, 0.4]])
    mean = (2 * 15 * 0.1 + 2 * 18 * 0.2 + 30 * (0.6 + 0.4)) / (2 * (15 + 18 + 30))
    assert eyring_decay_time((6, 5, 3), walls) == pytest.approx(eyring_decay_time((6, 5, 3), mean))
    sizes = np.array([(6, 5, 3), (4, 3, 2.5)])
    assert eyring_decay_time(sizes, np.repeat(walls, 2, axis=0)).shape == (2,)


def test_formulas_agree_in_live_rooms():
    size, t60 = (6, 5, 3), 10.0
    assert eyring_absorption(size, t60) == pytest.approx(sabine_absorption(size, t60), rel=0.01)


def test_batches():
    sizes, times = np.array([[6, 5, 3], [4, 3, 2.5]]), np.array([0.4, 0.5])
    for formula in (sabine_absorption, eyring_absorption):
        batched = formula(sizes, times)
        single = [formula(size, time) for size, time in zip(sizes, times, strict=True)]
        np.testing.assert_allclose(batched, single)


def test_unreachable_t60_names_room_and_t60():
    sizes = [[3, 3, 2.5], [10, 8, 4]]
    with pytest.raises(ValueError, match=r"0\.15 s .* 10 x 8 x 4 m \(index 1\) by Sabine"):
        sabine_absorption(sizes, 0.15)
    with pytest.raises(ValueError, match=r"0\.005 s .* 10 x 8 x 4 m by Eyring"):
        eyring_absorption((10, 8, 4), 0.005)


@pytest.mark.parametrize("formula", [sabine_absorption, eyring_absorption])
@pytest.mark.parametrize("t60", [0.0, -0.3, np.nan, np.inf])
def test_bad_t60(formula, t60):
    with pytest.raises(ValueError, match="`t60` must be finite and positive"):
        formula((6, 5, 3), t60)


@pytest.mark.parametrize("size", [(6, 5), (6, 5, 0), (6, 5, -3), (6, np.nan, 3), 4.0])
def test_bad_room_size(size):
    with pytest.raises(ValueError, match="`room_size`"):
        sabine_absorption(size, 0.4)
