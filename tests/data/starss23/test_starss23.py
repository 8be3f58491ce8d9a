"""Segments of recordings in the published layout."""

import numpy as np
import pytest
import soundfile
import soxr

from keras_avssan.data import STARSS23
from keras_avssan.data.starss23.microphone_pair import MicrophonePair
from keras_avssan.simulation import azimuth_of, simulate_rirs

pytestmark = pytest.mark.backend_agnostic


def open_dataset(writer, **options):
    return STARSS23(writer.root, **{"duration": 2.0, "min_activity": 0.5, **options})


def label(writer, sounds, **options):
    """The one segment of 2 s with these sounds, or why it is left out."""
    writer.recording(sounds=sounds, seconds=2.0)
    dataset = open_dataset(writer, **options)
    if dataset.segments:
        return dataset[0]
    return next(reason for reason, count in dataset.left_out.items() if count)


# --- layout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["mic", "foa"])
@pytest.mark.parametrize("columns", [5, 6])
def test_reads_the_published_layout(writer, sound, format, columns):
    bell = sound("bell", 0, 20, 75)
    for folder, name in [
        ("dev-train-sony", "fold3_room21_mix001"),
        ("dev-train-tau", "fold3_room4_mix001"),
        ("dev-test-sony", "fold4_room23_mix001"),
        ("dev-test-tau", "fold4_room2_mix012"),
    ]:
        writer.recording(name, [bell], 2.0, folder, columns, format)
    dataset = open_dataset(writer, format=format)
    assert dataset.recordings == (
        "dev-test-sony/fold4_room23_mix001",
        "dev-test-tau/fold4_room2_mix012",
        "dev-train-sony/fold3_room21_mix001",
        "dev-train-tau/fold3_room4_mix001",
    )
    assert [segment.azimuth for segment in dataset.segments] == pytest.approx([30.0] * 4)
    for split, count in [("test", 2), ("train", 2), ("dev-test-tau", 1), (None, 4)]:
        assert len(open_dataset(writer, format=format, split=split)) == count
    with pytest.raises(ValueError, match="dev-test-sony.*Received: split='eval'"):
        open_dataset(writer, format=format, split="eval")


def test_cuts_recordings_into_segments(writer, sound):
    writer.recording(sounds=[sound("bell", 0, 20, 45), sound("knock", 20, 45, -45)], seconds=5.3)
    dataset = open_dataset(writer)
    assert [(s.class_name, s.start, s.azimuth) for s in dataset.segments] == [
        ("bell", 0.0, pytest.approx(0.0)),
        ("knock", 2.0, pytest.approx(90.0)),
    ]
    assert dataset.left_out["end of a recording"] == 1
    assert [segment.id for segment in dataset.segments] == [
        "dev-test-sony/fold4_room23_mix001@0",
        "dev-test-sony/fold4_room23_mix001@2",
    ]
    assert dataset.classes == ("bell", "knock")


# --- audio -------------------------------------------------------------------------------------


def test_audio_is_the_recording_resampled(writer, sound, render):
    sounds = [sound("bell", 0, 60, 0)]
    path = writer.recording(sounds=sounds, audio=render(sounds, 6.0))
    dataset = open_dataset(writer, pair="M2-M3")
    whole = soxr.resample(soundfile.read(path, dtype="float32")[0], 24000, 16000)
    for segment in dataset.segments:
        audio = dataset.load_audio(segment)
        assert audio.shape == (32000, 2) and audio.dtype == np.float32
        first = round(16000 * segment.start)
        inside = slice(200, -200) if segment.start == 4.0 else slice(None)
        expected = whole[first : first + 32000, [1, 2]]
        np.testing.assert_allclose(audio[inside], expected[inside], atol=2e-5)


def lead_of_first_channel(audio, sampling_rate=16000, finer=64):
    """Seconds by which channel 0 leads: the peak of the phase transform of both channels."""
    first, second = np.fft.rfft(audio, axis=0).T
    cross = first * second.conj()
    size = len(audio)
    correlation = np.fft.irfft(cross / (np.abs(cross) + 1e-12), finer * size)
    lags = np.arange(-8 * finer, 8 * finer + 1)
    # A lead of channel 0 is a negative lag of the first against the second.
    return -lags[np.argmax(correlation[lags])] / finer / sampling_rate


@pytest.mark.parametrize("pair", ["M1-M4", "M2-M3"])
@pytest.mark.parametrize(("azimuth", "elevation"), [(45, 0), (10, 30), (-80, -20), (-135, 10)])
def test_delays_agree_with_azimuths(writer, sound, render, pair, azimuth, elevation):
    sounds = [sound("bell", 0, 20, azimuth, elevation)]
    writer.recording(sounds=sounds, audio=render(sounds, 2.0))
    dataset = open_dataset(writer, pair=pair, baffle="open")
    [segment] = dataset.segments
    lead = lead_of_first_channel(dataset.load_audio(segment))
    expected = 0.0688 * np.cos(np.radians(segment.azimuth)) / 343
    assert lead == pytest.approx(expected, abs=2e-6), "a hundredth of the largest delay"
    assert dataset.microphone_spacing == pytest.approx(0.0688, abs=5e-5)


@pytest.mark.parametrize("pair", ["M1-M4", "M2-M3"])
def test_delays_of_simulated_rooms_agree_with_azimuths(writer, sound, pair):
    """Without echoes, a source 2 m away; the centre of the array is what azimuths are from."""
    centre = np.array([3.0, 2.5, 1.5])
    azimuth, elevation = 100, 15
    directions = np.radians([[45, 35], [-45, -35], [135, -35], [-135, 35], [azimuth, elevation]])
    level = np.cos(directions[:, 1])
    x, y, z = level * np.cos(directions[:, 0]), level * np.sin(directions[:, 0]), None
    z = np.sin(directions[:, 1])
    vectors = np.stack([x, y, z], axis=1)
    microphones, source = centre + 0.042 * vectors[:4], centre + 2.0 * vectors[4]
    rirs = np.asarray(
        simulate_rirs(
            (6.0, 5.0, 3.0),
            source,
            microphones,
            absorption=1.0,
            sampling_rate=24000,
            duration=0.02,
        )
    )[0]
    noise = np.random.default_rng(0).standard_normal(48000)
    audio = 0.5 * np.stack([np.convolve(noise, rir)[:48000] for rir in rirs], axis=1)
    writer.recording(sounds=[sound("bell", 0, 20, azimuth, elevation)], audio=audio)
    dataset = open_dataset(writer, pair=pair, baffle="open")
    lead = lead_of_first_channel(dataset.load_audio(dataset[0]))
    expected = dataset.microphone_spacing * np.cos(np.radians(dataset[0].azimuth)) / 343
    assert lead == pytest.approx(expected, abs=4e-6)
    channels = list(MicrophonePair(pair).channels)
    assert azimuth_of(source, microphones[channels]) == pytest.approx(dataset[0].azimuth, abs=1.5)


def test_foa_channels_point_at_the_source(writer, sound, render, first_order):
    sounds = [sound("bell", 0, 20, 75, 20)]
    writer.recording(sounds=sounds, audio=render(sounds, 2.0, first_order), format="foa")
    dataset = open_dataset(writer, format="foa")
    audio = dataset.load_audio(dataset[0])
    assert audio.shape == (32000, 4)
    y, z, x = audio[:, 0] @ audio[:, 1:]
    assert np.degrees(np.arctan2(y, x)) == pytest.approx(75, abs=0.5)
    assert np.degrees(np.arctan2(z, np.hypot(x, y))) == pytest.approx(20, abs=0.5)
    assert dataset[0].azimuth == MicrophonePair("M1-M4").angle(75, 20)


# --- the target --------------------------------------------------------------------------------


def test_the_target_is_the_most_frequent_class(writer, sound):
    segment = label(writer, [sound("bell", 0, 12, 0), sound("music", 5, 20, 90)])
    assert (segment.class_name, segment.azimuth) == ("music", pytest.approx(45.0))
    [interferer] = segment.interferers
    assert (interferer.class_name, interferer.activity) == ("bell", 1.2)
    assert segment.interferer_azimuth == pytest.approx(45.0)


def test_frames_of_a_class_count_once(writer, sound):
    """Two people clap at once for 0.8 s each, a bell rings for 1 s."""
    claps = [sound("clapping", 0, 8, 0, number=number) for number in (0, 1)]
    segment = label(writer, [*claps, sound("bell", 8, 18, 0)])
    assert segment.class_name == "bell"


def test_of_equally_frequent_classes_the_lower_number_is_the_target(writer, sound):
    segment = label(writer, [sound("knock", 0, 10, 0), sound("door", 10, 20, 0)])
    assert segment.class_name == "door"


def test_other_classes_may_be_left_to_be_interference(writer, sound):
    sounds = [sound("bell", 0, 12, 0), sound("music", 5, 20, 60)]
    segment = label(writer, sounds, classes=["bell", "door"])
    assert segment.class_name == "bell"
    assert [source.class_name for source in segment.interferers] == ["music"]
    assert label(writer, sounds, classes=["door"]) == "no event"


def test_the_azimuth_is_the_median_over_active_frames(writer, sound):
    # 30°, 31°, 32°, 33°, 38° from the axis, a fifth of the time each.
    azimuths = tuple(np.repeat([75, 76, 77, 78, 83], 2))
    segment = label(writer, [sound("bell", 3, 13, azimuths)])
    assert segment.azimuth == pytest.approx(32.0)
    assert segment.target.motion == pytest.approx(6.0)
    assert segment.target.activity == 1.0


def test_a_target_that_moves_is_left_out(writer, sound):
    azimuths = tuple(np.linspace(60, 100, 10))
    sounds = [sound("bell", 0, 10, azimuths)]
    assert label(writer, sounds) == "target moves"
    assert label(writer, sounds, max_motion=None).target.motion > 10
    assert label(writer, sounds, max_motion=25.0).class_name == "bell"


def test_motion_around_the_axis_does_not_count(writer, sound):
    """From left of the axis to right of it, the angle at the pair is the same."""
    segment = label(writer, [sound("bell", 0, 10, (75,) * 5 + (15,) * 5)])
    assert segment.target.motion == pytest.approx(0.0, abs=1e-9)


def test_a_brief_target_is_left_out(writer, sound):
    sounds = [sound("bell", 0, 4, 0)]
    assert label(writer, sounds) == "target too brief"
    assert label(writer, sounds, min_activity=0.4).target.activity == 0.4


def test_several_sources_of_the_class_are_left_out(writer, sound):
    main = sound("male speech", 0, 10, 45)
    reason = "several sources of the target's class"
    elsewhere = sound("male speech", 10, 15, 135, number=1)
    assert label(writer, [main, elsewhere]) == reason
    kept = label(writer, [main, elsewhere], allow_same_class=True)
    assert (kept.target.number, kept.azimuth) == (0, pytest.approx(0.0))
    assert kept.interferers == (), "what has the target's class is no interferer"
    # Beside it, or for a tenth of its time, it does no harm.
    assert label(writer, [main, sound("male speech", 10, 15, 50, number=1)]).azimuth < 1
    assert label(writer, [main, sound("male speech", 10, 11, 135, number=1)]).azimuth < 1


def test_the_most_active_source_of_the_class_is_the_target(writer, sound):
    sounds = [sound("bell", 0, 5, 135), sound("bell", 0, 15, 45, number=3)]
    segment = label(writer, sounds, allow_same_class=True)
    assert (segment.target.number, segment.azimuth) == (3, pytest.approx(0.0))


def test_interferers_are_sorted_by_activity(writer, sound):
    segment = label(
        writer,
        [
            sound("bell", 0, 20, 45),
            sound("door", 0, 5, 0),
            sound("music", 0, 9, 135),
            sound("footsteps", 0, 5, -90),
        ],
    )
    assert [s.class_name for s in segment.interferers] == ["music", "footsteps", "door"]
    assert segment.interferer_azimuth == pytest.approx(90.0)


def test_without_an_interferer_its_azimuth_is_nan(writer, sound):
    assert np.isnan(label(writer, [sound("bell", 0, 20, 45)]).interferer_azimuth)


def test_the_report_counts_what_was_left_out(writer, sound):
    moving = tuple(range(20, 100, 4))
    for number, sounds in enumerate(
        [
            [],
            [sound("door", 0, 3, 0)],
            [sound("footsteps", 0, 20, moving)],
            [sound("bell", 0, 20, 45), sound("bell", 0, 20, 135, number=1)],
            [sound("bell", 0, 20, 45), sound("music", 0, 9, 135)],
            [sound("bell", 0, 15, 45)],
        ]
    ):
        writer.recording(f"fold4_room23_mix{number:03d}", sounds, 2.5)
    dataset = open_dataset(writer)
    assert dataset.left_out == {
        "no event": 1,
        "target too brief": 1,
        "target moves": 1,
        "several sources of the target's class": 1,
        "end of a recording": 6,
    }
    report = dataset.report().markdown()
    assert "6 recordings" in report
    assert "| usable | 2 |" in report and "| target moves | 1 |" in report
    assert "| bell | 2 | 1 | 3.5 s |" in report
    assert repr(dataset) == (
        "<STARSS23: 6 recordings, 2 segments of 1 class, format mic, pair M1-M4>"
    )


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "stereo"}, "`format`.*'stereo'"),
        ({"pair": "M1-M3"}, "`pair`.*'M1-M3'"),
        ({"duration": 0.25}, "`duration`.*multiple.*0.25"),
        ({"duration": 0.0}, "`duration`"),
        ({"duration": float("nan")}, "`duration`"),
        ({"min_activity": 3.0}, "`min_activity`"),
        ({"max_motion": -1.0}, "`max_motion`"),
        ({"classes": ["dog"]}, "bell.*'dog'"),
        ({"sampling_rate": 0}, "`sampling_rate`"),
        ({"baffle": "soft"}, "`baffle`"),
    ],
)
def test_bad_arguments(writer, sound, options, message):
    writer.recording(sounds=[sound("bell", 0, 20, 45)], seconds=2.0)
    with pytest.raises(ValueError, match=message):
        open_dataset(writer, **options)


def test_missing_folders_and_files_are_named(writer, tmp_path):
    with pytest.raises(ValueError, match="`root`.*mic_dev.*without"):
        STARSS23(tmp_path / "nowhere")
    path = writer.recording(seconds=2.0)
    with pytest.raises(ValueError, match="must hold the folders .*without .*foa_dev"):
        open_dataset(writer, format="foa")
    (writer.root / "metadata_dev/dev-test-sony/fold4_room23_mix001.csv").unlink()
    with pytest.raises(ValueError, match=r"mix001\.wav' must have an annotation.*mix001\.csv"):
        open_dataset(writer)
    path.unlink()
    with pytest.raises(ValueError, match="`root` must hold recordings"):
        open_dataset(writer)


def test_damaged_recordings_are_named(writer):
    path = writer.recording(seconds=2.0)
    path.write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(ValueError, match=r"mix001\.wav' is truncated"):
        open_dataset(writer)
    writer.recording(audio=np.zeros((48000, 2)))
    with pytest.raises(ValueError, match=r"mix001\.wav' must have 4 channels. Received: 2"):
        open_dataset(writer)
