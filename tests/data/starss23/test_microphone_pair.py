"""Angles of the pairs by hand, and what a rigid sphere does to the delays."""

import numpy as np
import pytest

from keras_avssan.data.starss23.microphone_pair import MicrophonePair
from keras_avssan.simulation import azimuth_of

pytestmark = pytest.mark.backend_agnostic


@pytest.mark.parametrize(
    ("azimuth", "elevation", "angle"),
    [
        (45, 0, 0.0),  # beside M1
        (-135, 0, 180.0),  # beside M4
        (225, 0, 180.0),
        (135, 0, 90.0),
        (-45, 0, 90.0),
        (0, 0, 45.0),
        (90, 0, 45.0),
        (180, 0, 135.0),
        (75, 0, 30.0),
        (15, 0, 30.0),  # its mirror image
        (45, 60, 60.0),  # raised above the axis
        (45, -60, 60.0),
        (105, 45, 69.295),  # cos 45° · cos 60° = 0.35355
        (12, 90, 90.0),  # straight above
    ],
)
def test_angles_of_the_first_pair_by_hand(azimuth, elevation, angle):
    assert MicrophonePair("M1-M4").angle(azimuth, elevation) == pytest.approx(angle, abs=1e-3)


@pytest.mark.parametrize(
    ("azimuth", "elevation", "angle"),
    [(-45, 0, 0.0), (135, 0, 180.0), (45, 0, 90.0), (0, 0, 45.0), (-90, 0, 45.0), (-45, 30, 30.0)],
)
def test_angles_of_the_second_pair_by_hand(azimuth, elevation, angle):
    assert MicrophonePair("M2-M3").angle(azimuth, elevation) == pytest.approx(angle, abs=1e-3)


def test_the_pairs_mirror_each_other():
    rng = np.random.default_rng(0)
    azimuth, elevation = rng.uniform(-180, 180, 50), rng.uniform(-90, 90, 50)
    np.testing.assert_allclose(
        MicrophonePair("M1-M4").angle(azimuth, elevation),
        MicrophonePair("M2-M3").angle(-azimuth, -elevation),
    )


@pytest.mark.parametrize("name", ["M1-M4", "M2-M3"])
def test_angle_and_distance_are_those_of_the_positions(name):
    pair = MicrophonePair(name)
    first, second = pair.positions
    assert first[2] == pytest.approx(second[2]), "level"
    assert pair.distance == pytest.approx(2 * 0.042 * np.cos(np.radians(35)))
    assert pair.distance == pytest.approx(0.0688, abs=5e-5)
    azimuth, elevation = np.radians([100.0, 25.0])
    far = 1e3 * np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    expected = azimuth_of(far, pair.positions)
    assert pair.angle(100.0, 25.0) == pytest.approx(expected, abs=0.01)


def test_channels_are_those_of_the_microphones():
    assert MicrophonePair("M1-M4").channels == (0, 3)
    assert MicrophonePair("M2-M3").channels == (1, 2)


def test_the_open_pair_has_the_delays_of_its_distance():
    pair = MicrophonePair("M2-M3", "open")
    frequencies = np.array([100.0, 1000.0])
    first, second = pair.responses(-15.0, 0.0, frequencies)
    lead = np.angle(first * second.conj()) / (2 * np.pi * frequencies)
    np.testing.assert_allclose(lead, pair.distance * np.cos(np.radians(30)) / 343, rtol=1e-6)
    assert pair.spacing == pair.distance


def test_a_rigid_sphere_lengthens_the_delays():
    """By 3 / 2 where the sphere is small beside the wave, see Kuhn, JASA 62, 1977."""
    pair = MicrophonePair()
    for angle in (0.0, 30.0, 75.0):
        first, second = pair.responses(45 + angle, 0.0, np.array([30.0]))
        lead = float(np.angle(first * second.conj())[0]) / (2 * np.pi * 30)
        open_lead = pair.distance * np.cos(np.radians(angle)) / 343
        assert lead / open_lead == pytest.approx(1.5, abs=0.01)
    # The pressure of a long wave is that of free air.
    assert np.abs(first[0]) == pytest.approx(1.0, abs=0.01)
    assert 1.1 * pair.distance < pair.spacing < 1.5 * pair.distance


def test_the_spacing_on_the_sphere_halves_the_error_of_a_steered_response():
    pair = MicrophonePair()
    frequencies = np.arange(1, 513) * 16000 / 1024
    grid = np.arange(1, 181)
    angles = np.arange(0.0, 181.0, 15.0)
    waves = pair.responses(45 + angles, np.zeros_like(angles), frequencies)
    cross = waves[:, 0] * waves[:, 1].conj()
    errors = {}
    for spacing in (pair.distance, pair.spacing):
        delays = spacing * np.cos(np.radians(grid)) / 343
        steering = np.exp(-2j * np.pi * frequencies[:, None] * delays)
        estimates = grid[np.argmax(np.real(cross / np.abs(cross) @ steering), axis=1)]
        errors[spacing] = np.abs(estimates - angles).mean()
    assert errors[pair.distance] > 8
    assert errors[pair.spacing] < 0.6 * errors[pair.distance]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("M1-M2",), "`pair`.*M1-M4.*M2-M3"), (("M1-M4", "soft"), "`baffle`.*'soft'")],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        MicrophonePair(*arguments)
