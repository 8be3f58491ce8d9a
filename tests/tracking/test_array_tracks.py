"""Tracks and streams of arrays: the answers of `localize` for each window, on a whole circle."""

import numpy as np
import pytest

from keras_avssan.arrays import MicrophoneArray
from keras_avssan.arrays.geometries import unit_vector
from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.models import ArrayLocalizer
from keras_avssan.tracking import LocalizerStream, MotionModel
from keras_avssan.tracking.array_pairs import ArrayPairs
from keras_avssan.tracking.smoothing import find_directions, smooth_scores
from keras_avssan.tracking.track import make_tracks, one_prompt
from keras_avssan.tracking.window_scores import WindowScores
from keras_avssan.tracking.windows import WindowGrid

pytestmark = pytest.mark.backend_agnostic

RATE = 16000
SQUARE = MicrophoneArray([(0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1)])
SIDES = np.array([[0, 1], [3, 2], [0, 3], [1, 2]])
PAIRS = ArrayPairs(SQUARE, SIDES, None, np.ones(4))
LOUD, DEAF = [0.01, 0.0], [10.0, 0.0]
WINDOWS = {"window": 0.5, "hop": 0.25}


def sound_from(azimuth, samples, rng, rate=RATE):
    """White noise (samples, 4) of a far source, at the square."""
    source = np.fft.rfft(rng.normal(size=samples))
    hertz = np.fft.rfftfreq(samples, 1 / rate)
    earlier = SQUARE.positions @ unit_vector(azimuth, 0.0) / 343.0
    four = np.fft.irfft(source[:, None] * np.exp(2j * np.pi * np.outer(hertz, earlier)), samples, 0)
    return (0.1 * (four + 0.01 * rng.normal(size=four.shape))).astype("float32")


@pytest.fixture(scope="module")
def around():
    """A recording of 5 s: every half second 8 degrees further, from 324 through 0 to 36."""
    rng = np.random.default_rng(0)
    return np.concatenate([sound_from(324 + 8 * step, RATE // 2, rng) for step in range(10)])


@pytest.fixture
def square_network(network):
    """The stand-in for a network, which is used with the sides of the square."""
    network._array_pairs = lambda array: PAIRS
    return network


def track_of(network, audio, prompt=LOUD, smoothing="online", rate=RATE, **arguments):
    defaults = {"motion": None, "min_presence": 0.5, "channels": None, "batch_size": 32}
    (track,) = make_tracks(
        network,
        audio,
        [one_prompt(network, prompt, None, None)],
        **{**WINDOWS, **defaults, "sampling_rate": rate, "progress": False, **arguments},
        smoothing=smoothing,
        pairs=PAIRS,
    )
    return track


def apart(first, second):
    return np.abs((np.asarray(first) - second + 180) % 360 - 180)


@pytest.mark.parametrize("smoothing", [None, "online", "offline"])
def test_a_source_is_followed_through_zero(square_network, around, smoothing):
    found = track_of(square_network, around, smoothing=smoothing)
    assert found.valid.all() and found.posteriors.shape == (len(found), 360)
    np.testing.assert_array_equal(found.degrees, np.arange(360))
    assert found.azimuth.min() < 40 and found.azimuth.max() > 320
    late = 8.0 if smoothing == "online" else 0.0  # the filter trails a source that moves
    assert apart(found.azimuth[::2], 324 + 8 * np.arange(10)).max() <= 2.0 + late
    assert found.spread[4:].max() < 25  # after the first windows of the filter


@pytest.mark.parametrize("kind", ["small", "candidates"])
def test_windows_are_what_localize_is_given(make_small_model, make_candidates, around, kind):
    make = make_small_model if kind == "small" else make_candidates
    model = make(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    pictures = list(np.random.default_rng(0).uniform(size=(2, 16, 16, 3)))
    audio = around[:20000]
    tracks = model.track(audio, pictures, 0.5, 0.6, min_presence=None, array=SQUARE)
    localizer = ArrayLocalizer(model, SQUARE)
    for picture, track in zip(pictures, tracks, strict=True):
        alone = model.track(audio, picture, 0.5, 0.6, min_presence=None, array=SQUARE)
        assert len(track) == len(alone) == 2
        np.testing.assert_allclose(track.posteriors, alone.posteriors, atol=1e-6)
        for row, start in enumerate((0, 9600)):
            stretch = audio[start : start + 8000]
            answer = localizer.answer(stretch, picture)
            np.testing.assert_allclose(alone.raw_posteriors[row], answer.posterior[0], atol=1e-6)
            assert alone.azimuth[row] == answer.directions[0]
            assert alone.azimuth[row] == model.localize(stretch, picture, array=SQUARE)[0]
            if kind == "candidates":
                assert alone.presence[row] == pytest.approx(answer.presence[0], abs=1e-5)


@pytest.mark.parametrize("smoothing", ["online", None])
@pytest.mark.parametrize("seed", range(4))
def test_a_stream_equals_the_track(square_network, around, smoothing, seed):
    audio = around.copy()
    audio[RATE : 2 * RATE] = 0.0
    audio[30000:42000] *= 0.05
    audio[50000, 3] = np.nan
    audio[64000:, 2] = 0.0
    rng = np.random.default_rng(seed)
    largest = (9000, 300, 40000, 4000)[seed]
    prompts = {"loud": LOUD, "deaf": DEAF}
    stream = LocalizerStream(square_network, prompts, **WINDOWS, smoothing=smoothing, array=SQUARE)
    estimates, start = [], 0
    while start < len(audio):
        size = int(rng.integers(0, largest))
        estimates += stream.push(audio[start : start + size])
        start += size
    for name, prompt in prompts.items():
        track = track_of(square_network, audio, prompt, smoothing)
        ours = [one for one in estimates if one.prompt == name]
        assert [one.time for one in ours] == pytest.approx(track.times.tolist())
        posteriors = np.stack([one.posterior for one in ours])
        np.testing.assert_allclose(posteriors, track.posteriors, atol=1e-6)
        np.testing.assert_array_equal([one.azimuth for one in ours], track.azimuth)
        np.testing.assert_allclose([one.spread for one in ours], track.spread, rtol=1e-4)
        np.testing.assert_allclose([one.presence for one in ours], track.presence, atol=1e-6)
        assert [one.gap for one in ours] == track.gaps.tolist()
        if name == "loud":
            assert {"silent", "not finite", "dead channel", ""} <= set(track.gaps)
        else:
            assert "" not in track.gaps


def test_a_stream_of_a_network_equals_the_track(make_candidates, around):
    """At another rate, of some of its channels, with prompts that share the run of a window."""
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    rng = np.random.default_rng(0)
    prompts = {"picture": rng.uniform(size=(16, 16, 3)), "bark": 0.1 * rng.normal(size=8000)}
    six = 0.1 * rng.normal(size=(13000, 6))
    channels = (5, 1, 2, 4)
    six[:, channels] = around[:13000]
    shared = {**WINDOWS, "sampling_rate": 22050, "channels": channels, "array": SQUARE}
    stream = LocalizerStream(model, prompts, **shared, min_presence=None)
    estimates = [one for block in np.array_split(six, 7) for one in stream.push(block)]
    assert len(estimates) == 2 * 1
    for name, prompt in prompts.items():
        track = model.track(six, prompt, smoothing="online", min_presence=None, **shared)
        ours = [one for one in estimates if one.prompt == name]
        np.testing.assert_allclose([one.posterior for one in ours], track.posteriors, atol=1e-6)
        np.testing.assert_allclose([one.presence for one in ours], track.presence, atol=1e-5)


def test_dropped_windows_are_time_on_the_circle(square_network, around):
    stream = LocalizerStream(square_network, [LOUD], **WINDOWS, array=SQUARE, max_pending=1)
    (first,) = stream.push(around[:8000])
    (late,) = stream.push(around[8000:40000])
    assert stream.dropped == 7 and first.posterior.shape == late.posterior.shape == (360,)
    assert apart(late.azimuth, 324 + 8 * 4) <= 10


@pytest.mark.parametrize("smoothing", ["online", "offline"])
def test_359_and_0_are_neighbours(smoothing):
    """A slow source that never jumps is followed through 0, to where a line has no way."""
    degrees = np.arange(360)
    truth = (350 + np.arange(20)) % 360
    posteriors = np.exp(-0.5 * (apart(degrees, truth[:, None]) / 2) ** 2)
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    scores = WindowScores(posteriors.astype("float32"), None, ("",) * 20)
    motion = MotionModel(speed=2.0, jump_rate=0.0, evidence=1.0)
    grid = WindowGrid(0.5, 0.5, RATE, RATE)
    smoothed, _, azimuth = smooth_scores(scores, grid, motion, smoothing)
    azimuth, spread, _ = find_directions(smoothed, None, azimuth, scores.gaps, None)
    assert apart(azimuth, truth).max() <= 3 and spread[1:].max() < 5
    at_zero = find_directions(smoothed, None, np.full(20, 0.0, "float32"), scores.gaps, None)[1]
    other = find_directions(smoothed, None, np.full(20, 359.0, "float32"), scores.gaps, None)[1]
    assert np.abs(at_zero - other).max() <= 1.0


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ({"microphone_spacing": 0.2}, ValueError, "`microphone_spacing` must be `None` with"),
        ({"array": [(0, 0), (0, 1)]}, TypeError, "`array` must be a .*Received: array=list"),
        ({"channels": (0, 1)}, ValueError, "`channels` must be 4 different channels"),
    ],
)
def test_what_does_not_fit_is_refused(make_small_model, around, argument, error, message):
    model = make_small_model(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    picture = np.zeros((16, 16, 3))
    arguments = {"array": SQUARE, **argument}
    with pytest.raises(error, match=message):
        model.track(around[:8000], picture, **WINDOWS, **arguments)
    with pytest.raises(error, match=message):
        LocalizerStream(model, [picture], **WINDOWS, **arguments)


def test_recordings_of_other_numbers_of_channels(square_network, around, moving):
    with pytest.raises(ValueError, match="`recording` must have 4 channels. Received: 2"):
        track_of(square_network, moving)
    six = np.concatenate([around, around[:, :2]], axis=1)
    with pytest.raises(ValueError, match=r"such as `channels=\(0, 1, 2, 3\)`. Received: 6"):
        track_of(square_network, six)
    with pytest.raises(ValueError, match="`samples` must have 4 channels. Received: 2"):
        LocalizerStream(square_network, [LOUD], **WINDOWS, array=SQUARE).push(moving)


def test_a_model_that_is_no_localizer(network):
    with pytest.raises(TypeError, match="`array` must be `None` for a model that is not a"):
        LocalizerStream(network, [LOUD], **WINDOWS, array=SQUARE)


def test_the_presence_is_the_mean_of_the_pairs():
    array = MicrophoneArray([(0.1, 0.0), (-0.1, 0.0), (0.0, 0.1)])
    pairs = ArrayPairs(array, np.array([[0, 1], [0, 2], [1, 2]]), None, np.ones(3))
    posteriors = np.full((2, 6, 180), 1 / 180, "float32")  # two prompts, two windows
    rows = [[0.9, 0.0, 0.3, 0.6, 0.6, 0.6], [1.0, 0.7, 0.1, 0.0, 0.3, 0.0]]
    fused, presence = pairs.fuse(posteriors, np.array(rows, "float32"))
    np.testing.assert_allclose(presence, [[0.4, 0.6], [0.6, 0.1]], rtol=1e-6)
    assert fused.shape == (2, 2, 360)
