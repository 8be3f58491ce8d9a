"""`LocalizerStream` gives what `track` gives, for blocks of any size."""

import numpy as np
import pytest

from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.tracking import Estimate, LocalizerStream, MotionModel
from keras_avssan.tracking.track import make_tracks, one_prompt

pytestmark = pytest.mark.backend_agnostic

RATE = 16000
LOUD, TURNED, DEAF = [0.01, 0.0], [0.01, 30.0], [10.0, 0.0]
WINDOWS = {"window": 0.5, "hop": 0.25}


def push_in_blocks(stream, audio, rng, largest=9000):
    estimates, start = [], 0
    while start < len(audio):
        size = int(rng.integers(0, largest))
        estimates += stream.push(audio[start : start + size])
        start += size
    return estimates


def track_of(network, audio, prompt=LOUD, smoothing="online", rate=RATE, motion=None):
    (track,) = make_tracks(
        network,
        audio,
        [one_prompt(network, prompt, None, None)],
        **WINDOWS,
        smoothing=smoothing,
        motion=motion,
        min_presence=0.5,
        sampling_rate=rate,
        channels=None,
        batch_size=32,
        progress=False,
    )
    return track


def check_equal(estimates, track):
    assert len(estimates) == len(track) > 0
    np.testing.assert_allclose([one.time for one in estimates], track.times, atol=1e-12)
    np.testing.assert_allclose([one.posterior for one in estimates], track.posteriors, atol=1e-6)
    np.testing.assert_allclose([one.spread for one in estimates], track.spread, rtol=1e-4)
    np.testing.assert_array_equal([one.azimuth for one in estimates], track.azimuth)
    assert [one.gap for one in estimates] == track.gaps.tolist()
    if track.presence is not None:
        np.testing.assert_allclose([one.presence for one in estimates], track.presence, atol=1e-6)


@pytest.fixture
def eventful(moving):
    """With silence, a quiet second and samples that are not finite."""
    audio = moving.copy()
    audio[RATE : 2 * RATE] = 0.0
    audio[30000:42000] *= 0.05
    audio[50000] = np.nan
    return audio


@pytest.mark.parametrize("smoothing", ["online", None])
@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_track(network, eventful, smoothing, seed):
    stream = LocalizerStream(network, [LOUD], **WINDOWS, smoothing=smoothing)
    largest = (9000, 300, 40000, 4000)[seed]
    estimates = push_in_blocks(stream, eventful, np.random.default_rng(seed), largest)
    track = track_of(network, eventful, smoothing=smoothing)
    check_equal(estimates, track)
    assert {"silent", "not finite", ""} <= set(track.gaps)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_resampling_does_not_depend_on_the_blocks(network, noise_from, rate):
    rng = np.random.default_rng(0)
    audio = np.concatenate([noise_from(angle, rate, rng, rate=rate) for angle in (50, 90, 130)])
    track = track_of(network, audio, rate=rate)
    for seed in range(3):
        stream = LocalizerStream(network, [LOUD], **WINDOWS, sampling_rate=rate)
        blocks = push_in_blocks(stream, audio, np.random.default_rng(seed), 5000)
        whole = LocalizerStream(network, [LOUD], **WINDOWS, sampling_rate=rate).push(audio)
        check_equal(blocks, track)
        check_equal(whole, track)
    loudest = 1 + track.raw_posteriors.argmax(axis=1)
    np.testing.assert_allclose(loudest[[0, 4, 8]], [50, 90, 130], atol=1.0)


def test_the_networks_of_the_library(make_small_model, moving):
    """With a picture and a recording as prompts, in one stream."""
    model = make_small_model(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    rng = np.random.default_rng(0)
    prompts = {"picture": rng.uniform(size=(16, 16, 3)), "bark": 0.1 * rng.normal(size=8000)}
    stream = LocalizerStream(model, prompts, **WINDOWS)
    audio = moving[:RATE]
    estimates = push_in_blocks(stream, audio, rng)
    for name, prompt in prompts.items():
        track = model.track(audio, prompt, **WINDOWS, smoothing="online")
        check_equal([one for one in estimates if one.prompt == name], track)


def test_a_window_is_due_with_its_last_sample(network, moving):
    stream = LocalizerStream(network, [LOUD], **WINDOWS)
    assert stream.push(moving[:7999]) == []
    (first,) = stream.push(moving[7999:8000])
    assert isinstance(first, Estimate) and first.time == 0.25 and first.prompt == 0
    assert first.azimuth == pytest.approx(50, abs=1.0) and first.gap == ""
    assert stream.push(np.zeros((0, 2), "float32")) == []
    assert [one.time for one in stream.push(moving[8000:16000])] == [0.5, 0.75]


def test_several_prompts_in_one_run(network, moving):
    prompts = {"loud": LOUD, "turned": TURNED, "deaf": DEAF}
    stream = LocalizerStream(network, prompts, **WINDOWS, smoothing=None)
    estimates = stream.push(moving[:12000])
    assert [(one.prompt, one.time) for one in estimates] == [
        (name, time) for time in (0.25, 0.5) for name in prompts
    ]
    assert network.rows == [8]  # two windows of three prompts, in a batch of the next power of two
    loud, turned, deaf = estimates[:3]
    assert turned.azimuth == loud.azimuth + 30
    assert deaf.gap == "absent" and np.isnan(deaf.azimuth)
    (one,) = LocalizerStream(network, np.array(LOUD), **WINDOWS).push(moving[:8000])
    assert one.prompt == 0


def test_prompts_change_while_it_runs(network, moving):
    stream = LocalizerStream(network, {"a": LOUD, "b": LOUD}, **WINDOWS)
    stream.push(moving[:32000])
    embedded = network.embedded
    stream.prompts = {"b": LOUD, "c": TURNED}
    assert network.embedded == embedded + 1  # that of "c" alone
    assert dict(stream.prompts) == {"b": LOUD, "c": TURNED}
    estimates = stream.push(moving[32000:])
    kept = [one for one in estimates if one.prompt == "b"]
    whole = track_of(network, moving)
    np.testing.assert_allclose(
        [one.posterior for one in kept], whole.posteriors[-len(kept) :], atol=1e-6
    )
    started = [one for one in estimates if one.prompt == "c"]
    begun = track_of(network, moving[28000:], TURNED)
    np.testing.assert_allclose(
        [one.posterior for one in started], begun.posteriors[: len(started)], atol=1e-6
    )
    with pytest.raises(ValueError, match="`prompts` must hold at least one prompt"):
        stream.prompts = {}
    assert set(stream.prompts) == {"b", "c"}


def test_another_prompt_of_the_same_name_starts_again(network, moving):
    stream = LocalizerStream(network, {"sound": LOUD}, **WINDOWS)
    stream.push(moving[:16000])
    other = list(LOUD)
    stream.prompts = {"sound": other}
    (found,) = stream.push(moving[16000:20000])  # the window from 12000 on
    (alone,) = LocalizerStream(network, {"sound": other}, **WINDOWS).push(moving[12000:20000])
    np.testing.assert_allclose(found.posterior, alone.posterior, atol=1e-6)
    assert found.presence == pytest.approx(alone.presence)


def test_a_late_consumer_drops_the_oldest_windows(network, moving):
    audio = np.tile(moving, (3, 1))
    stream = LocalizerStream(network, [LOUD], **WINDOWS, smoothing=None, max_pending=3)
    first = stream.push(audio[:16000])
    assert len(first) == 3 and stream.dropped == 0
    network.rows.clear()
    late = stream.push(audio[16000:])
    assert [one.time for one in late] == [11.25, 11.5, 11.75]
    assert stream.dropped == 47 - 6 and sum(network.rows) == 4
    expected = track_of(network, audio, smoothing=None)
    np.testing.assert_allclose([one.posterior for one in late], expected.posteriors[-3:], atol=1e-6)
    assert stream.push(audio[:4000])[0].time == 12.0
    assert "41 dropped" in repr(stream)


def test_dropped_windows_are_time_that_passes(network, moving):
    """The filter is where windows without any evidence would have brought it."""
    stream = LocalizerStream(network, [LOUD], **WINDOWS, max_pending=1)
    stream.push(moving[:8000])
    (late,) = stream.push(moving[8000:40000])
    assert stream.dropped == 7
    motion = MotionModel()
    expected = track_of(network, moving, smoothing=None)
    initial, matrix = motion.chain(0.25, True)

    def updated(belief, row):
        posterior = expected.raw_posteriors[row].astype("float64")
        likelihood = ((1 - motion.outliers) * 180 * posterior + motion.outliers) ** 0.5
        likelihood /= likelihood.mean()
        joint = belief * np.append(likelihood * 0.9**0.5, 0.1**0.5)
        return joint / joint.sum()

    belief = updated(initial, 0) @ np.linalg.matrix_power(matrix, 8)
    belief = updated(belief, 8)
    np.testing.assert_allclose(late.posterior, belief[:-1] / belief[:-1].sum(), atol=1e-5)
    initial, matrix = motion.presence_chain(0.25)
    presence = initial * [0.9, 0.1]
    presence = presence @ np.linalg.matrix_power(matrix, 8) * [0.9, 0.1]
    assert late.presence == pytest.approx(presence[0] / presence.sum(), abs=1e-5)


def test_offline_use_drops_nothing_and_keeps_little(network, moving):
    stream = LocalizerStream(network, [LOUD], **WINDOWS)
    estimates = stream.push(np.tile(moving, (4, 1)))
    assert len(estimates) == 63 and stream.dropped == 0
    assert len(stream._buffer._kept) <= 8000


def test_two_channels_of_four(network, moving):
    four = np.random.default_rng(0).normal(size=(len(moving), 4)).astype("float32")
    four[:, [2, 1]] = moving
    stream = LocalizerStream(network, [LOUD], **WINDOWS, channels=(2, 1))
    check_equal(push_in_blocks(stream, four, np.random.default_rng(0)), track_of(network, moving))


def test_it_starts_again(network, moving):
    stream = LocalizerStream(network, [LOUD], **WINDOWS)
    first = stream.push(moving)
    stream.reset()
    again = stream.push(moving)
    np.testing.assert_array_equal(
        [one.posterior for one in first], [one.posterior for one in again]
    )
    assert first[0].time == again[0].time == 0.25


def test_it_starts_again_with_another_number_of_channels(network, moving):
    stream = LocalizerStream(network, [LOUD], channels=(0, 1), **WINDOWS)
    more = np.concatenate([moving[:8000], moving[:8000]], axis=1)
    (first,) = stream.push(more)
    with pytest.raises(ValueError, match="must have 4 channels, as the blocks before"):
        stream.push(moving[:8000])
    stream.reset()
    (again,) = stream.push(moving[:8000])
    assert again.time == first.time == 0.25 and again.azimuth == first.azimuth


@pytest.mark.parametrize(
    ("block", "error", "message"),
    [
        (np.zeros((100, 3), "float32"), ValueError, "2 channels, as the blocks before"),
        (np.zeros((2, 100), "float32"), ValueError, "transpose it"),
        (np.zeros(100, "float32"), ValueError, r"shape \(samples, channels\)"),
        (np.zeros((100, 2), "int16"), TypeError, "divide integer samples by their full"),
        (["dog"], TypeError, "`samples` must be"),
        (None, TypeError, "`samples` must be"),
    ],
)
def test_blocks_that_do_not_fit(network, moving, block, error, message):
    stream = LocalizerStream(network, [LOUD], **WINDOWS)
    stream.push(moving[:6000])
    with pytest.raises(error, match=message):
        stream.push(block)
    assert len(stream.push(moving[6000:8000])) == 1  # the stream is as it was


def test_another_rate_in_mid_stream(network, moving):
    stream = LocalizerStream(network, [LOUD], **WINDOWS)
    stream.push(moving[:4000], sampling_rate=16000)
    with pytest.raises(ValueError, match="the stream, 16000 Hz; .*Received: sampling_rate=48000"):
        stream.push(moving[4000:8000], sampling_rate=48000)


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ({"smoothing": "offline"}, ValueError, "`smoothing` must be one of"),
        ({"max_pending": 0}, ValueError, "`max_pending` must be an integer of at least 1"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be"),
        ({"prompts": []}, ValueError, "`prompts` must hold at least one prompt"),
        ({"prompts": [[LOUD, LOUD]]}, ValueError, "must be one prompt"),
        ({"window": 100.0}, ValueError, "`window` must be from"),
        ({"motion": 3}, TypeError, "`motion` must be a `MotionModel`"),
        ({"model": None}, TypeError, "`model` must be a `Localizer`. Received: model=None"),
        ({"channels": (1, 1)}, ValueError, "`channels` must be two different channels"),
        ({"channels": "ab"}, ValueError, "`channels` must be two different channels"),
        ({"min_presence": "half"}, ValueError, "`min_presence` must be"),
    ],
)
def test_arguments_out_of_range(network, argument, error, message):
    with pytest.raises(error, match=message):
        LocalizerStream(**{"model": network, "prompts": [LOUD], **WINDOWS, **argument})


def test_one_line(network, moving):
    stream = LocalizerStream(network, [LOUD], **WINDOWS)
    (found,) = stream.push(moving[:8000])
    assert repr(stream) == (
        "<LocalizerStream: 1 prompt, windows of 0.5 s every 0.25 s, 16000 Hz, 0.50 s received>"
    )
    assert repr(found) == (
        f"<Estimate: 0 at 0.25 s, {found.azimuth:.0f}°, spread {found.spread:.0f}°, presence "
        f"{found.presence:.2f}>"
    )
    (silent,) = stream.push(np.zeros((8000, 2)))[-1:]
    assert repr(silent).startswith("<Estimate: 0 at 0.75 s, no direction (silent), presence ")


def test_prompts_share_the_run_of_a_window(make_candidates, moving):
    """A window runs through the network once for all prompts, which are encoded once."""
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    rng = np.random.default_rng(0)
    prompts = {name: rng.uniform(size=(16, 16, 3)) for name in ("dog", "cat")}
    prompts["bark"] = 0.1 * rng.normal(size=8000)
    audio = moving[: RATE - 4000]
    alone = {name: model.track(audio, prompt, **WINDOWS) for name, prompt in prompts.items()}
    runs = {"whole": 0, "shared": 0, "projected": 0}
    replaced = {"predict_on_batch": "whole", "_answer_projected": "shared"}
    replaced["_project_prompt"] = "projected"
    with pytest.MonkeyPatch.context() as patch:
        for method, key in replaced.items():
            patch.setattr(model, method, counted(getattr(model, method), runs, key))
        stream = LocalizerStream(model, prompts, **WINDOWS, smoothing=None)
        estimates = stream.push(audio)
        assert runs == {"whole": 0, "shared": 2, "projected": 3}
        stream.prompts = {**prompts, "hen": prompts["dog"]}
        assert runs["projected"] == 4  # that of the new one
        stream.prompts = {"dog": prompts["dog"]}
        (last,) = stream.push(moving[RATE - 4000 : RATE])
        assert runs["whole"] == 1 and runs["shared"] == 2 and last.prompt == "dog"
    for name, track in alone.items():
        ours = [one for one in estimates if one.prompt == name]
        np.testing.assert_allclose(
            [one.posterior for one in ours], track.posteriors, rtol=1e-3, atol=1e-6
        )
        np.testing.assert_allclose([one.presence for one in ours], track.presence, atol=1e-4)


def counted(function, runs, key):
    def run(*arguments):
        runs[key] += 1
        return function(*arguments)

    return run


def test_prompts_of_other_spacings_share_nothing(make_small_model, moving):
    model = make_small_model(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    embedding = np.random.default_rng(0).normal(size=(1, 8)).astype("float32")
    spacings = {"a": 0.2, "b": 0.1}
    prompts = {
        name: {"prompt_embedding": embedding, "microphone_spacing": np.array([metres])}
        for name, metres in spacings.items()
    }
    stream = LocalizerStream(model, prompts, **WINDOWS, smoothing=None)
    estimates = stream.push(moving[:8000])
    for one in estimates:
        (track,) = [
            model.track(moving[:8000], embedding[0], **WINDOWS, microphone_spacing=metres)
            for name, metres in spacings.items()
            if name == one.prompt
        ]
        np.testing.assert_allclose(one.posterior, track.posteriors[0], atol=1e-6)
    assert not np.allclose(estimates[0].posterior, estimates[1].posterior, atol=1e-6)
