"""Common behaviour of the three methods, and the interface of the models of the library."""

import keras
import numpy as np
import pytest
import soundfile
from keras import ops

from keras_avssan import classical
from keras_avssan.classical import GCCPHAT, MUSIC, SRPPHAT, ClassicalLocalizer
from keras_avssan.doa import GRID_DEGREES

METHODS = [GCCPHAT, SRPPHAT, MUSIC]
# One shape for all recordings: JAX compiles each operation once for it.
AZIMUTHS = np.array([1.0, 20.0, 57.0, 90.0, 133.0, 165.0, 179.0])
# Of the sources that are exactly broadside, in free air without noise.
pytestmark = pytest.mark.filterwarnings("ignore:.*both channels hold the same:UserWarning")
every_method = pytest.mark.parametrize("method", METHODS)


def spectrum(localizer, audio, **inputs):
    return ops.convert_to_numpy(localizer({"audio": audio, **inputs})["doa"])


@every_method
@pytest.mark.parametrize("spacing", [0.05, 0.2])
def test_far_sources_are_found_within_a_degree(method, spacing, pure_delays):
    theta = method(spacing).localize(pure_delays(AZIMUTHS, spacing))
    assert theta.dtype == "float32"
    assert np.abs(theta - AZIMUTHS).max() <= 1


@pytest.mark.one_backend
@every_method
def test_sources_on_the_axis_are_found_within_a_degree(method, pure_delays):
    axis = np.array([0.0, 180.0, 0.0, 180.0, 0.0, 180.0, 0.0])
    np.testing.assert_allclose(method().localize(pure_delays(axis)), axis, atol=1)


@every_method
@pytest.mark.parametrize("frequency_range", [(0, 8000), (300, 1500)])
@pytest.mark.backend_agnostic
def test_other_frames_and_bands_find_them(method, frequency_range, pure_delays):
    localizer = method(frame_length=512, hop_length=200, frequency_range=frequency_range)
    theta = localizer.localize(pure_delays(AZIMUTHS))
    np.testing.assert_allclose(theta[1:-1], AZIMUTHS[1:-1], atol=1.5)


@every_method
@pytest.mark.backend_agnostic
def test_a_band_without_the_source_does_not_find_it(method, pure_delays):
    """The source is low-passed at 2 kHz; noise from elsewhere is above."""
    low, high = (np.fft.rfft(pure_delays([az], seed=az), axis=1) for az in (40, 120))
    low[:, 1000:], high[:, :1000] = 0, 0
    audio = np.fft.irfft(low + high, axis=1).astype("float32")
    assert abs(method(frequency_range=(200, 1900)).localize(audio)[0] - 40) <= 1
    assert abs(method(frequency_range=(2100, 4000)).localize(audio)[0] - 120) <= 1


@every_method
def test_spectrum_is_a_distribution(method, pure_delays):
    localizer = method()
    found = spectrum(localizer, pure_delays(AZIMUTHS))
    assert found.shape == (7, 180)
    assert found.dtype == "float32"
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)
    assert found.max() > 1.5 / 180


@pytest.mark.one_backend
@every_method
def test_exchanged_microphones_mirror_the_direction(method, pure_delays):
    audio = pure_delays(AZIMUTHS) + 0.1 * pure_delays([70.0] * 7, seed=1)
    # Index k is k + 1 degrees: 180 - θ is index 178 - k, and 180 itself has no partner.
    found, mirrored = (
        spectrum(method(), part)[1:-1, :179] for part in (audio, audio[..., ::-1].copy())
    )
    found, mirrored = (part / part.max(axis=1, keepdims=True) for part in (found, mirrored))
    np.testing.assert_array_equal(mirrored.argmax(axis=1), 178 - found.argmax(axis=1))
    np.testing.assert_allclose(mirrored, found[:, ::-1], atol=0.01)


@pytest.mark.one_backend
@every_method
def test_loudness_has_no_influence(method, pure_delays):
    audio = pure_delays(AZIMUTHS) + 0.3 * pure_delays(AZIMUTHS[::-1], seed=1)
    found = spectrum(method(), audio)
    for gain in (1e-3, 1e3):
        np.testing.assert_allclose(spectrum(method(), gain * audio), found, rtol=1e-2)


@every_method
def test_silence_is_uniform(method, pure_delays):
    audio = pure_delays(AZIMUTHS)
    audio[0] = 0
    found = spectrum(method(), audio)
    np.testing.assert_allclose(found[0], 1 / 180, rtol=1e-4)
    np.testing.assert_allclose(found[1:].argmax(axis=1) + 1, AZIMUTHS[1:], atol=1)


@every_method
def test_one_silent_channel_is_finite(method, pure_delays):
    audio = pure_delays([50.0]) * np.array([1, 0], "float32")
    found = spectrum(method(), audio)
    np.testing.assert_allclose(found, 1 / 180, rtol=1e-2)


@pytest.mark.one_backend
@every_method
def test_silent_stretches_do_not_disturb(method, pure_delays):
    audio = pure_delays([50.0])
    audio[:, 3000:] = 0
    assert abs(method().localize(audio)[0] - 50) <= 1


@pytest.mark.one_backend
@every_method
def test_a_batch_is_its_recordings_one_by_one(method, pure_delays):
    audio = pure_delays(AZIMUTHS)
    localizer = method()
    each = np.concatenate([spectrum(localizer, audio[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(spectrum(localizer, audio), each, rtol=1e-3, atol=1e-6)


@pytest.mark.backend_agnostic
def test_more_recordings_than_a_run_takes(pure_delays):
    azimuths = np.linspace(10, 170, 35)
    theta = SRPPHAT().localize(pure_delays(azimuths, samples=3000))
    np.testing.assert_allclose(theta, azimuths, atol=2)


@every_method
def test_spacing_of_each_recording_wins_over_the_layers_own(method, pure_delays):
    spacings = np.array([0.05, 0.2, 0.05, 0.2, 0.05, 0.2, 0.05], "float32")
    azimuths = np.linspace(40, 130, 7)
    parts = zip(azimuths, spacings, strict=True)
    audio = np.concatenate([pure_delays([azimuth], spacing) for azimuth, spacing in parts])
    found = spectrum(method(0.1), audio, microphone_spacing=spacings)
    np.testing.assert_allclose(found.argmax(axis=1) + 1, azimuths, atol=1)
    narrow, wide = (spectrum(method(spacing), audio) for spacing in (0.05, 0.2))
    own = np.where(spacings[:, None] < 0.1, narrow, wide)
    np.testing.assert_allclose(found, own, rtol=1e-2, atol=1e-6)
    assert np.abs(spectrum(method(0.1), audio).argmax(axis=1) + 1 - azimuths).max() > 10


@pytest.mark.one_backend
@every_method
def test_predict_on_batch_is_the_call_in_numpy(method, pure_delays):
    audio = pure_delays(AZIMUTHS)
    inputs = {"audio": audio, "prompt_embedding": np.zeros((7, 4)), "microphone_spacing": [0.1] * 7}
    outputs = method().predict_on_batch(inputs)
    assert set(outputs) == {"doa"}
    assert isinstance(outputs["doa"], np.ndarray)
    called = spectrum(method(), audio, microphone_spacing=np.full(7, 0.1, "float32"))
    np.testing.assert_allclose(outputs["doa"], called, rtol=1e-5)


@every_method
def test_inside_a_model_of_any_duration(method, pure_delays):
    localizer = method()
    audio = keras.Input((None, 2), name="audio")
    model = keras.Model(audio, localizer({"audio": audio}))
    assert model.output["doa"].shape == (None, 180)
    recordings = pure_delays(AZIMUTHS)
    found = model.predict(recordings, verbose=0)["doa"]
    np.testing.assert_allclose(found, spectrum(localizer, recordings), rtol=1e-2, atol=1e-6)
    found = model.predict(recordings[:, :5000], verbose=0)["doa"]
    np.testing.assert_allclose(found.argmax(axis=1) + 1, AZIMUTHS, atol=1)


@every_method
@pytest.mark.backend_agnostic
def test_has_no_weights_and_counts_as_built(method):
    localizer = method()
    assert localizer.built
    assert localizer.weights == []


@every_method
@pytest.mark.backend_agnostic
def test_comes_back_from_its_configuration(method, pure_delays):
    localizer = method(0.1, 8000, 256, 100, (300, 3000), name="a")
    restored = keras.layers.deserialize(keras.layers.serialize(localizer))
    assert type(restored) is method
    assert restored.get_config() == localizer.get_config()
    assert restored.frequency_range == (300.0, 3000.0)
    assert keras.saving.get_registered_name(method) == f"keras_avssan>{method.__name__}"
    audio = pure_delays([50.0])
    np.testing.assert_array_equal(spectrum(restored, audio), spectrum(localizer, audio))


@every_method
def test_stays_in_float32_under_mixed_precision(method, pure_delays):
    audio = pure_delays([50.0])
    found = spectrum(method(dtype="mixed_float16"), audio)
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, spectrum(method(), audio))


@pytest.mark.backend_agnostic
def test_a_method_of_ones_own(pure_delays):
    class AlwaysBroadside(ClassicalLocalizer):
        def spectrum(self, spectrogram, phase):
            assert spectrogram.shape == (1, 16, 225, 4)
            assert phase.shape == (1, 225, 180)
            return ops.cast(ops.abs(ops.mean(phase, axis=1)) < 1e-3, "float32")

    assert AlwaysBroadside().localize(pure_delays([30.0]))[0] == 90
    with pytest.raises(NotImplementedError):
        ClassicalLocalizer().localize(pure_delays([30.0]))


class TestLocalize:
    @pytest.fixture
    def recording(self, pure_delays):
        """One recording of exact 16-bit samples."""
        return np.round(32768 * 0.1 * pure_delays([66.0])[0]).astype("float32") / 32768

    @pytest.fixture
    def path(self, recording, tmp_path):
        soundfile.write(tmp_path / "mix.wav", recording, 16000, subtype="PCM_16")
        return tmp_path / "mix.wav"

    def test_whatever_form_the_recording_has(self, recording, path):
        localizer = SRPPHAT()
        assert localizer.localize(recording).shape == (1,)
        expected = localizer.localize(recording, return_confidence=True)
        tensor = ops.convert_to_tensor(recording)
        for audio in (recording[None], path, str(path), [path], [recording], tensor, [tensor]):
            found = localizer.localize(audio, return_confidence=True)
            np.testing.assert_array_equal(found, expected)
        several = localizer.localize([recording, path] * 3 + [path])
        np.testing.assert_array_equal(several, np.repeat(expected[0], 7))

    def test_copies_have_no_confidence_and_a_dead_channel_no_answer(self, recording):
        audio = np.stack([recording, recording[:, [0, 0]]])
        with pytest.warns(UserWarning, match=r"`audio\[1\]`: both channels hold the same"):
            theta, confidence = GCCPHAT().localize(audio, return_confidence=True)
        assert theta[1] == 90
        assert confidence[1] == 0
        assert confidence[0] == GCCPHAT().localize(recording, return_confidence=True)[1]
        with pytest.raises(ValueError, match="channel 0 is constant"):
            GCCPHAT().localize(recording * np.float32([0, 1]) + np.float32(0.1))

    @pytest.mark.backend_agnostic
    def test_presence_is_refused(self, recording):
        with pytest.raises(ValueError, match="`return_presence` needs a network.*Received: model="):
            SRPPHAT().localize(recording, return_presence=True)

    @pytest.mark.backend_agnostic
    def test_two_channels_of_several(self, recording):
        four = np.stack([recording[:, 1], *0.1 * recording.T[:, ::-1], recording[:, 0]], axis=1)
        assert SRPPHAT().localize(four, channels=(3, 0)) == SRPPHAT().localize(recording)

    def test_the_prompt_has_no_influence(self, recording):
        localizer = SRPPHAT()
        assert localizer.localize(recording, "dog.jpg") == localizer.localize(recording)

    def test_confidence_is_the_share_within_five_degrees(self, recording):
        theta, confidence = GCCPHAT().localize(recording, return_confidence=True)
        shares = spectrum(GCCPHAT(), recording[None])[0]
        assert theta[0] == GRID_DEGREES[shares.argmax()]
        expected = sum(share for j, share in enumerate(shares, 1) if abs(j - theta[0]) <= 5)
        assert confidence[0] == pytest.approx(expected, rel=1e-4)

    @pytest.mark.backend_agnostic
    def test_several_sources(self, pure_delays):
        audio = pure_delays([40.0, 66.0]) + 0.8 * pure_delays([120.0, 150.0], seed=1)
        theta, shares = SRPPHAT().localize(audio, return_confidence=True, num_sources=2)
        assert theta.shape == shares.shape == (2, 2) and theta.dtype == "float32"
        np.testing.assert_allclose(theta, [[40, 120], [66, 150]], atol=2)
        one, share = SRPPHAT().localize(audio, return_confidence=True, num_sources=1)
        np.testing.assert_array_equal(one, theta[:, 0])
        np.testing.assert_array_equal(share, shares[:, 0])
        for row, spread in enumerate(spectrum(SRPPHAT(), audio)):
            near = np.abs(GRID_DEGREES - theta[row, 1]) <= 5
            assert shares[row, 1] == pytest.approx(spread[near].sum(), rel=1e-4)

    @pytest.mark.backend_agnostic
    def test_peaks_that_there_are_not(self, recording):
        theta, shares = GCCPHAT(0.02).localize(recording, return_confidence=True, num_sources=3)
        assert np.isfinite(theta[0, 0]) and np.isnan(theta[0, 2]) and shares[0, 2] == 0
        with pytest.warns(UserWarning, match="both channels hold the same"):
            _, shares = SRPPHAT().localize(
                recording[:, [0, 0]], return_confidence=True, num_sources=2
            )
        np.testing.assert_array_equal(shares, [[0, 0]])

    @pytest.mark.backend_agnostic
    @pytest.mark.parametrize("num_sources", [0, -1, 1.5, True, None, "2"])
    def test_bad_numbers_of_sources_are_refused(self, recording, num_sources):
        with pytest.raises(ValueError, match="`num_sources` must be an integer of at least 1"):
            SRPPHAT().localize(recording, num_sources=num_sources)

    @pytest.mark.backend_agnostic
    def test_other_rates_are_resampled(self, pure_delays):
        audio = pure_delays([66.0], spacing=0.4)[0]  # said to be at 8 kHz: twice as slow
        assert abs(SRPPHAT(0.8).localize(audio, sampling_rate=8000)[0] - 66) <= 1

    @pytest.mark.backend_agnostic
    @pytest.mark.parametrize(
        ("audio", "error", "match"),
        [
            (np.ones(8000), ValueError, "`audio` must have shape"),
            (np.ones((8000, 1)), ValueError, "channel"),
            (np.ones((8000, 3)), ValueError, "channel"),
            (np.ones((1, 1, 8000, 2)), ValueError, "`audio` must have shape"),
            (np.ones((1023, 2)), ValueError, "must last from 0.064"),
            (np.zeros((8000, 2)), ValueError, "silent"),
            (np.full((8000, 2), np.nan), ValueError, "NaN"),
            (np.ones((8000, 2), "int16"), ValueError, "floating-point"),
            ([np.eye(8000, 2), np.eye(7000, 2)], ValueError, "same duration"),
            ([], ValueError, "at least one"),
            ("nowhere.wav", ValueError, "does not exist"),
            (None, TypeError, "`audio`"),
            ({"audio": 1}, TypeError, "`audio`"),
        ],
    )
    def test_unusable_recordings_are_refused(self, audio, error, match):
        with pytest.raises(error, match=match):
            SRPPHAT().localize(audio)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"microphone_spacing": 0.0}, "microphone_spacing"),
        ({"microphone_spacing": -0.2}, "microphone_spacing"),
        ({"microphone_spacing": float("nan")}, "microphone_spacing"),
        ({"sampling_rate": 0}, "sampling_rate"),
        ({"frame_length": 0}, "frame_length"),
        ({"frame_length": 255}, "frame_length"),
        ({"hop_length": 0}, "hop_length"),
        ({"frequency_range": (-1, 4000)}, "frequency_range"),
        ({"frequency_range": (500, 8001)}, "frequency_range"),
        ({"frequency_range": (4000, 500)}, "frequency_range"),
        ({"frequency_range": (500, 4000, 8000)}, "frequency_range"),
        ({"frequency_range": 4000}, "frequency_range"),
        ({"frequency_range": (500, float("nan"))}, "frequency_range"),
        ({"frequency_range": (501, 502)}, "frequency_range"),
        ({"frequency_range": (0, 10)}, "frequency_range"),
    ],
)
@pytest.mark.backend_agnostic
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        SRPPHAT(**arguments)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("inputs", "error", "match"),
    [
        ({"audio": np.ones((8000, 2))}, ValueError, "`audio` must have shape"),
        ({"audio": np.ones((1, 8000, 1))}, ValueError, "`audio` must have shape"),
        ({"audio": np.ones((1, 1023, 2))}, ValueError, "as long as a frame"),
        ({"images": np.ones((1, 2))}, TypeError, "`inputs` must be a dict with `audio`"),
        (np.ones((1, 8000, 2)), TypeError, "`inputs` must be a dict with `audio`"),
        (
            {"audio": np.ones((1, 8000, 2)), "microphone_spacing": [-0.1]},
            ValueError,
            "`microphone_spacing`",
        ),
        (
            {"audio": np.ones((1, 8000, 2)), "microphone_spacing": 0.1},
            ValueError,
            r"`microphone_spacing` must have shape \(batch,\)",
        ),
        (
            {"audio": np.ones((3, 8000, 2)), "microphone_spacing": [0.1, 0.2]},
            ValueError,
            "`microphone_spacing` must have shape",
        ),
    ],
)
def test_bad_inputs_are_named(inputs, error, match):
    with pytest.raises(error, match=match):
        SRPPHAT().predict_on_batch(inputs)


@pytest.mark.backend_agnostic
def test_a_model_of_the_wrong_shape_is_refused_when_it_is_made():
    with pytest.raises(ValueError, match="`audio` must have shape"):
        SRPPHAT()({"audio": keras.Input((None, 1))})


@pytest.mark.backend_agnostic
def test_all_methods_are_covered():
    found = {
        name
        for name in classical.__all__
        if isinstance(getattr(classical, name), type)
        if "Array" not in name and name != "ClassicalLocalizer"
    }
    assert found == {method.__name__ for method in METHODS}
