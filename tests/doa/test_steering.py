"""Delays and phases of the directions, and steering by them."""

from pathlib import Path

import numpy as np
from keras import ops

import keras_avssan
from keras_avssan.doa.steering import (
    SPEED_OF_SOUND,
    direction_delays,
    phase_transform,
    steered_response,
    steering_phases,
)


def test_the_speed_of_sound_stands_in_one_place():
    package = Path(keras_avssan.__file__).parent
    holders = [path.name for path in package.rglob("*.py") if "343.0" in path.read_text()]
    assert holders == ["steering.py"]


def test_delays_are_largest_on_the_axis_and_none_broadside():
    delays = direction_delays(0.2)
    assert delays.shape == (180,) and delays.dtype == np.float32
    assert np.abs(delays).argmin() == 89 and abs(delays[89]) < 1e-10
    np.testing.assert_allclose(delays[179], -0.2 / SPEED_OF_SOUND, rtol=1e-6)
    np.testing.assert_allclose(delays[59], 0.1 / SPEED_OF_SOUND, rtol=1e-6)
    np.testing.assert_allclose(0.2 * direction_delays(), delays, rtol=1e-6)


def test_a_delay_of_one_period_is_a_whole_turn():
    phases = steering_phases([0.0, 500.0, 1000.0], [0.0, 1e-3, -1e-3])
    np.testing.assert_allclose(phases / np.pi, [[0, 0, 0], [0, 1, -1], [0, 2, -2]])


def test_the_phase_transform_keeps_the_phase_and_silence():
    values = np.array([3 + 4j, -1e-3j, 0.0, 1e-14])
    real, imaginary = (
        ops.convert_to_numpy(part)
        for part in phase_transform(
            ops.convert_to_tensor(values.real.astype("float32")),
            ops.convert_to_tensor(values.imag.astype("float32")),
        )
    )
    np.testing.assert_allclose(real, [0.6, 0, 0, 1e-4], atol=1e-6)
    np.testing.assert_allclose(imaginary, [0.8, -1, 0, 0], atol=1e-6)


def test_the_response_is_one_where_the_phases_agree():
    phase = steering_phases(np.linspace(0, 8000, 65), direction_delays(0.05)).astype("float32")
    angles = np.array([30, 90, 145])
    spectra = (ops.convert_to_tensor(part(phase[:, angles - 1].T)) for part in (np.cos, np.sin))
    response = ops.convert_to_numpy(steered_response(*spectra, ops.convert_to_tensor(phase[None])))
    assert response.shape == (3, 180)
    np.testing.assert_array_equal(response.argmax(axis=1) + 1, angles)
    np.testing.assert_allclose(response.max(axis=1), 1.0, atol=1e-5)
