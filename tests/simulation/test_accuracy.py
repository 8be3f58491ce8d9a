"""Responses against an independent float64 reference, and against pyroomacoustics."""

import importlib.util
import pathlib

import numpy as np
import pytest
from keras import ops

from keras_avssan.simulation import simulate_rirs
from keras_avssan.simulation.absorption import sabine_absorption

RATE = 16000
SPEED = 343.0
SIZE = (5.3, 4.1, 2.7)
SOURCE = (1.7, 2.9, 1.6)
MICROPHONES = ((3.13, 1.52, 1.2), (2.95, 1.44, 1.21))
# Room, source, microphones, T60 in seconds.
ROOMS = {
    "T60 0.2 s": (SIZE, SOURCE, MICROPHONES, 0.2),
    "T60 0.4 s": ((6.9, 5.2, 3.2), (4.83, 1.07, 1.3), ((1.31, 3.9, 1.7), (1.12, 3.84, 1.7)), 0.4),
    "T60 0.6 s": ((9.2, 7.3, 3.4), (2.21, 5.6, 1.9), ((2.9, 5.13, 1.4),), 0.6),
}
SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "reference_rirs.py"
SPECIFICATION = importlib.util.spec_from_file_location("reference_rirs", SCRIPT)
reference = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(reference)


def simulate(*args, **kwargs):
    """Responses of shape `(M, length)` behind the lead of the reference."""
    return reference.with_lead(ops.convert_to_numpy(simulate_rirs(*args, **kwargs))[0])


def expect(size, source, microphones, absorption, length, **kwargs):
    reflection = np.sqrt(1 - absorption)
    return np.stack(
        [
            reference.reference_response(size, source, place, reflection, length, **kwargs)
            for place in microphones
        ]
    )


def assert_close(found, expected, limit=-60.0):
    """From 0 to 7 kHz each response may differ by so many decibels of its energy."""
    for response, wanted in zip(found, expected, strict=True):
        assert reference.relative_error(response, wanted) <= limit


def delay_between(first, second):
    """By how many samples the second response lags behind, from their phases to 7 kHz."""
    spectrum, frequencies = reference.spectra(np.stack([first, second]), lowest=100.0)
    phase = np.unwrap(np.angle(spectrum[0] * spectrum[1].conj()))
    return np.polyfit(frequencies, phase, 1)[0] / (2 * np.pi) * RATE


@pytest.mark.backend_agnostic
def test_the_reference_is_exact_up_to_7_khz():
    rng = np.random.default_rng(0)
    delays = np.append(rng.uniform(0, 1400, 200), [400.0, 400.5])
    amplitudes = rng.uniform(0.1, 1, len(delays))
    found, frequencies = reference.spectra(reference.windowed_sincs(delays, amplitudes, 2000))
    arrivals = delays + reference.LEAD
    exact = np.exp(-2j * np.pi / RATE * np.outer(frequencies, arrivals)) @ amplitudes
    assert np.linalg.norm(found - exact) < 1e-4 * np.linalg.norm(exact)  # -80 dB of the energy
    assert abs(found - exact).max() < 1e-4 * abs(exact).max()  # and at every frequency


@pytest.mark.backend_agnostic
def test_the_reference_has_the_images_of_the_geometry():
    distances, amplitudes = reference.images(SIZE, SOURCE, MICROPHONES[0], 0.5, 40.0, max_order=1)
    mirrored = [np.array(SOURCE)]
    for axis, side in enumerate(SIZE):
        for wall in (0.0, side):
            image = np.array(SOURCE)
            image[axis] = 2 * wall - image[axis]
            mirrored.append(image)
    expected = np.linalg.norm(np.subtract(mirrored, MICROPHONES[0]), axis=-1)
    gains = np.array([1] + 6 * [0.5]) / (4 * np.pi * expected)
    np.testing.assert_allclose(np.sort(distances), np.sort(expected))
    np.testing.assert_allclose(np.sort(amplitudes), np.sort(gains))
    distances, _ = reference.images(SIZE, SOURCE, MICROPHONES[0], 0.5, 40.0)
    assert len(distances) == pytest.approx(4 / 3 * np.pi * 40.0**3 / np.prod(SIZE), rel=0.05)


@pytest.mark.one_backend
@pytest.mark.parametrize("room", ROOMS)
def test_whole_responses(room):
    size, source, microphones, t60 = ROOMS[room]
    found = simulate(size, source, microphones, t60=t60)
    absorption = sabine_absorption(size, t60)
    expected = expect(size, source, microphones, absorption, round(t60 * RATE))
    assert_close(found, expected)


@pytest.mark.parametrize("absorption", [0.1, 0.9])
def test_hard_and_soft_walls(absorption):
    found = simulate(SIZE, SOURCE, MICROPHONES, absorption=absorption, duration=0.1)
    assert_close(found, expect(SIZE, SOURCE, MICROPHONES, absorption, 1600))


@pytest.mark.one_backend
def test_late_part_is_as_exact_as_the_early_one():
    # In float32 a position far out is less exact than one close by.
    found = simulate(SIZE, SOURCE, MICROPHONES[:1], absorption=0.25, duration=0.3)
    expected = expect(SIZE, SOURCE, MICROPHONES[:1], 0.25, 4800)
    time = np.arange(found.shape[-1]) - reference.LEAD
    window = np.where(time < 4000, 0.0, np.sin(np.pi * time / 800) ** 2)
    assert_close(found * window, expected * window)


def direct_path(fractions, metres=2.0):
    """Responses of single images at delays of a whole number of samples and these fractions."""
    samples = np.floor(metres / SPEED * RATE) + np.asarray(fractions)
    source = np.array([1.0, 2.0, 1.3])
    microphones = source + np.outer(samples / RATE * SPEED, [1.0, 0.0, 0.0])
    found = simulate(SIZE, source, microphones, absorption=0.5, max_order=0, duration=0.1)
    return found, samples


def test_single_images_at_any_fraction_of_a_sample():
    found, samples = direct_path(np.arange(128) / 128)
    expected = [
        reference.windowed_sincs(np.array([delay]), 1 / (4 * np.pi * delay / RATE * SPEED), 1600)
        for delay in samples[:, None]
    ]
    assert_close(found, np.stack(expected))


def test_amplitude_of_the_direct_path():
    found, samples = direct_path(np.arange(32) / 32 + 0.01)
    spectrum, _ = reference.spectra(found, lowest=100.0)
    expected = np.broadcast_to(1 / (4 * np.pi * samples[:, None] / RATE * SPEED), spectrum.shape)
    np.testing.assert_allclose(abs(spectrum), expected, rtol=0.005)


@pytest.mark.parametrize("azimuth", [0, 20, 90, 133, 180])
def test_delay_between_the_channels(azimuth):
    centre, spacing = np.array([2.5, 2.0, 1.3]), 0.2
    direction = np.array([np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth)), 0.0])
    source = centre + 1.7 * direction
    microphones = centre + np.outer([0.5, -0.5], [spacing, 0.0, 0.0])
    found = simulate(SIZE, source, microphones, absorption=0.5, max_order=0, duration=0.1)
    near, far = np.linalg.norm(source - microphones, axis=-1)
    assert delay_between(*found) == pytest.approx((far - near) / SPEED * RATE, abs=0.02)


def test_the_same_images_as_pyroomacoustics(images_of_pyroomacoustics):
    oracle = images_of_pyroomacoustics(SIZE, SOURCE, MICROPHONES, 0.3, max_order=10)
    # Its amplitude is 1 / r.
    oracle = [np.resize(np.pad(rir, (0, 6000)), 6000) / (4 * np.pi) for rir in oracle]
    oracle = reference.with_lead(oracle)
    exact = expect(SIZE, SOURCE, MICROPHONES, 0.3, 6000, max_order=10)
    found = simulate(SIZE, SOURCE, MICROPHONES, absorption=0.3, max_order=10, duration=0.375)
    # Its windowed sincs have 81 taps from a table, so that it is less exact by itself.
    assert_close(oracle, exact, limit=-50.0)
    assert_close(found, oracle, limit=-50.0)
    assert_close(found, exact)
