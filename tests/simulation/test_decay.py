import numpy as np
import pytest
from keras import ops

from keras_avssan.simulation import calibrated_absorption, reverberation_time, simulate_rirs
from keras_avssan.simulation.decay import energy_decay_curve

RATE = 16000
SIZE = (4.4, 3.6, 2.7)
SOURCE = (1.2, 2.5, 1.5)
MICROPHONE = (3.1, 1.3, 1.2)


def exponential_noise(t60, duration=None, shape=(), seed=0):
    """White noise whose power falls by 60 dB in `t60` seconds."""
    time = np.arange(round((duration or 1.5 * t60) * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal((*shape, len(time)))
    return noise * 10 ** (-3 * time / t60)


@pytest.fixture(scope="module")
def response():
    absorbed = simulate_rirs(SIZE, SOURCE, [MICROPHONE], absorption=0.3, duration=0.35)
    return ops.convert_to_numpy(absorbed)[0, 0]


@pytest.mark.backend_agnostic
def test_curve_of_a_geometric_series():
    curve = energy_decay_curve(0.5 ** np.arange(200))
    np.testing.assert_allclose(curve[:100], 20 * np.log10(0.5) * np.arange(100), atol=1e-6)


def test_curve_of_a_tensor_keeps_the_shape():
    values = np.random.default_rng(0).standard_normal((2, 3, 50)).astype("float32")
    values[0, 0, 40:] = 0
    curves = energy_decay_curve(ops.convert_to_tensor(values))
    assert curves.shape == (2, 3, 50) and curves.dtype == np.float64
    assert np.all(curves[..., 0] == 0) and np.all(np.diff(curves[1], axis=-1) <= 0)
    assert np.all(np.isneginf(curves[0, 0, 40:])) and np.all(np.isfinite(curves[0, 0, :40]))
    np.testing.assert_array_equal(curves, energy_decay_curve(values))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("t60", [0.2, 0.5, 1.2])
@pytest.mark.parametrize("decay", [20.0, 30.0])
def test_time_of_exponential_noise(t60, decay):
    times = reverberation_time(exponential_noise(t60, shape=(2, 4)), RATE, decay=decay)
    assert times.shape == (2, 4)
    np.testing.assert_allclose(times.mean(), t60, rtol=0.02)


@pytest.mark.backend_agnostic
def test_high_pass_leaves_out_what_grows_near_zero_hertz():
    noise = exponential_noise(0.4)
    growing = noise + 0.2 * np.arange(len(noise)) / RATE * 10 ** (
        -3 * np.arange(len(noise)) / RATE / 0.4
    ) / (0.01)
    assert reverberation_time(growing, RATE, high_pass=None) > 1.05 * 0.4
    assert reverberation_time(growing, RATE) == pytest.approx(0.4, rel=0.03)


@pytest.mark.backend_agnostic
def test_padding_with_zeros_changes_nothing():
    noise = exponential_noise(0.3)
    padded = np.concatenate([noise, np.zeros(5000)])
    assert reverberation_time(padded, RATE) == pytest.approx(reverberation_time(noise, RATE))


@pytest.mark.backend_agnostic
def test_nan_where_the_decay_is_too_short():
    enough, cut = exponential_noise(0.4, 0.4), exponential_noise(0.4, 0.25)
    steady = np.random.default_rng(0).standard_normal(4000)
    assert np.isfinite(reverberation_time(enough, RATE))
    for short in (cut, steady, np.zeros(4000), np.eye(1, 4000)[0]):
        assert np.isnan(reverberation_time(short, RATE))
    assert np.isfinite(reverberation_time(cut, RATE, decay=15.0))


@pytest.mark.backend_agnostic
def test_agrees_with_the_measurement_of_pyroomacoustics(response):
    experimental = pytest.importorskip("pyroomacoustics.experimental")
    expected = experimental.measure_rt60(response, fs=RATE, decay_db=30)
    measured = reverberation_time(response, RATE, high_pass=None)
    assert measured == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("size, absorption, duration", [(SIZE, 0.3, 0.3), ((7, 5, 3), 0.5, 0.25)])
def test_responses_decay_like_those_of_pyroomacoustics(
    size, absorption, duration, images_of_pyroomacoustics
):
    found = simulate_rirs(size, SOURCE, [MICROPHONE], absorption=absorption, duration=duration)
    max_order = int(343.0 * duration * np.linalg.norm(1 / np.array(size))) + 3
    (images,) = images_of_pyroomacoustics(size, SOURCE, [MICROPHONE], absorption, max_order)
    measured, oracle = (
        reverberation_time(response, RATE)
        for response in (ops.convert_to_numpy(found)[0, 0], images[: round(duration * RATE)])
    )
    assert measured == pytest.approx(float(oracle), rel=0.05)


# A small, a long and a large room and a hall, to T60s that pyroomacoustics simulates in a second.
ROOMS_AND_T60S = [
    *((SIZE, t60) for t60 in (0.2, 0.5)),
    ((8.0, 4.0, 2.5), 0.5),
    *(((10.0, 8.0, 4.0), t60) for t60 in (0.2, 0.5, 0.8)),
    *(((16.0, 14.0, 9.0), t60) for t60 in (0.5, 0.8, 1.2)),
]


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("size, t60", ROOMS_AND_T60S)
def test_measured_t60_is_that_of_pyroomacoustics(size, t60, images_of_pyroomacoustics):
    absorption = float(calibrated_absorption(size, t60))
    source, microphone = np.array(size) * [0.27, 0.69, 0.55], np.array(size) * [0.7, 0.36, 0.45]
    found = simulate_rirs(size, source, microphone[None], absorption=absorption, duration=t60)
    max_order = int(343.0 * t60 * np.linalg.norm(1 / np.array(size))) + 3
    (images,) = images_of_pyroomacoustics(size, source, [microphone], absorption, max_order)
    measured, oracle = (
        reverberation_time(response, RATE)
        for response in (ops.convert_to_numpy(found)[0, 0], images[: round(t60 * RATE)])
    )
    # Both have the same images; positions of a room scatter around the requested T60.
    assert measured == pytest.approx(float(oracle), rel=0.005)
    assert measured == pytest.approx(t60, rel=0.2)


BAD_INPUT = {
    "scalar": (dict(rirs=1.0), "`rirs` must have shape"),
    "empty": (dict(rirs=np.zeros((2, 0))), "`rirs` must have shape"),
    "rate": (dict(sampling_rate=0), "`sampling_rate` must be finite and positive"),
    "decay": (dict(decay=-30.0), "`decay` must be finite and positive"),
    "high_pass": (dict(high_pass=0.0), "`high_pass` must be finite and positive"),
    "nyquist": (dict(high_pass=8000.0), "`high_pass` must be below half the sampling rate"),
}


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(case):
    changed, message = BAD_INPUT[case]
    with pytest.raises(ValueError, match=message):
        reverberation_time(**(dict(rirs=np.ones(100), sampling_rate=RATE) | changed))
