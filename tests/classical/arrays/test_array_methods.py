"""SRP-PHAT and MUSIC of arrays: against pyroomacoustics, against the pair, and bad input."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.arrays import DirectionGrid, MicrophoneArray
from keras_avssan.arrays.geometries import circle, unit_vector
from keras_avssan.classical import SRPPHAT, ArrayMUSIC, ArraySRPPHAT, ClassicalArrayLocalizer
from keras_avssan.simulation import simulate_rirs

RATE, SAMPLES = 16000, 8000
ARRAYS = {
    "square": MicrophoneArray(circle(4, 0.1, 45.0), "square"),
    "circle": MicrophoneArray(circle(6, 0.1), "circle"),
}
METHODS = [ArraySRPPHAT, ArrayMUSIC]
every_method = pytest.mark.parametrize("method", METHODS)
every_array = pytest.mark.parametrize("name", ARRAYS)


def apart(one, other):
    return np.abs((np.asarray(one) - other + 180) % 360 - 180)


def far_noise(array, azimuths, elevations=0.0, seed=0, snr=20.0):
    """Noise from far sources with exact delays, and noise of the microphones: (n, samples, M)."""
    rng = np.random.default_rng(seed)
    hertz = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    waves = array.responses(unit_vector(azimuths, elevations), np.maximum(hertz, 1e-3))
    source = np.fft.rfft(rng.normal(size=(len(azimuths), 1, SAMPLES)))
    audio = np.fft.irfft(source * waves, SAMPLES).swapaxes(1, 2)
    return (audio + 10 ** (-snr / 20) * rng.normal(size=audio.shape)).astype("float32")


def reverberant(array, azimuths, t60=0.3, seed=0):
    """Noise of several sources in a room of this library, (samples, M)."""
    rng = np.random.default_rng(seed)
    centre = np.array([3.1, 2.4, 1.4])
    sources = centre + 1.5 * unit_vector(azimuths, 0.0)
    rirs = simulate_rirs(
        (6.3, 5.1, 2.9), sources[None], array.placed(centre), t60=t60, length=int(t60 * RATE)
    )
    mixture = 0.0
    for responses in ops.convert_to_numpy(rirs)[0]:
        dry = rng.normal(size=RATE)
        wet = [np.convolve(dry, response)[4000 : 4000 + SAMPLES] for response in responses]
        mixture = mixture + np.stack(wet, axis=1)
    return (mixture + 0.05 * mixture.std() * rng.normal(size=mixture.shape)).astype("float32")


def of_pyroomacoustics(name, array, audio, localizer, num_sources=1, **grid):
    """Spectrum of pyroomacoustics from the same frames."""
    pra = pytest.importorskip("pyroomacoustics")
    parts = ops.convert_to_numpy(localizer.stft(audio[None]))[0].astype("float64")
    frames = (parts[..., 0::2] + 1j * parts[..., 1::2]).transpose(2, 1, 0)
    bins = np.arange(32, 257)  # from 500 to 4000 Hz in steps of 15.625 Hz
    grid = grid or {"azimuth": np.radians(np.arange(360.0))}
    reference = pra.doa.algorithms[name](
        array.positions[:, :2].T, RATE, 1024, c=343.0, num_src=num_sources, **grid
    )
    reference.locate_sources(frames, freq_bins=bins)
    return reference


@every_array
@pytest.mark.parametrize(
    ("method", "names"),
    [(ArraySRPPHAT, ["SRP"]), (ArrayMUSIC, ["MUSIC", "NormMUSIC"])],
    ids=["SRP", "MUSIC"],
)
@pytest.mark.parametrize(
    "azimuth",
    [61.3, *(pytest.param(a, marks=pytest.mark.one_backend) for a in (5.0, 140.7, 230.0, 318.2))],
)
def test_the_peak_is_that_of_pyroomacoustics(name, method, names, azimuth):
    """Within one degree, in free air and in a room."""
    array = ARRAYS[name]
    localizer = method(array)
    for audio, near in (
        (far_noise(array, [azimuth], seed=int(azimuth))[0], 1.0),
        (reverberant(array, [azimuth], seed=int(azimuth)), 6.0),
    ):
        theta = localizer.localize(audio)[0]
        assert apart(theta, azimuth) <= near
        for reference in names:
            found = of_pyroomacoustics(reference, array, audio, localizer)
            assert apart(theta, found.grid.values.argmax()) <= 1


@every_array
@pytest.mark.parametrize(
    ("method", "reference"), [(ArraySRPPHAT, "SRP"), (ArrayMUSIC, "NormMUSIC")]
)
def test_the_spectrum_is_that_of_pyroomacoustics(name, method, reference):
    """From the same frames, up to a factor."""
    array = ARRAYS[name]
    audio = reverberant(array, [61.0], seed=3)
    localizer = method(array)
    found = localizer.predict_on_batch({"audio": audio[None]})["doa"][0]
    expected = of_pyroomacoustics(reference, array, audio, localizer).grid.values
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=5e-3)


@every_array
@every_method
@pytest.mark.one_backend
def test_two_sources(name, method):
    array = ARRAYS[name]
    localizer = method(array, num_sources=2)
    audio = reverberant(array, [40.0, 250.0], seed=1)
    found = localizer.localize(audio)
    assert found.shape == (1, 2)
    np.testing.assert_allclose(np.sort(found[0]), [40.0, 250.0], atol=6)
    reference = "SRP" if method is ArraySRPPHAT else "NormMUSIC"
    theirs = of_pyroomacoustics(reference, array, audio, localizer, num_sources=2)
    expected = np.sort(np.degrees(theirs.azimuth_recon) % 360)
    assert apart(np.sort(found[0]), expected).max() <= 1


@pytest.mark.one_backend
@every_method
def test_elevations(method):
    array = MicrophoneArray(0.1 * unit_vector([45, -45, 135, -135], [35, -35, -35, 35]))
    grid = DirectionGrid(range(0, 360, 4), range(-88, 89, 4))
    found = method(array, grid=grid).localize(far_noise(array, [80, 200], [40, -20]))
    np.testing.assert_allclose(found, [(80, 40), (200, -20)], atol=4)


@pytest.mark.one_backend
@every_method
def test_microphones_on_a_rigid_sphere(method):
    array = MicrophoneArray.from_preset("starss23")
    open_air = MicrophoneArray(array.positions)
    audio = far_noise(array, [30, 130, 245])
    assert apart(method(array).localize(audio), [30, 130, 245]).max() <= 1
    assert method(array) != method(open_air)


def test_srp_phat_of_three_microphones_has_that_of_its_pairs():
    """The spectrum along a pair's axis, summed over pairs: a check without pyroomacoustics."""
    array = MicrophoneArray([(0.1, 0.0), (-0.1, 0.0), (0.0, 0.15)])
    audio = far_noise(array, [70.0, 200.0], snr=5.0)
    found = ArraySRPPHAT(array).predict_on_batch({"audio": audio})["doa"]
    expected = np.zeros((2, 360))
    azimuths = np.arange(360)
    for first, second in array.pairs():
        pair = SRPPHAT(float(array.distances([(first, second)])[0]))
        spectrum = pair.predict_on_batch({"audio": audio[..., [first, second]]})["doa"]
        # The pair's spectrum is normalised: back to mean one before the phases are added.
        angles = array.angles([(first, second)], unit_vector(azimuths, 0.0))[0]
        values = [np.interp(angles, np.arange(1, 181), row * 180) for row in spectrum]
        expected += np.array(values)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    assert apart(found.argmax(axis=1), expected.argmax(axis=1)).max() <= 2


@every_method
def test_loudness_and_silence(method):
    array = ARRAYS["square"]
    audio = far_noise(array, [100.0, 250.0, 20.0])
    audio[2] = 0.0
    found = method(array).predict_on_batch({"audio": audio})["doa"]
    assert found.dtype == "float32" and found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(found[2], 1 / 360, rtol=1e-4)
    louder = method(array).predict_on_batch({"audio": 100 * audio[:1]})["doa"]
    np.testing.assert_allclose(louder, found[:1], rtol=1e-2)


@every_method
def test_confidence_channels_and_rates(method):
    array = ARRAYS["square"]
    audio = far_noise(array, [100.0])[0]
    localizer = method(array)
    theta, share = localizer.localize(audio, return_confidence=True)
    assert theta.shape == share.shape == (1,) and 0 < share[0] < 1
    more = np.concatenate([0.1 * audio[:, :1] ** 2, audio[:, ::-1]], axis=1)
    assert localizer.localize(more, channels=(4, 3, 2, 1)) == theta
    assert apart(localizer.localize(audio, sampling_rate=RATE)[0], 100.0) <= 1
    audio[:, 2] = 0.5 * audio[:, 0]
    with pytest.warns(UserWarning, match="channels 0 and 2 hold the same signal"):
        assert localizer.localize(audio, return_confidence=True)[1][0] == 0


@every_method
@pytest.mark.backend_agnostic
def test_it_is_stored_and_restored(method):
    grid = DirectionGrid(range(0, 360, 5), [0.0, 10.0])
    localizer = method(ARRAYS["circle"], grid=grid, frequency_range=(300, 3000), num_sources=2)
    config = keras.saving.serialize_keras_object(localizer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.array == localizer.array and again.grid == grid
    assert again.get_config() == localizer.get_config()
    audio = far_noise(ARRAYS["circle"], [33.0])
    np.testing.assert_array_equal(again.localize(audio), localizer.localize(audio))
    assert "circle, 6 microphones" in repr(again)
    shape = localizer.compute_output_shape({"audio": (None, 16000, 6)})
    assert shape == {"doa": (None, 72, 2)}


LINE = MicrophoneArray([(0.0, 0.0), (0.1, 0.0), (0.2, 0.0)])


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"array": [(0, 0), (1, 0)]}, TypeError, "`array` must be a .*Received: array=list"),
        ({"array": LINE}, ValueError, "along two level axes or more"),
        ({"grid": 5}, TypeError, "`grid` must be a `DirectionGrid`"),
        ({"sampling_rate": 0}, ValueError, "`sampling_rate` must be"),
        ({"frequency_range": (501, 505)}, ValueError, "`frequency_range` must hold a bin"),
        ({"frequency_range": (500,)}, ValueError, "`frequency_range` must be"),
        ({"num_sources": 0}, ValueError, "`num_sources` must be an integer"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    for method in METHODS:
        with pytest.raises(error, match=message):
            method(**{"array": ARRAYS["square"], **arguments})


@pytest.mark.backend_agnostic
def test_more_sources_than_dimensions_are_refused():
    with pytest.raises(ValueError, match="`num_sources` must be below.*4. Received: num_sources=4"):
        ArrayMUSIC(ARRAYS["square"], num_sources=4)
    with pytest.raises(NotImplementedError):
        ClassicalArrayLocalizer(ARRAYS["square"])({"audio": np.ones((1, 8000, 4), "float32")})


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.ones((8000, 2)), r"must have 4 channel\(s\)"),
        (np.ones((8000, 4)), "must not be silent"),
        (np.random.default_rng(0).normal(size=(500, 4)), "must last from 0.064"),
        (np.random.default_rng(0).normal(size=(8000, 4)) * [1, 1, 0, 1], "channel 2 is constant"),
    ],
)
def test_bad_recordings_are_refused(audio, message):
    with pytest.raises(ValueError, match=message):
        ArraySRPPHAT(ARRAYS["square"]).localize(audio)


@pytest.mark.backend_agnostic
def test_bad_inputs_are_refused():
    localizer = ArraySRPPHAT(ARRAYS["square"])
    with pytest.raises(ValueError, match=r"`audio` must have shape \(batch, samples, 4\)"):
        localizer.predict_on_batch({"audio": np.ones((1, 8000, 2))})
    with pytest.raises(ValueError, match="at least as long as a frame"):
        localizer.predict_on_batch({"audio": np.ones((1, 100, 4))})
    with pytest.raises(TypeError, match="dict with `audio`"):
        localizer.predict_on_batch({"sound": np.ones((1, 8000, 4))})
    with pytest.raises(ValueError, match="`channels` must be 4 different channels"):
        localizer.localize(np.ones((8000, 6)), channels=(0, 1, 1, 2))
