import keras
import numpy as np
import pytest
from keras import ops
from scipy import signal

from keras_avssan.simulation import reverberation_time, simulate_rirs
from keras_avssan.simulation.diffuse_tail import diffuse_tail
from keras_avssan.simulation.expected_decay import expected_power

SIZE = (6.0, 5.0, 3.0)
REFLECTION = (0.9, 0.85, -0.8, 0.9, 0.95, 0.85)
MICROPHONES = ((3.1, 2.0, 1.5), (2.9, 2.0, 1.5))
SPEED = 343.0
RATE = 16000
ROOM = dict(
    room_size=[SIZE],
    reflection=[REFLECTION],
    microphones=[MICROPHONES],
    start=0.05,
    num_sources=1,
    length=4000,
    sampling_rate=RATE,
    seeds=[7],
)
RIGID = dict(reflection=np.ones((1, 6)), start=0.0)


def tail(**changed):
    return ops.convert_to_numpy(diffuse_tail(**(ROOM | changed)))


def test_shape_type_and_silence_before_the_start():
    found = diffuse_tail(**(ROOM | dict(start=[0.1], num_sources=3, length=3000)))
    assert ops.is_tensor(found) and tuple(found.shape) == (1, 3, 2, 3000)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    found = ops.convert_to_numpy(found)
    assert np.all(found[..., :1600] == 0) and np.all(found[..., 1600:] != 0)
    assert np.all(tail(start=1.0) == 0)


def test_values_are_the_same_on_every_backend():
    expected = [0.0, -4.063055e-04, -5.014482e-05]
    np.testing.assert_allclose(tail()[0, 0, 1, [799, 800, 3999]], expected, rtol=1e-4)


@pytest.mark.parametrize(
    "distance", [0.2, *(pytest.param(d, marks=pytest.mark.one_backend) for d in (0.04, 1.0))]
)
def test_coherence_is_that_of_an_isotropic_field(distance):
    microphones = [[(1, 1, 1), (1 + distance, 1, 1), (1, 1 + 2 * distance, 1)]]
    noise = tail(**RIGID, microphones=microphones, num_sources=8, length=64000)[0]
    for one, other, apart in ((0, 1, 1), (0, 2, 2), (1, 2, 5**0.5)):
        frequencies, cross = signal.csd(noise[:, one], noise[:, other], RATE, nperseg=512)
        powers = [signal.welch(noise[:, c], RATE, nperseg=512)[1] for c in (one, other)]
        coherence = cross.mean(0) / np.sqrt(powers[0].mean(0) * powers[1].mean(0))
        expected = np.sinc(2 * frequencies * apart * distance / SPEED)
        kept = (frequencies > 50) & (frequencies < 7000)
        assert abs(coherence - expected)[kept].max() < 0.12
        assert np.sqrt(np.mean(abs(coherence - expected)[kept] ** 2)) < 0.04


@pytest.mark.one_backend
def test_sources_are_independent():
    noise = tail(**RIGID, num_sources=3, length=64000)[0].reshape(3, -1)
    correlation = np.corrcoef(noise)[np.triu_indices(3, k=1)]
    assert abs(correlation).max() < 0.02


@pytest.mark.one_backend
def test_spectrum_is_white_up_to_the_edge():
    frequencies, power = signal.welch(tail(**RIGID, length=160000)[0, 0], RATE, nperseg=512)
    power = power.mean(0) / np.median(power)
    assert abs(10 * np.log10(power[(frequencies > 100) & (frequencies < 7600)])).max() < 1.5
    # At the Nyquist frequency the low-pass and what folds back each hold a quarter.
    assert power[frequencies > 7900].mean() == pytest.approx(0.5, abs=0.15)


def test_power_is_the_expected_one():
    length, window = 8000, 800
    noise = tail(num_sources=32, length=length)[0]
    measured = np.mean(noise.reshape(32, 2, -1, window) ** 2, axis=(0, 1, 3))[1:]
    times = (np.arange(length) + 0.5) / RATE
    expected = ops.convert_to_numpy(expected_power([SIZE], [REFLECTION], times))[0] / RATE
    expected = expected.reshape(-1, window).mean(axis=-1)[1:]
    np.testing.assert_allclose(10 * np.log10(measured / expected), 0, atol=0.3)


@pytest.mark.one_backend
def test_level_and_slope_continue_the_images():
    rng = np.random.default_rng(0)
    positions = rng.uniform(0.5, np.array(SIZE) - 0.5, (2, 8, 3))
    reflection = 0.87
    images = ops.convert_to_numpy(
        simulate_rirs(
            SIZE, positions[0, 0], positions[1], absorption=1 - reflection**2, duration=0.4
        )
    )[0]
    noise = tail(
        reflection=np.full((1, 6), reflection),
        microphones=positions[1:],
        start=0.0,
        num_sources=4,
        length=6400,
    )[0]
    high_pass = signal.butter(4, 100, btype="highpass", fs=RATE, output="sos")
    late = slice(int(0.1 * RATE), int(0.3 * RATE))
    levels = [
        10 * np.log10(np.mean(signal.sosfilt(high_pass, part)[..., late] ** 2))
        for part in (images, noise)
    ]
    assert levels[1] == pytest.approx(levels[0], abs=1.0)
    cut = images * (np.arange(6400) < 1600) + noise[0] * (np.arange(6400) >= 1600)
    times = [np.mean(reverberation_time(part, RATE)) for part in (images, cut)]
    assert times[1] == pytest.approx(times[0], rel=0.05)


@pytest.mark.one_backend
def test_room_does_not_depend_on_the_rest_of_the_batch():
    batch = dict(
        room_size=[(4, 4, 3), SIZE],
        reflection=[[0.7] * 6, REFLECTION],
        microphones=[((1, 1, 1), (2, 2, 2)), MICROPHONES],
        start=[0.01, 0.05],
        seeds=[3, 7],
    )
    alone = tail()[0]
    np.testing.assert_allclose(tail(**batch)[1], alone, atol=1e-6 * abs(alone).max())
    longer = tail(num_sources=2, length=9000)[0]
    np.testing.assert_allclose(longer[:1, :, :4000], alone, atol=1e-6 * abs(alone).max())


def test_seeds_matter():
    first, again, other = (tail(seeds=[seed]) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.1


def test_gain():
    gain = np.array([[[0.5, 2.0]]])
    expected = tail() * gain[..., None]
    np.testing.assert_allclose(tail(gain=gain), expected, rtol=1e-5)
    np.testing.assert_allclose(tail(gain=0.5), 0.5 * tail(), rtol=1e-5)


@pytest.mark.one_backend
def test_one_microphone_and_two_in_almost_one_point():
    assert np.all(np.isfinite(tail(microphones=[MICROPHONES[:1]])))
    near = tail(microphones=[((1, 1, 1), (1, 1, 1.0001))], start=0.0)[0, 0]
    assert np.corrcoef(near)[0, 1] > 0.999


@pytest.mark.parametrize(
    "name, step", [("room_size", 0.003), ("reflection", 0.003), ("microphones", 0.0005)]
)
def test_gradient_is_right(name, step, gradient):
    weights = np.random.default_rng(0).standard_normal((1, 1, 2, 1200)).astype("float32")

    def loss(value):
        found = diffuse_tail(**(ROOM | {name: value, "length": 1200}))
        return ops.sum(found * ops.convert_to_tensor(1000 * weights))

    point = np.array(ROOM[name], dtype="float32")
    found = gradient(loss, point)
    assert found.shape == point.shape and np.all(np.isfinite(found))
    for index in ((0,) * point.ndim, (0,) * (point.ndim - 1) + (1,)):
        offset = np.zeros_like(point)
        offset[index] = step
        change = float(loss(point + offset) - loss(point - offset)) / (2 * step)
        assert found[index] == pytest.approx(change, rel=0.05, abs=0.03 * float(abs(found).max()))


def test_full_absorption_is_finite(gradient):
    def loss(reflection):
        return ops.sum(ops.square(diffuse_tail(**(ROOM | {"reflection": reflection}))))

    assert abs(tail(reflection=np.zeros((1, 6)))).max() < 1e-12
    for value in (0.0, 1e-6, 0.01):
        assert np.all(np.isfinite(gradient(loss, np.full((1, 6), value, "float32"))))


BAD_INPUT = {
    "room": (dict(room_size=SIZE), "`room_size` must have shape"),
    "walls": (dict(reflection=[[0.9] * 3]), "`reflection` must have shape"),
    "microphones": (dict(microphones=MICROPHONES), "`microphones` must have shape"),
    "batches": (dict(microphones=[MICROPHONES] * 2), "`microphones` must have shape"),
    "start": (dict(start=-0.1), "`start` must be one time or 1"),
    "starts": (dict(start=[0.1, 0.2]), "`start` must be one time or 1"),
    "sources": (dict(num_sources=0), "`num_sources` must be an integer of at least 1"),
    "length": (dict(length=0), "`length` must be an integer of at least 1"),
    "sampling rate": (dict(sampling_rate=0), "`sampling_rate` must be finite and positive"),
    "seed": (dict(seeds=[-1]), r"`seeds` must be zero or more. Received: seeds\[0\]=-1"),
    "seeds": (dict(seeds=[1, 2]), "`seeds` must hold 1 integers"),
    "float seeds": (dict(seeds=[0.5]), "`seeds` must hold 1 integers"),
    "gain": (dict(gain=np.ones((3, 1, 2))), "`gain` must broadcast to"),
    "speed": (dict(speed_of_sound=0.0), "`speed_of_sound` must be finite and positive"),
}


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(case):
    changed, message = BAD_INPUT[case]
    with pytest.raises(ValueError, match=message):
        diffuse_tail(**(ROOM | changed))
