import keras
import numpy as np
import pytest
import scipy.signal
from keras import ops

from keras_avssan.simulation import (
    arc_trajectory,
    linear_trajectory,
    render_moving,
    simulate_rirs,
)

RATE = 16000
SPEED = 343.0
SIZE = (5.3, 4.1, 2.7)
PAIR = np.array([(2.6, 2.0, 1.3), (2.5, 2.0, 1.3)])


def render(*args, **kwargs):
    return ops.convert_to_numpy(render_moving(*args, **kwargs))


def interpolated_rir(rirs, times, time, fade="linear"):
    """The response at one time, in float64."""
    if time <= times[0]:
        return rirs[0]
    if time >= times[-1]:
        return rirs[-1]
    after = int(np.searchsorted(times, time, side="right"))
    share = (time - times[after - 1]) / (times[after] - times[after - 1])
    if fade == "cosine":
        share = np.sin(np.pi / 2 * share) ** 2
    return (1 - share) * rirs[after - 1] + share * rirs[after]


def reference(signal, rirs, times, fade="linear"):
    """Every sample, `(samples,)`, sends out the response of its own time, of `(S, M, length)`."""
    rirs = np.asarray(rirs, "float64")
    output = np.zeros((len(signal) + rirs.shape[-1], rirs.shape[1]))
    for index, value in enumerate(np.asarray(signal, "float64")):
        rir = interpolated_rir(rirs, times, index / RATE, fade)
        output[index : index + rirs.shape[-1]] += value * rir.T
    return output[: len(signal)]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr("keras_avssan.simulation.moving_source._MIN_BLOCK", 128)


def assert_close(found, expected, tolerance=1e-5):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=tolerance * abs(expected).max())


@pytest.mark.parametrize("fade", ["linear", "cosine"])
@pytest.mark.parametrize(
    "samples, length, times",
    [
        (700, 100, [0.0, 0.01, 0.02, 0.03, 0.04]),
        (700, 100, [-0.02, 0.004, 0.0041, 0.03, 0.2]),  # uneven, and beyond the signal
        (500, 129, [0.012, 0.0121, 0.0122, 0.0123, 0.0124]),  # within one block
        (90, 300, [0.0, 0.001, 0.002, 0.003, 0.004]),  # responses longer than the signal
        (256, 1, [0.0, 0.004, 0.008, 0.012, 0.016]),
    ],
)
def test_matches_the_reference(small_blocks, samples, length, times, fade):
    rng = np.random.default_rng(0)
    signal, rirs = rng.standard_normal(samples), rng.standard_normal((5, 2, length))
    assert_close(render(signal, rirs, times, fade=fade), reference(signal, rirs, times, fade))


@pytest.mark.one_backend
def test_batches(small_blocks):
    rng = np.random.default_rng(1)
    signals, rirs = rng.standard_normal((3, 400)), rng.standard_normal((3, 4, 2, 80))
    times = [0.0, 0.005, 0.015, 0.02]
    both = render(signals, rirs, times)
    one_signal = render(signals[0], rirs, times)
    one_movement = render(signals, rirs[:1], times)
    for row in range(3):
        assert_close(both[row], reference(signals[row], rirs[row], times))
        assert_close(one_signal[row], reference(signals[0], rirs[row], times))
        assert_close(one_movement[row], reference(signals[row], rirs[0], times))
    assert render(signals[0], rirs[:1], times).shape == (1, 400, 2)
    assert_close(render(signals, rirs[0], times), one_movement)


@pytest.mark.parametrize("fade", ["linear", pytest.param("cosine", marks=pytest.mark.one_backend)])
@pytest.mark.parametrize("positions", [1, pytest.param(2, marks=pytest.mark.one_backend), 30])
def test_a_source_that_rests_is_the_plain_convolution(positions, fade):
    rng = np.random.default_rng(2)
    signal, rir = rng.standard_normal(10_000), rng.standard_normal((2, 700))
    rirs = np.broadcast_to(rir, (positions, 2, 700))
    expected = scipy.signal.fftconvolve(signal[None], rir, axes=-1)[:, :10_000].T
    found = render(signal, rirs, np.linspace(0, 0.5, positions), fade=fade)
    assert_close(found, expected)


def test_sound_goes_with_the_position_at_which_it_left():
    """An impulse halfway gives half of each response, however long they last."""
    rirs = np.zeros((3, 1, 4000), "float32")
    rirs[0, 0, 10], rirs[1, 0, 20], rirs[2, 0, 3000] = 1.0, 2.0, 4.0
    signal = np.zeros(8000, "float32")
    signal[800], signal[1600], signal[2400] = 1.0, 1.0, 1.0
    found = render(signal, rirs, [0.0, 0.1, 0.2])[:, 0]
    expected = np.zeros(8000)
    expected[[810, 820]] = 0.5, 1.0
    expected[1620] = 2.0
    expected[[2420, 5400]] = 1.0, 2.0
    np.testing.assert_allclose(found, expected, atol=1e-5)


def arc_responses(azimuths, num_positions, duration):
    arc = arc_trajectory(PAIR, 1.5, azimuths, duration, num_positions)
    responses = simulate_rirs(SIZE, arc.positions, PAIR, absorption=0.7, max_order=0, duration=0.02)
    return arc, responses


def delay_between(audio, max_lag=10, oversampling=16):
    """By how many samples channel 0 leads, from the peak of the cross-correlation."""
    first, second = np.fft.rfft(audio.T, 2 * len(audio))
    fine = np.fft.irfft(np.conj(first) * second, 2 * len(audio) * oversampling)
    lags = np.arange(-max_lag * oversampling, max_lag * oversampling + 1)
    return lags[np.argmax(fine[lags])] / oversampling


@pytest.mark.one_backend
def test_delay_between_channels_follows_the_arc():
    duration, window = 1.0, 1600
    arc, responses = arc_responses((30.0, 150.0), 160, duration)
    noise = np.random.default_rng(3).standard_normal(int(duration * RATE))
    low = scipy.signal.butter(4, 4000, fs=RATE, output="sos")
    audio = render(scipy.signal.sosfilt(low, noise), responses, arc.times)
    travel = np.linalg.norm(arc.positions - PAIR.mean(axis=0), axis=1).mean() / SPEED
    found, expected = [], []
    for start in range(0, len(audio) - window, window):
        centre = (start + window / 2) / RATE - travel
        near, far = np.linalg.norm(arc.at(centre) - PAIR, axis=-1)
        found.append(delay_between(audio[start : start + window]))
        expected.append((far - near) / SPEED * RATE)
    assert np.ptp(expected) > 6
    np.testing.assert_allclose(found, expected, atol=0.15)
    assert np.all(np.diff(found) < 0)


@pytest.mark.backend_agnostic
def test_takes_what_the_simulation_gives_with_and_without_a_batch():
    arc, responses = arc_responses((30.0, 60.0), 5, 0.1)
    signal = np.random.default_rng(5).standard_normal(1600)
    batched = simulate_rirs(
        SIZE, arc.positions[None], PAIR, absorption=0.7, max_order=0, duration=0.02
    )
    assert tuple(batched.shape) == (1, *responses.shape)
    assert_close(render(signal, batched, arc.times)[0], render(signal, responses, arc.times))


@pytest.mark.backend_agnostic
def test_tone_between_two_positions_fades_as_the_docstring_says():
    frequency, difference = 4000.0, 0.02
    source = PAIR[0] + [1.0, 0, 0]
    two = np.stack([source, source + [difference, 0, 0]])
    responses = simulate_rirs(SIZE, two, PAIR[:1], absorption=0.7, max_order=0, duration=0.02)
    tone = np.sin(2 * np.pi * frequency * np.arange(1600) / RATE)
    # So slow that the source is halfway all the time.
    halfway = render(tone, responses, [-1000.0, 1000.0])[800:, 0]
    resting = render(tone, responses[:1], [0.0])[800:, 0]
    loss = np.std(halfway) / np.std(resting)
    assert loss == pytest.approx(np.cos(np.pi * frequency * difference / SPEED), rel=0.02)


def loudest_frequency(num_positions, frequency, speed):
    """Of a tone whose source comes nearer at so many metres a second, in hertz."""
    path = linear_trajectory((7, 2, 1.5), (7 - speed, 2, 1.5), 1.0, num_positions)
    responses = simulate_rirs(
        (9, 4, 3), path.positions, [(1, 2, 1.5)], absorption=0.7, max_order=0, duration=0.03
    )
    tone = np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)
    heard = render(tone, responses, path.times)[2000:14000, 0]
    spectrum = abs(np.fft.rfft(heard * np.hanning(len(heard)), 16 * len(heard)))
    return np.argmax(spectrum) * RATE / (16 * len(heard))


@pytest.mark.backend_agnostic
def test_dense_positions_alone_give_the_doppler_shift():
    frequency, speed = 2000.0, 5.0
    shifted = frequency / (1 - speed / SPEED)
    half_wavelengths = 2 * speed * frequency / SPEED  # on the way
    dense, sparse = (round(share * half_wavelengths) for share in (3.0, 0.7))
    assert loudest_frequency(dense, frequency, speed) == pytest.approx(shifted, abs=1.0)
    assert abs(loudest_frequency(sparse, frequency, speed) - shifted) > 10.0


def test_result_is_a_float32_tensor():
    audio = render_moving(np.ones(100), np.ones((2, 3, 10)), [0.0, 0.001])
    assert ops.is_tensor(audio)
    assert keras.backend.standardize_dtype(audio.dtype) == "float32"
    assert tuple(audio.shape) == (100, 3)


@pytest.mark.parametrize("wanted", ["signal", "rirs"])
def test_gradients(wanted, gradient, small_blocks):
    """The rendering is linear in either, so a difference of any size has the gradient's slope."""
    rng = np.random.default_rng(4)
    values = {
        "signal": rng.standard_normal((2, 300)).astype("float32"),
        "rirs": rng.standard_normal((2, 3, 2, 50)).astype("float32"),
    }
    weights = ops.convert_to_tensor(rng.standard_normal((2, 300, 2)), "float32")

    def score(value):
        changed = values | {wanted: value}
        return ops.sum(
            render_moving(changed["signal"], changed["rirs"], [0.0, 0.006, 0.015]) * weights
        )

    slope = gradient(score, values[wanted])
    step = rng.standard_normal(values[wanted].shape).astype("float32")
    change = float(ops.convert_to_numpy(score(values[wanted] + step) - score(values[wanted])))
    assert slope.shape == step.shape
    assert np.sum(slope * step) == pytest.approx(change, rel=1e-3)


BAD_INPUT = {
    "times fall": (
        dict(times=[0.0, 0.2, 0.1]),
        r"`times` must increase. Received: times\[2\]=0.1 after 0.2",
    ),
    "times rest": (dict(times=[0.0, 0.1, 0.1]), "`times` must increase"),
    "time is nan": (dict(times=[0.0, np.nan, 0.1]), "`times` must be finite"),
    "times of a batch": (dict(times=[[0.0, 0.1, 0.2]]), r"`times` must have shape \(S,\)"),
    "too few times": (
        dict(times=[0.0, 0.1]),
        r"same number of positions. Received: rirs of shape .*, times of length 2",
    ),
    "signal rank": (dict(signal=np.ones((1, 1, 9))), "`signal` must have shape"),
    "no samples": (dict(signal=np.ones(0)), "`signal` must have shape"),
    "signal is nan": (dict(signal=[0.0, np.nan]), r"`signal` must be finite. .* at \[1\]$"),
    "signal of a batch is nan": (
        dict(signal=[[0.0, 1.0], [np.inf, 1.0]]),
        r"`signal` must be finite. .* at \[1, 0\], index 1 of the batch",
    ),
    "rirs rank": (dict(rirs=np.ones((3, 10))), "`rirs` must have shape"),
    "rirs without length": (dict(rirs=np.ones((3, 2, 0))), "`rirs` must have shape"),
    "rirs are nan": (dict(rirs=np.full((3, 2, 5), np.nan)), r"`rirs` must be finite"),
    "batches differ": (
        dict(signal=np.ones((2, 9)), rirs=np.ones((3, 3, 2, 5))),
        "`signal` and `rirs` must have the same batch size",
    ),
    "sampling rate": (dict(sampling_rate=0), "`sampling_rate` must be finite and positive"),
    "fade": (dict(fade="step"), r"`fade` must be one of \['linear', 'cosine'\]"),
}


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(case):
    changed, message = BAD_INPUT[case]
    arguments = dict(signal=np.ones(9), rirs=np.ones((3, 2, 5)), times=[0.0, 0.1, 0.2])
    with pytest.raises(ValueError, match=message):
        render_moving(**(arguments | changed))
