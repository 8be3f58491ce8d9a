import dataclasses

import numpy as np
import pytest

from keras_avssan.simulation import Trajectory, arc_trajectory, azimuth_of, linear_trajectory

pytestmark = pytest.mark.backend_agnostic

PAIR = np.array([(3.1, 2.1, 1.4), (2.9, 1.9, 1.4)])


def test_line_is_even_in_space_and_time():
    line = linear_trajectory((1, 2, 1), (3, 1, 2), duration=2.0, num_positions=5)
    assert len(line) == 5
    np.testing.assert_allclose(line.times, [0, 0.5, 1, 1.5, 2])
    np.testing.assert_allclose(line.positions[[0, -1]], [(1, 2, 1), (3, 1, 2)])
    np.testing.assert_allclose(np.diff(line.positions, axis=0), [(0.5, -0.25, 0.25)] * 4)


@pytest.mark.parametrize("azimuths", [(20, 110), (150, 30), (0, 180)])
def test_arc_keeps_its_distance_and_turns_evenly(azimuths):
    arc = arc_trajectory(PAIR, 1.2, azimuths, duration=3.0, num_positions=13)
    np.testing.assert_allclose(azimuth_of(arc.positions, PAIR), np.linspace(*azimuths, 13))
    np.testing.assert_allclose(np.linalg.norm(arc.positions - PAIR.mean(axis=0), axis=1), 1.2)
    np.testing.assert_allclose(arc.positions[:, 2], 1.4)
    np.testing.assert_allclose(arc.times, np.linspace(0, 3, 13))


def test_arc_beyond_180_degrees_is_the_other_side():
    pair = [(1.1, 1, 1), (0.9, 1, 1)]
    turn = arc_trajectory(pair, 0.5, (0, 360), duration=1.0, num_positions=5)
    expected = [(1.5, 1, 1), (1, 1.5, 1), (0.5, 1, 1), (1, 0.5, 1), (1.5, 1, 1)]
    np.testing.assert_allclose(turn.positions, expected, atol=1e-12)


def test_position_at_any_time():
    corner = Trajectory([(0, 0, 1), (2, 0, 1), (2, 1, 1)], times=[1.0, 2.0, 4.0])
    found = corner.at([[0.0, 1.5], [3.0, 9.0]])
    np.testing.assert_allclose(found, [[(0, 0, 1), (1, 0, 1)], [(2, 0.5, 1), (2, 1, 1)]])


def test_is_frozen():
    line = linear_trajectory((1, 1, 1), (2, 1, 1), 1.0, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        line.times = np.zeros(2)
    with pytest.raises(ValueError, match="read-only"):
        line.positions[0] = 0.0


@pytest.mark.parametrize(
    "times, message",
    [
        ([0.0, 0.5, 0.5], r"`times` must increase. Received: times\[2\]=0.5 after 0.5 s"),
        ([0.0, 2.0, 1.0], "`times` must increase"),
        ([0.0, np.nan, 1.0], "`times` must be finite"),
        ([0.0, 1.0], r"`positions` must have shape \(2, 3\) to fit `times`"),
        ([], r"`times` must have shape \(S,\)"),
        (1.0, r"`times` must have shape \(S,\)"),
    ],
)
def test_refuses_times(times, message):
    with pytest.raises(ValueError, match=message):
        Trajectory(np.ones((3, 3)), times)


def test_refuses_positions():
    with pytest.raises(ValueError, match="`positions` must be finite"):
        Trajectory([(0, 0, np.inf)], [0.0])


LINE = dict(start=(1, 1, 1), end=(2, 1, 1), duration=1.0, num_positions=3)
ARC = dict(microphones=PAIR, distance=1.0, azimuths=(0, 90), duration=1.0, num_positions=3)


@pytest.mark.parametrize(
    "function, arguments, changed, message",
    [
        (linear_trajectory, LINE, dict(start=(1, 1)), "`start` must be three finite"),
        (linear_trajectory, LINE, dict(end=(1, 1, np.nan)), "`end` must be three finite"),
        (linear_trajectory, LINE, dict(duration=0.0), "`duration` must be finite and positive"),
        (
            linear_trajectory,
            LINE,
            dict(num_positions=1),
            "`num_positions` must be an integer of at least 2",
        ),
        (arc_trajectory, ARC, dict(distance=-1.0), "`distance` must be finite and positive"),
        (arc_trajectory, ARC, dict(azimuths=(0, np.inf)), "`azimuths` must be two finite"),
        (arc_trajectory, ARC, dict(azimuths=90.0), "`azimuths` must be two finite"),
        (arc_trajectory, ARC, dict(microphones=PAIR[:1]), "`microphones` must be two finite"),
        (arc_trajectory, ARC, dict(microphones=PAIR[[0, 0]]), "`microphones` must be distinct"),
        (
            arc_trajectory,
            ARC,
            dict(microphones=[(1, 1, 1), (1, 1, 2)]),
            "`microphones` must not stand one above the other",
        ),
    ],
)
def test_refuses(function, arguments, changed, message):
    with pytest.raises(ValueError, match=message):
        function(**(arguments | changed))
