"""Posteriors of pairs, fused: against its formula, front and back, all around."""

import numpy as np
import pytest

from keras_avssan.arrays import DirectionGrid, MicrophoneArray, fuse_posteriors
from keras_avssan.arrays.geometries import circle, unit_vector

pytestmark = pytest.mark.backend_agnostic

SQUARE = MicrophoneArray(circle(4, 0.1, 45.0))
TETRAHEDRON = MicrophoneArray.from_preset("starss23")
SPHERE = DirectionGrid(range(0, 360, 3), range(-90, 91, 3))


def of_source(array, pairs, azimuth, elevation=0.0, width=4.0):
    """Posteriors (P, 180) of a source, as pairs would see it."""
    angles = array.angles(pairs, unit_vector([azimuth], [elevation]))
    posteriors = np.exp(-0.5 * ((np.arange(1, 181) - angles) / width) ** 2)
    return posteriors / posteriors.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("azimuth", range(0, 360, 17))
def test_every_azimuth_is_found(azimuth):
    pairs = SQUARE.pairs()
    fused = fuse_posteriors(of_source(SQUARE, pairs, azimuth), SQUARE, pairs)
    assert fused.shape == (360,) and fused.dtype == "float32"
    assert fused.sum() == pytest.approx(1.0, abs=1e-5)
    assert abs((fused.argmax() - azimuth + 180) % 360 - 180) <= 1


def test_one_axis_is_not_enough_and_two_are():
    """Both sides of one pair have the same posterior; a second axis decides."""
    pairs = np.array([[0, 2]])
    with pytest.raises(ValueError, match="pairs along two level axes or more.*1 pairs of"):
        fuse_posteriors(of_source(SQUARE, pairs, 100.0), SQUARE, pairs)
    pairs = np.array([[0, 2], [1, 3]])
    fused = fuse_posteriors(of_source(SQUARE, pairs, 100.0), SQUARE, pairs)
    mirrored = (90 - 100) % 360  # across the axis of microphones 0 and 2, at 45 degrees
    assert fused.argmax() == 100 and fused[mirrored] < 0.05 * fused[100]


def test_it_is_the_formula():
    rng = np.random.default_rng(0)
    array = MicrophoneArray(rng.uniform(-0.1, 0.1, (4, 3)))
    pairs = array.pairs()[:4]
    posteriors = rng.dirichlet(np.ones(180), size=(2, 4))
    weights, floor = np.array([1.0, 2.0, 0.5, 0.5]), 0.1
    grid = DirectionGrid([10.0, 100.0, 222.0], [-20.0, 15.0])
    found = fuse_posteriors(posteriors, array, pairs, grid, weights, floor)
    assert found.shape == (2, 3, 2)
    expected = np.zeros((2, 6))
    for row in range(2):
        for k, direction in enumerate(grid.directions):
            logarithm = 0.0
            for p, (first, second) in enumerate(pairs):
                axis = array.positions[first] - array.positions[second]
                angle = np.degrees(np.arccos(direction @ axis / np.linalg.norm(axis)))
                values = np.log(0.9 * posteriors[row, p] + 0.1 / 180)
                at = np.interp(angle, np.arange(1, 181), values)
                logarithm += weights[p] / weights.mean() * at
            expected[row, k] = np.exp(logarithm) * grid.solid_angles[k]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.reshape(2, 6), expected, rtol=1e-4)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (75, 40), (190, -60), (300, 80)])
def test_a_tetrahedron_finds_elevations(azimuth, elevation):
    pairs = TETRAHEDRON.pairs()
    posterior = fuse_posteriors(
        of_source(TETRAHEDRON, pairs, azimuth, elevation), TETRAHEDRON, pairs, SPHERE
    )
    found = SPHERE.peak(posterior[None])[0]
    between = unit_vector(*found) @ unit_vector(azimuth, elevation)
    assert np.degrees(np.arccos(np.clip(between, -1, 1))) <= 3


def test_a_level_array_finds_elevations_above_it():
    pairs = SQUARE.pairs()
    grid = DirectionGrid(range(0, 360, 3), range(0, 91, 3))
    posterior = fuse_posteriors(of_source(SQUARE, pairs, 210, 36), SQUARE, pairs, grid)
    assert np.abs(grid.peak(posterior[None])[0] - (210, 36)).max() <= 3


def test_a_single_wrong_pair_does_not_rule_out_the_source():
    """With a floor, the others decide."""
    pairs = SQUARE.pairs()
    posteriors = of_source(SQUARE, pairs, 60.0, width=12.0)
    angle = SQUARE.angles(pairs[[2]], unit_vector([60.0], 0.0))[0, 0]
    posteriors[2] = 1e-12
    posteriors[2, round(angle) - 30] = 1.0
    assert abs(fuse_posteriors(posteriors, SQUARE, pairs).argmax() - 60) <= 3
    assert abs(fuse_posteriors(posteriors, SQUARE, pairs, floor=0.0).argmax() - 60) > 10


def test_weights():
    pairs = SQUARE.pairs()
    posteriors = of_source(SQUARE, pairs, 60.0)
    other = of_source(SQUARE, pairs, 200.0)
    mixed = np.where(np.arange(6)[:, None] < 3, posteriors, other)
    for rows, azimuth in ((slice(0, 3), 60), (slice(3, 6), 200)):
        weights = np.zeros(6)
        weights[rows] = 2.5
        assert fuse_posteriors(mixed, SQUARE, pairs, weights=weights).argmax() == azimuth
    spacings = SQUARE.spacings(pairs)
    np.testing.assert_allclose(
        fuse_posteriors(mixed, SQUARE, pairs, weights="spacing"),
        fuse_posteriors(mixed, SQUARE, pairs, weights=7 * spacings),
    )
    assert not np.allclose(
        fuse_posteriors(mixed, SQUARE, pairs, weights="spacing"),
        fuse_posteriors(mixed, SQUARE, pairs),
    )


def test_pairs_of_weight_zero_do_not_tell_front_from_back():
    weights = [1, 0, 0, 0, 0, 1]  # of two opposite sides, which are parallel
    with pytest.raises(ValueError, match="front and back are the same.*Received: 2 pairs"):
        fuse_posteriors(np.ones((6, 180)), SQUARE, SQUARE.pairs(), weights=weights)


def test_posteriors_of_any_sum():
    posteriors = of_source(SQUARE, SQUARE.pairs(), 60.0)
    scaled = posteriors * np.array([1e-6, 1, 10, 1e3, 1e6, 7])[:, None]
    np.testing.assert_allclose(
        fuse_posteriors(scaled, SQUARE, SQUARE.pairs()),
        fuse_posteriors(posteriors, SQUARE, SQUARE.pairs()),
        rtol=1e-4,
    )


def test_a_zero_in_a_posterior_is_finite():
    pairs = SQUARE.pairs()
    posteriors = np.zeros((len(pairs), 180))
    posteriors[:, 20] = 1.0
    assert np.isfinite(fuse_posteriors(posteriors, SQUARE, pairs, floor=0.0)).all()


@pytest.mark.parametrize(
    ("array", "grid", "message"),
    [
        ([(0.0, 0.0), (0.1, 0.0), (0.25, 0.0)], None, "along two level axes or more"),
        ([(0, 0, 0), (0.1, 0, 0), (0, 0, 0.1)], None, "along two level axes or more"),
        ([(0.1, 0.0), (0.0, 0.003), (-0.1, 0.0)], None, "along one axis front and back are the"),
        (SQUARE.positions, SPHERE, "`grid` must have elevations on one side"),
        ([(0.1, 0, 0), (0, 0.1, 0), (-0.1, 0, 0.05)], SPHERE, "`array` must be level, or not flat"),
    ],
)
def test_arrays_that_cannot_distinguish_directions_are_refused(array, grid, message):
    array = MicrophoneArray(array)
    pairs = array.pairs()
    with pytest.raises(ValueError, match=message):
        fuse_posteriors(np.ones((len(pairs), 180)), array, pairs, grid)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"posteriors": np.ones((5, 180))}, r"`posteriors` must have shape \(..., 6, 180\)"),
        ({"posteriors": np.ones((6, 360))}, "`posteriors` must have shape"),
        ({"pairs": [(0, 4)]}, "`pairs` must have shape.* from 0 to 3"),
        ({"pairs": [(1, 1)]}, "`pairs` must be of two different microphones"),
        ({"pairs": np.zeros((0, 2), int)}, "`pairs` must have shape"),
        ({"weights": "distance"}, "`weights` must be one of"),
        ({"weights": [1.0, 2.0]}, "`weights` must be a number for each of the 6 pairs"),
        ({"weights": [-1.0] * 6}, "none of them negative"),
        ({"weights": [0.0] * 6}, "not all zero"),
        ({"floor": 1.5}, "`floor` must be a number from 0 to 1"),
        ({"floor": "low"}, "`floor` must be a number from 0 to 1"),
        ({"posteriors": np.full((6, 180), np.nan)}, "`posteriors` must be finite"),
        ({"posteriors": np.full((6, 180), -1.0)}, "not negative. Received: .* from -1 to -1"),
        ({"posteriors": "flat"}, "`posteriors` must have shape"),
        ({"pairs": [[0, 1], [2]]}, r"`pairs` must have shape.*\[\[0, 1\], \[2\]\]"),
        ({"pairs": [(0.5, 1.0)]}, "`pairs` must have shape"),
        ({"weights": ["much"] * 6}, "`weights` must be a number for each of the 6 pairs"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    given = {"posteriors": np.ones((6, 180)), "pairs": SQUARE.pairs(), **arguments}
    with pytest.raises(ValueError, match=message):
        fuse_posteriors(array=SQUARE, **given)


@pytest.mark.parametrize("argument", [{"array": [(0.1, 0), (0, 0.1)]}, {"grid": 360}])
def test_other_kinds_are_refused(argument):
    given = {"posteriors": np.ones((6, 180)), "array": SQUARE, "pairs": SQUARE.pairs()}
    (name,) = argument
    with pytest.raises(TypeError, match=f"`{name}` must be a .*Received: {name}="):
        fuse_posteriors(**{**given, **argument})
