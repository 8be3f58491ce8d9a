"""Peaks by hand."""

import numpy as np
import pytest

from keras_avssan.classical.peaks import (
    nearest_of_two_peaks,
    strongest_peaks,
    two_strongest_peaks,
)

pytestmark = pytest.mark.backend_agnostic


def posterior(*peaks):
    """One posterior, zero except at `{degrees: height}`."""
    values = np.zeros((len(peaks), 180))
    for row, heights in zip(values, peaks, strict=True):
        for degrees, height in heights.items():
            row[degrees - 1] = height
    return values


def test_the_two_highest_the_higher_first():
    found = two_strongest_peaks(posterior({40: 0.2, 90: 0.3, 150: 0.5}, {10: 0.6, 170: 0.4}))
    assert found.dtype == "float32"
    assert found.tolist() == [[150, 90], [10, 170]]


def test_a_neighbour_of_a_peak_is_not_one():
    values = posterior({89: 0.6, 90: 0.9, 91: 0.8, 120: 0.1})
    assert two_strongest_peaks(values).tolist() == [[90, 120]]


def test_a_single_peak():
    values = posterior({60: 1.0})
    np.testing.assert_array_equal(two_strongest_peaks(values), [[60, np.nan]])
    assert nearest_of_two_peaks(values, [170.0]).tolist() == [60]


def test_edges_of_the_grid_count():
    assert two_strongest_peaks(posterior({1: 0.4, 180: 0.6})).tolist() == [[180, 1]]
    falling = np.linspace(1, 0, 180)[None]
    np.testing.assert_array_equal(two_strongest_peaks(falling), [[1, np.nan]])


def test_a_plateau_is_one_peak_at_its_middle():
    plateau = {degrees: 0.3 for degrees in range(50, 55)}
    assert two_strongest_peaks(posterior({**plateau, 100: 0.2})).tolist() == [[52, 100]]
    even = {degrees: 0.3 for degrees in range(50, 54)}
    assert two_strongest_peaks(posterior({**even, 100: 0.2})).tolist() == [[51, 100]]
    at_the_edge = {degrees: 0.3 for degrees in range(1, 4)}
    assert two_strongest_peaks(posterior({**at_the_edge, 100: 0.2})).tolist() == [[2, 100]]


def test_a_step_is_no_peak():
    values = posterior({70: 0.2, 71: 0.2, 72: 0.5})
    np.testing.assert_array_equal(two_strongest_peaks(values), [[72, np.nan]])


def test_a_uniform_posterior_has_one_peak_in_the_middle():
    uniform = np.full((1, 180), 1 / 180)
    np.testing.assert_array_equal(two_strongest_peaks(uniform), [[90, np.nan]])


def test_the_nearer_of_both():
    values = posterior(*[{30: 0.4, 100: 0.6}] * 4)
    assert nearest_of_two_peaks(values, [35, 99, 64, 66]).tolist() == [30, 100, 30, 100]


def test_a_third_peak_is_not_chosen():
    values = posterior({30: 0.4, 100: 0.5, 150: 0.1})
    assert nearest_of_two_peaks(values, [150.0]).tolist() == [100]


def test_of_the_same_distance_the_higher():
    assert nearest_of_two_peaks(posterior({30: 0.4, 100: 0.6}), [65.0]).tolist() == [100]


def test_of_the_same_height_the_lower_direction_first():
    assert two_strongest_peaks(posterior({30: 0.2, 80: 0.2, 120: 0.2})).tolist() == [[30, 80]]


def test_no_posterior_at_all():
    assert nearest_of_two_peaks(np.zeros((0, 180)), []).shape == (0,)


@pytest.mark.parametrize(
    ("values", "azimuth", "match"),
    [
        (np.ones(180), [90.0], "`posterior` must have shape"),
        (np.ones((1, 181)), [90.0], "`posterior` must have shape"),
        (np.full((1, 180), np.nan), [90.0], "`posterior` must be finite"),
        (np.ones((1, 180)), [90.0, 91.0], "`azimuth` must have shape"),
        (np.ones((1, 180)), 90.0, "`azimuth` must have shape"),
        (np.ones((1, 180)), [np.nan], "`azimuth` must be finite"),
    ],
)
def test_bad_input_is_named(values, azimuth, match):
    with pytest.raises(ValueError, match=match):
        nearest_of_two_peaks(values, azimuth)


def test_any_number_of_peaks():
    values = posterior({40: 0.2, 90: 0.3, 150: 0.5}, {10: 0.6, 170: 0.4})
    expected = [[150, 90, 40], [10, 170, np.nan]]
    np.testing.assert_array_equal(strongest_peaks(values, 3), expected)
    np.testing.assert_array_equal(strongest_peaks(values, 1), [[150], [10]])
    np.testing.assert_array_equal(strongest_peaks(values), two_strongest_peaks(values))
    assert strongest_peaks(values, 4).dtype == "float32"
    for count in (0, 1.5, True, None):
        with pytest.raises(ValueError, match="`count` must be an integer of at least 1"):
            strongest_peaks(values, count)
