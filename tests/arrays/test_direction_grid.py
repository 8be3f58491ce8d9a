"""Directions around an array: vectors, solid angles, peaks."""

import numpy as np
import pytest

from keras_avssan.arrays import DirectionGrid

pytestmark = pytest.mark.backend_agnostic

SPHERE = DirectionGrid(range(0, 360, 10), range(-90, 91, 10))


def test_level_directions_all_around():
    grid = DirectionGrid()
    assert grid.shape == (360,)
    np.testing.assert_allclose(
        grid.directions[[0, 90, 180, 270]],
        [(1, 0, 0), (0, 1, 0), (-1, 0, 0), (0, -1, 0)],
        atol=1e-12,
    )
    np.testing.assert_allclose(grid.solid_angles, 1 / 360)


def test_azimuths_and_elevations():
    assert SPHERE.shape == (36, 19)
    directions = SPHERE.directions.reshape(36, 19, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1.0)
    np.testing.assert_allclose(directions[9, 9], (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(directions[:, 18], [(0, 0, 1)] * 36, atol=1e-12)


@pytest.mark.parametrize("elevations", [range(-90, 91, 10), [-90, -20, 0, 5, 60, 90]])
def test_solid_angles_are_those_of_the_sphere(elevations):
    """Evenly drawn points fall to the nearest elevation in proportion to them."""
    grid = DirectionGrid([0.0], elevations)
    drawn = np.random.default_rng(0).uniform(-1, 1, 200_000)
    near = np.abs(np.degrees(np.arcsin(drawn))[:, None] - np.array(list(elevations))).argmin(axis=1)
    expected = np.bincount(near, minlength=len(elevations)) / len(drawn)
    assert grid.solid_angles.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(grid.solid_angles, expected, atol=5e-3)


def test_the_lowest_and_the_highest_elevation_stand_for_as_much_beyond_them():
    edges = np.sin(np.radians([-5, 5, 15, 40, 80]))
    shares = DirectionGrid([0.0], [0, 10, 20, 60]).solid_angles
    np.testing.assert_allclose(shares, np.diff(edges) / (edges[-1] - edges[0]))


def test_a_single_elevation():
    grid = DirectionGrid(elevations=[20.0])
    assert grid.shape == (360, 1)
    np.testing.assert_allclose(grid.solid_angles, 1 / 360)
    np.testing.assert_allclose(grid.directions[:, 2], np.sin(np.radians(20)))


def test_peaks_wrap_around():
    """One peak across 0 degrees counts once."""
    azimuths = np.arange(360.0)
    posterior = sum(
        weight * np.exp(-0.5 * (((azimuths - at + 180) % 360 - 180) / 4) ** 2)
        for weight, at in [(1.0, 359.0), (0.6, 120.0), (0.3, 200.0)]
    )
    grid = DirectionGrid()
    assert grid.peaks(posterior[None], 3).tolist() == [[359.0, 120.0, 200.0]]
    assert grid.peak(posterior[None]).tolist() == [359.0]
    found = grid.peaks(posterior[None], 5)[0]
    assert np.isnan(found[3:]).all()


def test_peaks_on_the_sphere_are_of_the_density():
    """The pole has little solid angle, and its probability is high for that."""
    density = np.ones((36, 19))
    density[:, 18], density[27, 9] = 9.0, 8.0
    posterior = density * SPHERE.solid_angles.reshape(36, 19)
    first, second = SPHERE.peaks(posterior[None] / posterior.sum(), 2)[0]
    assert first[1] == 90.0 and second.tolist() == [270.0, 0.0]
    assert SPHERE.peak(posterior[None]).shape == (1, 2)


def test_a_flat_posterior_has_one_peak():
    assert DirectionGrid().peaks(np.ones((1, 360)), 2)[0].tolist()[0] == 0.0
    assert np.isnan(DirectionGrid().peaks(np.ones((1, 360)), 2)[0, 1])


def test_a_sector_does_not_wrap():
    grid = DirectionGrid(range(0, 91))
    posterior = np.zeros((1, 91))
    posterior[0, [0, 90]] = 0.4, 0.6
    assert grid.peaks(posterior, 2).tolist() == [[90.0, 0.0]]


def test_probability_near_an_estimate():
    posterior = np.zeros((1, 360))
    posterior[0, [355, 4, 5, 6]] = 0.1, 0.2, 0.3, 0.4
    grid = DirectionGrid()
    assert grid.near(posterior, [0.0])[0] == pytest.approx(0.6)
    np.testing.assert_allclose(grid.near(posterior, [[0.0, np.nan]]), [[0.6, 0.0]], atol=1e-6)
    # On a great circle: near the pole all azimuths are.
    sphere = np.zeros((1, 36, 19))
    sphere[0, 18, 18] = 1.0
    assert SPHERE.near(sphere, [[0.0, 88.0]])[0] == pytest.approx(1.0)


@pytest.mark.parametrize(("between", "count"), [(9, 1), (10, 2), (11, 2)])
def test_peaks_are_ten_degrees_apart_or_more(between, count):
    """Wherever they are: rounding does not decide."""
    starts = np.arange(360)
    posteriors = np.zeros((360, 360))
    posteriors[starts, starts] = 0.6
    posteriors[starts, (starts + between) % 360] = 0.4
    found = DirectionGrid().peaks(posteriors, 2)
    np.testing.assert_array_equal(found[:, 0], starts)
    np.testing.assert_array_equal(np.isfinite(found).sum(axis=1), count)


def test_eleven_directions_are_near_each():
    near = DirectionGrid().near(np.full((360, 360), 1 / 360), np.arange(360.0))
    np.testing.assert_allclose(near, 11 / 360, rtol=1e-5)


def test_grids_are_equal_by_their_directions():
    assert DirectionGrid() == DirectionGrid(range(360)) != SPHERE
    assert hash(DirectionGrid()) == hash(DirectionGrid(range(360)))
    assert DirectionGrid() != DirectionGrid(elevations=[0.0]) and DirectionGrid() != 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"azimuths": []}, "`azimuths` must be increasing angles"),
        ({"azimuths": [0, 360]}, "`azimuths` must be .* below 360"),
        ({"azimuths": [20, 10]}, "`azimuths` must be increasing"),
        ({"azimuths": 5}, "`azimuths` must be increasing.*azimuths=5"),
        ({"elevations": [0, 95]}, "`elevations` must be .* to 90"),
        ({"elevations": ["up"]}, "`elevations` must be"),
    ],
)
def test_bad_angles_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DirectionGrid(**arguments)


def test_other_posteriors_are_refused():
    with pytest.raises(ValueError, match=r"`posterior` must have shape \(batch, 360\)"):
        DirectionGrid().peak(np.ones((1, 180)))
    with pytest.raises(ValueError, match="`posterior` must be finite"):
        DirectionGrid().peak(np.full((1, 360), np.nan))
    with pytest.raises(ValueError, match="`count` must be an integer of at least 1"):
        DirectionGrid().peaks(np.ones((1, 360)), 0)


def test_other_estimates_are_refused():
    level, sphere = DirectionGrid(), DirectionGrid(None, [0, 10])
    for grid, estimates in (
        (level, np.zeros(3)),
        (level, np.zeros((2, 1, 1))),
        (sphere, np.zeros(2)),
        (sphere, np.zeros((2, 3))),
    ):
        with pytest.raises(ValueError, match=r"`estimates` must have shape \(2.*Received"):
            grid.near(np.ones((2, *grid.shape)), estimates)
    assert sphere.near(np.ones((2, *sphere.shape)), np.zeros((2, 3, 2))).shape == (2, 3)
    assert level.peaks(np.ones((0, 360)), 2).shape == (0, 2)
