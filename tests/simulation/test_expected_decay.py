import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.simulation import calibrated_absorption, reverberation_time, simulate_rirs
from keras_avssan.simulation.expected_decay import expected_power

SIZE = (5.0, 3.5, 2.5)
REFLECTION = (0.9, 0.5, -0.8, 0.7, 0.6, 0.95)
SPEED = 343.0
RATE = 16000


def power(size, reflection, times, **kwargs):
    return ops.convert_to_numpy(expected_power(size, reflection, times, **kwargs))


def enumerated_power(size, reflection, edges, num_pairs, seed=0):
    """Energy a second between `edges` of time, averaged over random pairs of positions."""
    rng = np.random.default_rng(seed)
    reach = [math.ceil(edges[-1] * SPEED / side) + 1 for side in size]
    axes = []
    for axis, side in enumerate(size):
        cells = np.arange(-reach[axis], reach[axis] + 1)
        source, receiver = rng.uniform(0, side, (2, num_pairs, 1))
        # In odd cells the room lies mirrored. The first wall on the way to a cell k > 0 is the far
        # one, to k < 0 the near one; from then on they take turns.
        place = cells * side + np.where(cells % 2, side - source, source)
        near, far = reflection[2 * axis : 2 * axis + 2]
        first, second = np.where(cells > 0, far, near), np.where(cells > 0, near, far)
        order = abs(cells)
        energy = (first ** ((order + 1) // 2) * second ** (order // 2)) ** 2.0
        axes.append((place - receiver, energy))
    total = np.zeros(len(edges) - 1)
    for pair in range(num_pairs):
        offsets = [offset[pair] for offset, _ in axes]
        square = offsets[0][:, None, None] ** 2 + offsets[1][:, None] ** 2 + offsets[2] ** 2
        energy = axes[0][1][:, None, None] * axes[1][1][:, None] * axes[2][1]
        energy = energy / (16 * np.pi**2 * square)
        total += np.histogram(np.sqrt(square) / SPEED, edges, weights=energy)[0]
    return total / num_pairs / np.diff(edges)


def test_is_the_mean_over_all_positions():
    edges = np.linspace(0.01, 0.06, 11)
    found = power([SIZE], [REFLECTION], (edges[1:] + edges[:-1]) / 2)[0]
    expected = enumerated_power(SIZE, REFLECTION, edges, num_pairs=400)
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_rigid_walls_keep_the_power():
    found = power([SIZE], [[1.0] * 6], [0.0, 0.1, 1.0])
    np.testing.assert_allclose(found, SPEED / (4 * np.pi * np.prod(SIZE)), rtol=1e-4)


def test_sign_batch_and_times():
    sizes, reflections = np.array([SIZE, (6, 4, 3)]), np.array([REFLECTION, [0.8] * 6])
    times = np.array([[0.05, 0.1], [0.2, 0.3]])
    found = power(sizes, reflections, times)
    assert found.shape == (2, 2) and found.dtype == np.float32
    np.testing.assert_allclose(power(sizes, -reflections, times), found, rtol=1e-6)
    np.testing.assert_allclose(power(sizes, reflections, times[0])[0], found[0], rtol=1e-6)
    np.testing.assert_allclose(power(sizes[1:], reflections[1:], times[1])[0], found[1], rtol=1e-6)


def test_gradient_is_right(gradient):
    weights = ops.convert_to_tensor([1.0, -2.0, 3.0])
    times = np.array([0.013, 0.03, 0.06])

    def of_reflection(reflection):
        return ops.sum(expected_power([SIZE], reflection, times) * weights)

    def of_size(size):
        return ops.sum(expected_power(size, [REFLECTION], times) * weights)

    for function, point in ((of_reflection, [REFLECTION]), (of_size, [SIZE])):
        point = np.array(point, dtype="float32")
        changes = differences(function, point, step=0.01)
        found = gradient(function, point)[0]
        np.testing.assert_allclose(found, changes, rtol=0.05, atol=0.02 * abs(changes).max())


def differences(function, point, step):
    """Central differences of a function of one row."""
    return np.array(
        [
            float(function(point + offset) - function(point - offset)) / (2 * step)
            for offset in step * np.eye(point.shape[1], dtype="float32")
        ]
    )


@pytest.mark.parametrize("value", [0.0, 1e-8])
def test_full_absorption_is_finite(value, gradient):
    times = np.array([0.001, 0.02, 0.5])

    def total(reflection):
        return ops.sum(expected_power([SIZE], reflection, times))

    found = power([SIZE], [[value] * 6], times)
    assert np.all(np.isfinite(found)) and found[0, 0] > 0 and found[0, 2] == 0
    assert np.all(np.isfinite(gradient(total, np.full((1, 6), value, "float32"))))


def test_power_is_a_float32_tensor():
    found = expected_power([SIZE], [REFLECTION], [0.1])
    assert ops.is_tensor(found)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(room_size=SIZE), "`room_size` must have shape"),
        (dict(reflection=[[0.5] * 3]), "`reflection` must have shape"),
        (dict(times=[[0.1], [0.2]]), "`times` must have shape"),
        (dict(times=[]), "`times` must have shape"),
        (dict(speed_of_sound=0.0), "`speed_of_sound` must be finite and positive"),
    ],
)
def test_power_refuses(changed, message):
    arguments = dict(room_size=[SIZE], reflection=[REFLECTION], times=[0.1])
    with pytest.raises(ValueError, match=message):
        expected_power(**(arguments | changed))


@pytest.mark.parametrize(
    "size, t60",
    [
        ((6, 5, 3), 0.4),
        pytest.param((3, 3, 2.5), 1.2, marks=pytest.mark.one_backend),
        pytest.param((10, 8, 4), 0.2, marks=pytest.mark.one_backend),
    ],
)
def test_calibrated_absorption_gives_the_expected_decay_its_t60(size, t60):
    absorption = calibrated_absorption(size, t60, interference=False)
    times = np.arange(round(1.2 * t60 * 2000)) / 2000
    decay = power([size], [[np.sqrt(1 - absorption)] * 6], times)[0]
    assert reverberation_time(np.sqrt(decay), 2000, high_pass=None) == pytest.approx(t60, rel=0.01)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    "size, t60",
    [
        ((6, 5, 3), 0.3),
        ((3.5, 3, 2.5), 0.4),
        ((10, 8, 4), 0.25),
        ((8, 4, 2.5), 0.3),
        ((10, 3, 2.5), 0.4),
    ],
)
def test_calibrated_t60_is_measured_on_responses(size, t60):
    places = np.random.default_rng(0).uniform(0.1, 0.9, (12, 3)) * size
    rirs = simulate_rirs(size, places[None, :4], places[4:], t60=t60, calibrate=True)
    assert np.median(reverberation_time(rirs, RATE)) == pytest.approx(t60, rel=0.05)


@pytest.mark.backend_agnostic
def test_calibrated_absorption_of_a_batch():
    sizes, times = np.array([SIZE, (6, 5, 3)]), np.array([0.3, 0.5])
    found = calibrated_absorption(sizes, times)
    assert found.shape == (2,) and found.dtype == np.float64
    for size, time, absorption in zip(sizes, times, found, strict=True):
        single = calibrated_absorption(size, time)
        assert single.shape == () and single == pytest.approx(absorption)
    assert np.all(np.diff(calibrated_absorption(SIZE, [0.2, 0.4, 0.8, 1.2])) < 0)


@pytest.mark.backend_agnostic
def test_calibrated_absorption_scales_with_the_speed_of_sound():
    slow = calibrated_absorption(SIZE, 0.8, speed_of_sound=SPEED / 2, interference=False)
    assert slow == pytest.approx(calibrated_absorption(SIZE, 0.4, interference=False), rel=1e-4)


@pytest.mark.backend_agnostic
def test_a_tail_is_calibrated_without_interference():
    source, microphones = (1.0, 1.5, 1.2), [(3.0, 2.0, 1.4)]
    for tail in (False, True):
        options = dict(image_duration=0.1, duration=0.3, tail=tail)
        absorption = calibrated_absorption(SIZE, 0.3, interference=not tail)
        expected = simulate_rirs(SIZE, source, microphones, absorption=absorption, **options)
        found = simulate_rirs(SIZE, source, microphones, t60=0.3, calibrate=True, **options)
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (found, expected)), atol=1e-6)


@pytest.mark.backend_agnostic
def test_unreachable_t60_names_its_room():
    sizes = [[3, 3, 2.5], [10, 8, 4]]
    with pytest.raises(ValueError, match=r"0\.08 s \(index 1 of the batch\) .* 10 x 8 x 4 m"):
        calibrated_absorption(sizes, [0.3, 0.08])
    with pytest.raises(ValueError, match=r"`t60` of 0\.01 s cannot be reached"):
        calibrated_absorption(SIZE, 0.01)
    with pytest.raises(ValueError, match=r"less than 0\.001\. Give a shorter `t60`"):
        calibrated_absorption(SIZE, 1e5)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(t60=-0.3), "`t60` must be finite and positive"),
        (dict(room_size=(6, 5)), "`room_size` must end in three lengths"),
        (dict(speed_of_sound=0.0), "`speed_of_sound` must be finite and positive"),
    ],
)
def test_calibration_refuses(changed, message):
    with pytest.raises(ValueError, match=message):
        calibrated_absorption(**(dict(room_size=SIZE, t60=0.4) | changed))
