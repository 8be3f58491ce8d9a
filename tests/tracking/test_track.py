"""`track`: windows of files and arrays, gaps, smoothing, memory."""

import dataclasses
import io
import itertools

import numpy as np
import pytest
import soundfile

from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.tracking import MotionModel, Track
from keras_avssan.tracking.track import make_tracks, one_prompt

pytestmark = pytest.mark.backend_agnostic

RATE = 16000
LOUD = [0.01, 0.0]  # a prompt of the stand-in: what is louder than 0.01


@pytest.fixture
def track(network):
    """`track(recording, network=…, prompt=…, **arguments)` of the stand-in."""

    def run(recording, network=network, prompt=LOUD, **arguments):
        defaults = {
            **{"window": 0.5, "hop": 0.25, "smoothing": None, "motion": None, "min_presence": 0.5},
            **{"sampling_rate": None, "channels": None, "batch_size": 4, "progress": False},
        }
        inputs = one_prompt(network, prompt, None, None)
        (found,) = make_tracks(network, recording, [inputs], **{**defaults, **arguments})
        return found

    return run


def test_a_moving_source_is_followed(track, moving):
    found = track(moving)
    assert isinstance(found, Track) and len(found) == 15
    np.testing.assert_allclose(found.times, 0.25 + 0.25 * np.arange(15))
    np.testing.assert_allclose(found.azimuth[::2], 50 + 10 * np.arange(8), atol=1.0)
    assert found.azimuth.dtype == found.spread.dtype == found.presence.dtype == np.float32
    assert found.posteriors.dtype == np.float32 and found.posteriors.shape == (15, 180)
    np.testing.assert_allclose(found.posteriors.sum(axis=1), 1.0, atol=1e-5)
    assert found.valid.all() and set(found.gaps) == {""}


def test_spread_is_the_mean_squared_difference_to_the_azimuth(track, moving):
    found = track(moving)
    for row in (0, 5):
        expected = sum(
            probability * (degrees - found.azimuth[row]) ** 2
            for degrees, probability in enumerate(found.posteriors[row], start=1)
        )
        assert found.spread[row] == pytest.approx(np.sqrt(expected), rel=1e-4)


def test_the_windows_are_what_localize_is_given(make_candidates, moving):
    """The raw posteriors are those of the network for each stretch, its prompt embedded once."""
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    picture = np.random.default_rng(0).uniform(size=(16, 16, 3))
    found = model.track(moving[:20000], picture, 0.5, 0.6, batch_size=2, min_presence=None)
    assert len(found) == 2
    for row, start in enumerate((0, 9600)):
        stretch = moving[start : start + 8000]
        inputs = model._preprocess(stretch, picture)
        expected = model.predict_on_batch(inputs)
        np.testing.assert_allclose(found.raw_posteriors[row], expected["doa"][0], atol=1e-5)
        np.testing.assert_allclose(found.raw_presence[row], expected["presence"][0], atol=1e-5)
        assert found.azimuth[row] == model.localize(stretch, picture)[0]


def test_the_prompt_is_embedded_once(track, network, moving):
    track(moving)
    assert network.embedded == 1 and sum(network.rows) >= 15


def test_the_image_encoder_runs_once(make_small_model, moving):
    model = make_small_model(image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)))
    runs = []
    embed = model.backbone.embed_prompt
    object.__setattr__(
        model.backbone, "embed_prompt", lambda *a, **k: runs.append(1) or embed(*a, **k)
    )
    picture = np.random.default_rng(0).uniform(size=(16, 16, 3))
    found = model.track(moving[:RATE], picture, 0.5, 0.25)
    assert len(runs) == 1 and found.presence is None and found.raw_presence is None
    words = model.prompt_inputs(picture)
    assert list(words) == ["prompt_embedding"] and words["prompt_embedding"].shape == (1, 8)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_batches_do_not_matter(track, network, moving, batch_size):
    expected = track(moving)
    network.rows.clear()
    found = track(moving, batch_size=batch_size)
    np.testing.assert_allclose(found.posteriors, expected.posteriors, atol=1e-6)
    assert max(network.rows) <= batch_size
    # Sizes for which backends compile: powers of two, and the batch size.
    assert all(rows == batch_size or rows & (rows - 1) == 0 for rows in network.rows)


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("kind", ["path", "bytes", "opened", "array"])
def test_files_and_arrays_at_their_rate(track, noise_from, tmp_path, rate, kind):
    audio = noise_from(70, 2 * rate, np.random.default_rng(0), rate=rate)
    path = tmp_path / "long.wav"
    soundfile.write(path, audio, rate, "FLOAT")
    recording = {"path": path, "bytes": path.read_bytes(), "array": audio}.get(kind)
    if kind == "opened":
        recording = io.BytesIO(path.read_bytes())
    found = track(recording, sampling_rate=rate)
    assert len(found) == 7 and found.times[-1] == pytest.approx(1.75, abs=1e-4)
    np.testing.assert_allclose(found.azimuth, 70, atol=1.0)


def test_two_channels_of_four(track, moving):
    four = np.random.default_rng(0).normal(size=(len(moving), 4)).astype("float32")
    four[:, [3, 1]] = moving
    found = track(four, channels=(3, 1))
    np.testing.assert_array_equal(found.posteriors, track(moving).posteriors)


def test_gaps_say_why(track, moving):
    broken = moving.copy()
    broken[RATE : RATE + 8000] = 0.0  # windows at 1 s; those around are half silent
    broken[RATE + 20000, 0] = np.nan
    broken[48000:, 1] = 0.0
    found = track(broken)
    assert found.gaps[4] == "silent"
    assert [found.times[row] for row in np.flatnonzero(found.gaps == "not finite")] == [2.25, 2.5]
    assert set(found.gaps[12:]) == {"dead channel"}
    assert np.isnan(found.azimuth[~found.valid]).all() and np.isnan(found.spread[4])
    assert np.isfinite(found.azimuth[found.valid]).all() and found.valid.sum() == 9
    np.testing.assert_allclose(found.posteriors[4], 1 / 180)
    assert found.presence[4] == 0.0 and np.isnan(found.presence[8])
    np.testing.assert_array_equal(found.raw_posteriors, found.posteriors)


def test_a_mono_recording_has_no_direction(track, moving):
    found = track(np.repeat(moving[:, :1], 2, axis=1))
    assert set(found.gaps) == {"copied channel"}


def test_silence_alone_is_no_error(track, network):
    found = track(np.zeros((RATE, 2), "float32"))
    assert set(found.gaps) == {"silent"} and not network.rows
    assert (found.presence == 0.0).all()
    np.testing.assert_allclose(found.posteriors, 1 / 180)


def test_absent_sounds_are_gaps(track, moving):
    quiet = moving.copy()
    quiet[RATE : 2 * RATE] *= 0.05
    found = track(quiet)
    assert set(found.gaps[4:7]) == {"absent"} and found.valid.sum() == 12
    np.testing.assert_allclose(found.presence[[0, 5]], [0.9, 0.1])
    assert track(quiet, min_presence=None).valid.all()
    assert track(quiet, min_presence=0.05).valid.all()
    assert not track(quiet, min_presence=0.95).valid.any()


def test_networks_without_presence(track, plain_network, moving):
    quiet = moving.copy()
    quiet[RATE : 2 * RATE] *= 0.05
    for smoothing in (None, "online", "offline"):
        found = track(quiet, plain_network, smoothing=smoothing)
        assert found.presence is None and found.valid.all()


# ---- Smoothing


def scene(rng, wrong):
    """What a network says of 20 windows of a source at 60 degrees: `wrong` are elsewhere."""
    posteriors = np.full((20, 180), 0.2 / 180)
    azimuths = np.where(np.isin(np.arange(20), wrong), 140, 60) + rng.integers(-2, 3, 20)
    posteriors[np.arange(20), azimuths - 1] += 0.8
    return posteriors


class Given:
    """Answers with posteriors and presences that are given, window by window."""

    def __init__(self, network, posteriors, presence=None):
        self.preprocessor, self.output = network.preprocessor, {"doa": None}
        self.posteriors, self.given, self.place = posteriors, presence, 0
        if presence is not None:
            self.output = {"doa": None, "presence": None}

    def prompt_inputs(self, *_):
        return {"prompt_embedding": np.zeros((1, 2), "float32")}

    def predict_on_batch(self, inputs):
        rows = slice(self.place, self.place + 1)
        self.place += 1
        doa = self.posteriors[rows].astype("float32")
        return {"doa": doa, "presence": None if self.given is None else self.given[rows]}


def given_track(track, network, moving, posteriors, presence=None, **arguments):
    answers = Given(network, posteriors, presence)
    audio = np.tile(moving, (2, 1))[: round(RATE * 0.25 * (len(posteriors) + 1))]
    return track(audio, answers, batch_size=1, **arguments)


@pytest.mark.parametrize("smoothing", ["online", "offline"])
def test_single_wrong_windows_are_passed_over(track, network, moving, smoothing):
    posteriors = scene(np.random.default_rng(0), wrong=[9, 14])
    motion = MotionModel(speed=4.0, evidence=1.0)
    raw = given_track(track, network, moving, posteriors)
    assert abs(raw.azimuth[[9, 14]] - 140).max() < 3
    found = given_track(track, network, moving, posteriors, smoothing=smoothing, motion=motion)
    np.testing.assert_allclose(found.azimuth, 60, atol=4)
    np.testing.assert_array_equal(found.raw_posteriors, raw.posteriors)
    assert np.mean(found.spread) < np.mean(raw.spread) and found.smoothing == smoothing


def test_the_filter_knows_no_future_and_the_path_does(track, network, moving):
    """A source that jumps: the filter believes it later than the path."""
    posteriors = scene(np.random.default_rng(0), wrong=range(10, 20))
    motion = MotionModel(speed=4.0, jump_rate=0.01, evidence=0.3)
    online = given_track(track, network, moving, posteriors, smoothing="online", motion=motion)
    offline = given_track(track, network, moving, posteriors, smoothing="offline", motion=motion)
    assert abs(online.azimuth[10] - 60) < 5 and abs(online.azimuth[-1] - 140) < 5
    assert abs(offline.azimuth[9] - 60) < 5 and abs(offline.azimuth[10] - 140) < 5
    half = given_track(track, network, moving, posteriors[:12], smoothing="online", motion=motion)
    np.testing.assert_allclose(half.posteriors, online.posteriors[:12], atol=1e-6)


def reference(motion, hop, posteriors, presence):
    """Filter and path over directions and absence by loops over all states, in logarithms."""
    initial, matrix = motion.chain(hop, with_presence=True)
    beliefs, score, back = [], None, []
    for posterior, present in zip(posteriors, presence, strict=True):
        mixed = (1 - motion.outliers) * 180 * posterior + motion.outliers
        tempered = mixed**motion.evidence
        tempered /= tempered.mean()
        likelihood = np.append(
            tempered * present**motion.evidence, (1 - present) ** motion.evidence
        )
        before = initial if not beliefs else matrix.T @ beliefs[-1]
        belief = before * likelihood
        beliefs.append(belief / belief.sum())
        if score is None:
            score = np.log(initial * likelihood)
        else:
            steps = score[:, None] + np.log(matrix)
            back.append(steps.argmax(axis=0))
            score = steps.max(axis=0) + np.log(likelihood)
    path = [int(score.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return np.array(beliefs), path[::-1]


def filtered_presence(motion, presence, hop=0.25):
    """The presence given the windows so far: odds by Bayes' rule, then the time to the next."""
    lasts = np.exp(-hop / motion.mean_presence), np.exp(-hop / motion.mean_absence)
    belief = (1 - lasts[1]) / (2 - sum(lasts))
    found = []
    for one in presence.astype("float64"):
        odds = belief / (1 - belief) * one / (1 - one)
        found.append(odds / (1 + odds))
        belief = found[-1] * lasts[0] + (1 - found[-1]) * (1 - lasts[1])
    return found


def test_against_a_reference(track, network, moving):
    rng = np.random.default_rng(1)
    posteriors = scene(rng, wrong=[3, 12]).astype("float32").astype("float64")
    presence = np.float32(np.where(np.arange(20) < 11, 0.9, 0.2))
    motion = MotionModel(evidence=0.5)
    beliefs, path = reference(motion, 0.25, posteriors, presence.astype("float64"))
    online = given_track(
        track, network, moving, posteriors, presence, smoothing="online", motion=motion
    )
    present = beliefs[:, :-1].sum(axis=1)
    np.testing.assert_allclose(online.presence, filtered_presence(motion, presence), atol=1e-5)
    np.testing.assert_allclose(online.posteriors, beliefs[:, :-1] / present[:, None], atol=1e-5)
    offline = given_track(
        track, network, moving, posteriors, presence, smoothing="offline", motion=motion
    )
    states = np.array(path)
    assert (states == 180).any() and (states < 180).any()
    shown = (states < 180) & offline.valid
    assert shown.sum() > 8
    np.testing.assert_array_equal(offline.azimuth[shown], states[shown] + 1)
    np.testing.assert_array_equal(offline.raw_presence, presence)


def test_the_presence_is_smoothed_apart_from_the_direction(track, network, moving):
    """Another sound that keeps its place does not make the prompted one present."""
    there = np.float32(np.where(np.arange(20) % 10 < 5, 0.8, 0.2))
    motion = MotionModel(mean_presence=2.0, mean_absence=1.0)
    rng = np.random.default_rng(0)
    steady = scene(rng, wrong=[])
    scattered = steady[:, rng.permutation(180)]
    flat = np.full_like(steady, 1 / 180)
    for smoothing in ("online", "offline"):
        presences = [
            given_track(
                track, network, moving, posteriors, there, smoothing=smoothing, motion=motion
            ).presence
            for posteriors in (steady, scattered, flat)
        ]
        for presence in presences[1:]:
            np.testing.assert_array_equal(presence, presences[0])
        assert (presences[0][[2, 3, 12, 13]] > 0.8).all()
        assert (presences[0][[7, 8, 17, 18]] < 0.2).all()
    single = there.copy()
    single[2] = 0.4  # a single doubtful window
    found = given_track(track, network, moving, steady, single, smoothing="offline", motion=motion)
    assert found.presence[2] > 0.6 and found.gaps[2] == ""


def test_overlapping_windows_count_by_the_share_that_is_new(track, network, moving):
    posteriors = scene(np.random.default_rng(0), wrong=[9])
    shared = {"smoothing": "online", "window": 0.5, "hop": 0.25}
    found = given_track(track, network, moving, posteriors, **shared)
    expected = given_track(
        track, network, moving, posteriors, motion=MotionModel(evidence=0.5), **shared
    )
    np.testing.assert_array_equal(found.posteriors, expected.posteriors)


@pytest.mark.parametrize("smoothing", ["online", "offline"])
def test_any_weight_of_the_evidence_is_finite(track, moving, smoothing):
    """Powers of probabilities neither overflow nor vanish."""
    usual = track(moving[:16000], smoothing=smoothing, min_presence=None)
    weighted = track(
        moving[:16000],
        smoothing=smoothing,
        motion=MotionModel(evidence=1000.0),
        min_presence=None,
    )
    assert np.isfinite(weighted.posteriors).all() and np.isfinite(weighted.presence).all()
    np.testing.assert_allclose(weighted.azimuth, usual.azimuth, atol=15)


def test_a_silent_window_says_that_the_sound_is_absent(track, moving):
    quiet = moving.copy()
    quiet[RATE : 2 * RATE] = 0.0
    found = track(quiet, smoothing="online")
    assert found.presence[3] > 0.6 and found.presence[6] < 0.3
    assert found.gaps[6] == "silent"
    # A window that is not finite says nothing: the belief only spreads.
    quiet[RATE : 2 * RATE] = np.nan
    unknown = track(quiet, smoothing="online")
    assert unknown.presence[6] > found.presence[6] + 0.1 and unknown.gaps[6] == "not finite"


# ---- Long recordings, and what is refused


class Counted:
    """An array in whose place a file is read: records how much is read at a time."""

    def __init__(self, monkeypatch):
        self.frames = []
        read = soundfile.SoundFile.read

        def counted(file, frames=-1, *arguments, **options):
            self.frames.append(frames)
            return read(file, frames, *arguments, **options)

        monkeypatch.setattr(soundfile.SoundFile, "read", counted)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_files_are_never_read_wholly(track, moving, tmp_path, monkeypatch, ending):
    """Longer than the preprocessor allows for one recording, in small blocks."""
    monkeypatch.setattr("keras_avssan.data.media.sound_blocks._BLOCK", 10_000)
    path = tmp_path / f"long.{ending}"
    soundfile.write(path, np.tile(moving, (4, 1)), RATE)
    counted = Counted(monkeypatch)
    found = track(path)
    assert len(found) == 63 and set(counted.frames) == {10_000}
    np.testing.assert_allclose(found.azimuth[[0, 16, 32]], 50, atol=1.0)


def test_progress_is_shown_where_it_is_wanted(track, moving, capsys):
    track(moving, progress=True)
    assert "15/15" in capsys.readouterr().err
    track(moving)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"window": 0.05}, "`window` must be from 0.1 to 5 seconds. Received: window=0.05"),
        ({"hop": 0}, "`hop` must be a positive duration in seconds"),
        ({"smoothing": "both"}, "`smoothing` must be one of .*Received: smoothing='both'"),
        ({"min_presence": 2}, "`min_presence` must be a number from 0 to 1"),
        ({"channels": (0, 5)}, "numbered from 0. Received: channels=\\(0, 5\\)"),
        ({"sampling_rate": 0}, "`sampling_rate` must be an integer of at least 1"),
        ({"sampling_rate": 0.5}, "`sampling_rate` must be an integer of at least 1"),
    ],
)
def test_arguments_out_of_range(track, moving, argument, message):
    with pytest.raises(ValueError, match=message):
        track(moving, **argument)


def test_motion_of_another_kind(track, moving):
    with pytest.raises(TypeError, match="`motion` must be a `MotionModel`"):
        track(moving, motion={"speed": 3})


@pytest.mark.parametrize(
    ("recording", "error", "message"),
    [
        (np.zeros((1000, 2)), ValueError, "one window of 0.5 s or more. Received: 0.062 s"),
        (np.zeros((0, 2)), ValueError, "`recording` is empty"),
        (np.zeros((16000, 3)), ValueError, r"2 channels. Choose 2 of them .*Received: 3"),
        (np.zeros(16000), ValueError, r"shape \(samples, channels\)"),
        (np.zeros((2, 16000)), ValueError, "transpose it"),
        (np.zeros((16000, 2), "int16"), TypeError, "floating-point samples"),
        ("nowhere.wav", ValueError, "nowhere.wav"),
    ],
)
def test_recordings_that_cannot_be_used(track, recording, error, message):
    with pytest.raises((error, OSError), match=message):
        track(recording)


def test_a_truncated_file_is_refused(track, moving, tmp_path):
    path = tmp_path / "cut.flac"
    soundfile.write(path, moving, RATE)
    path.write_bytes(path.read_bytes()[:-40_000])
    with pytest.raises(ValueError, match="cut.flac' is truncated"):
        track(path)


def test_several_prompts_are_refused(track, moving):
    with pytest.raises(ValueError, match="must be one prompt, or a list .*Received: 2 prompts"):
        track(moving, prompt=[LOUD, LOUD])


def test_a_track_is_read_only_and_says_itself_in_one_line(track, moving):
    found = track(moving, smoothing="offline")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.window = 2.0
    assert repr(found) == (
        "<Track: 15 windows of 0.5 s, 0.25–3.75 s, 15 with a direction, 50–120°, smoothing offline>"
    ).replace("50–120", "–".join(f"{v:.3g}" for v in (found.azimuth.min(), found.azimuth.max())))


def test_settings_combine(track, moving):
    for smoothing, threshold in itertools.product((None, "online", "offline"), (None, 0.5)):
        found = track(moving, smoothing=smoothing, min_presence=threshold)
        assert found.valid.all()
