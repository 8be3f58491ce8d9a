import dataclasses

import numpy as np
import pytest
from scipy import stats

from keras_avssan.simulation import Room, RoomRanges, azimuth_of, sample_room
from keras_avssan.simulation.absorption import sabine_absorption

pytestmark = pytest.mark.backend_agnostic

GOOD = dict(
    size=(6, 5, 3),
    t60=0.4,
    microphones=[(3.1, 2, 1.5), (2.9, 2, 1.5)],
    sources=[(4, 2, 1.5), (3, 4, 1.5), (1, 2, 1.5)],
)


def test_azimuths_of_the_axis_and_broadside():
    np.testing.assert_allclose(Room(**GOOD).azimuths, [0, 90, 180], atol=1e-9)


def test_azimuth_is_the_same_all_around_the_axis():
    microphones = [(0.1, 0, 0), (-0.1, 0, 0)]
    rolls = np.linspace(0, 2 * np.pi, 7)
    sources = np.stack([np.full(7, 0.5), np.cos(rolls), np.sin(rolls)], axis=-1)
    np.testing.assert_allclose(azimuth_of(sources, microphones), np.degrees(np.arctan2(1, 0.5)))


def test_room_is_frozen():
    room = Room(**GOOD)
    with pytest.raises(dataclasses.FrozenInstanceError):
        room.t60 = 0.5
    with pytest.raises(ValueError, match="read-only"):
        room.sources[0] = 0


@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(t60=-0.1), "`t60` must be finite and positive"),
        (dict(t60=np.nan), "`t60` must be finite and positive"),
        (dict(size=(6, 5)), r"`size` must have shape \(3,\)"),
        (dict(size=(6, 5, -3)), "`size` must be finite and positive"),
        (dict(sources=[(7, 1, 1)]), "`sources` must lie inside the room"),
        (dict(sources=[(1, 5, 1)]), "`sources` must lie inside the room and not on a wall"),
        (dict(sources=[(1, np.inf, 1)]), "`sources` must be finite"),
        (dict(sources=np.zeros((0, 3))), "`sources` must have shape"),
        (dict(microphones=[(3, 2, 1), (3, 2, 1)]), "`microphones` must be distinct points"),
        (dict(microphones=[(3, 2, 1)]), r"`microphones` must have shape \(2, 3\)"),
        (dict(microphones=[(3, 2, 1), (3, 2, 4)]), "`microphones` must lie inside the room"),
    ],
)
def test_room_refuses(changed, message):
    with pytest.raises(ValueError, match=message):
        Room(**(GOOD | changed))


@pytest.fixture(scope="module")
def rooms():
    return [sample_room(seed=0, index=index) for index in range(300)]


def test_azimuths_are_uniform_and_independent(rooms):
    azimuths = np.stack([room.azimuths for room in rooms])
    assert azimuths.min() > 0.5 and azimuths.max() <= 180 + 1e-9
    test = stats.kstest(azimuths.ravel(), stats.uniform(0.5, 179.5).cdf)
    assert test.pvalue > 0.01
    correlation = np.corrcoef(azimuths.T)[np.triu_indices(4, k=1)]
    assert abs(correlation).max() < 0.2


def test_azimuth_says_nothing_about_the_room(rooms):
    azimuths = np.array([room.azimuths[0] for room in rooms])
    volumes = np.array([room.size.prod() for room in rooms])
    assert abs(np.corrcoef(abs(azimuths - 90), volumes)[0, 1]) < 0.2


def test_rooms_keep_to_the_ranges(rooms):
    for room in rooms:
        centre = room.microphones.mean(axis=0)
        offsets = room.sources - centre
        distances = np.linalg.norm(offsets, axis=-1)
        positions = np.concatenate([room.microphones, room.sources])
        assert np.all((room.size >= (3, 3, 2.5)) & (room.size <= (10, 8, 4)))
        assert 0.2 <= room.t60 <= 0.8
        assert sabine_absorption(room.size, room.t60) <= 1
        assert np.all((positions > 0.3) & (positions < room.size - 0.3))
        assert 1.0 <= centre[2] <= 1.8
        assert np.all((distances >= 0.5 - 1e-9) & (distances <= 3 + 1e-9))
        assert np.all(abs(offsets[:, 2]) <= np.sin(np.radians(25)) * distances + 1e-9)
        axis = room.microphones[0] - room.microphones[1]
        assert axis[2] == 0
        assert np.linalg.norm(axis) == pytest.approx(0.2)


def test_pair_is_rotated_freely(rooms):
    axes = np.stack([room.microphones[0] - room.microphones[1] for room in rooms])
    angles = np.arctan2(axes[:, 1], axes[:, 0])
    assert stats.kstest(angles, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01


def test_sources_lie_on_both_sides(rooms):
    axes = np.stack([room.microphones[0] - room.microphones[1] for room in rooms])
    offsets = np.stack([room.sources[0] - room.microphones.mean(axis=0) for room in rooms])
    left = np.cross(axes, offsets)[:, 2] > 0
    assert 0.4 < left.mean() < 0.6


def test_room_is_a_function_of_seed_and_index():
    first, again = sample_room(1, 2), sample_room(1, 2)
    for field in dataclasses.fields(Room):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
    assert not np.array_equal(first.sources, sample_room(1, 3).sources)
    assert not np.array_equal(first.sources, sample_room(2, 2).sources)


def test_ranges_are_obeyed():
    ranges = RoomRanges(t60=(0.3, 0.3), azimuth=(40, 50), spacing=0.08, wall_margin=0.5)
    room = sample_room(0, 0, num_sources=3, ranges=ranges)
    assert room.t60 == 0.3
    assert room.sources.shape == (3, 3)
    assert np.all((room.azimuths > 40) & (room.azimuths <= 50))
    assert np.all(room.sources > 0.5)


@pytest.mark.parametrize("azimuth", [20.0, 50.0, 140.0])
def test_oblique_sources_are_seen_under_the_whole_range_of_elevations(azimuth):
    """Close to the axis a source has to be rolled far about it to be as much higher or lower."""
    ranges = RoomRanges(
        azimuth=(azimuth, azimuth), elevation=(-10, 15), height=(4, 4), distance=(0.5, 1.0)
    )
    rooms = [sample_room(0, index, ranges=ranges) for index in range(60)]
    offsets = np.concatenate([room.sources - room.microphones.mean(axis=0) for room in rooms])
    seen = np.degrees(np.arcsin(offsets[:, 2] / np.linalg.norm(offsets, axis=1)))
    assert -10 - 1e-6 <= seen.min() < -9
    assert 13.5 < seen.max() <= 15 + 1e-6


@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(t60=(0.5, 0.2)), "`t60` must be"),
        (dict(t60=(0.0, 0.2)), "`t60` must be finite and positive"),
        (dict(length=(np.nan, 5)), "`length` must be"),
        (dict(width=5.0), "`width` must be"),
        (dict(height=(2.5, 3.0, 3.5)), "`height` must be"),
        (dict(azimuth=(0, 270)), "`azimuth` must be .* within 0 to 180"),
        (dict(elevation=(10, 20)), "`elevation` must include 0"),
        (dict(spacing=0.0), "`spacing` must be a positive distance in metres"),
        (dict(wall_margin=-0.1), "`wall_margin` must be a number from 0"),
        (dict(wall_margin="wide"), "`wall_margin` must be a number.*'wide'"),
        (dict(spacing="wide"), "`spacing` must be a positive distance.*'wide'"),
        (dict(azimuth=("left", "right")), "`azimuth` must be .*'left'"),
        (dict(length=((1, 2), 3)), "`length` must be"),
        (dict(source_pattern=["cardioid"]), "`source_pattern` must be one of"),
    ],
)
def test_ranges_refuse(changed, message):
    with pytest.raises(ValueError, match=message):
        RoomRanges(**changed)


@pytest.mark.parametrize("seed, index, sources", [(-1, 0, 4), (0, -1, 4), (0, 0, 0)])
def test_sample_room_refuses(seed, index, sources):
    with pytest.raises(ValueError, match="must be"):
        sample_room(seed, index, num_sources=sources)


def test_impossible_ranges_are_reported():
    with pytest.raises(ValueError, match="`ranges` must allow a room that fits"):
        sample_room(0, 0, ranges=RoomRanges(wall_margin=2.0))
    with pytest.raises(ValueError, match="`formula` must be"):
        sample_room(0, 0, formula="fitzroy")
