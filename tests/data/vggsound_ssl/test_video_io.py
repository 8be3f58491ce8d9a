"""Sound and pictures of videos, and what is wrong with some of them."""

import errno
import sys

import numpy as np
import pytest

from keras_avssan.data.media.video_io import UnusableVideo, read_video_audio, read_video_frames

pytestmark = pytest.mark.backend_agnostic


def tones(rate, seconds, *pitches):
    times = np.arange(round(rate * seconds)) / rate
    channels = [0.4 * np.sin(2 * np.pi * pitch * times) for pitch in pitches]
    return np.float32(channels[0] if len(channels) == 1 else np.stack(channels, axis=1))


def level(samples, pitch, rate=16000):
    """Amplitude of a sine in samples."""
    times = np.arange(len(samples)) / rate
    return 2 * abs(np.mean(samples * np.exp(-2j * np.pi * pitch * times)))


@pytest.mark.parametrize("codec", ["mpeg4", "h264"])
@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("pitches", [(500,), (500, 1500)])
def test_sound_is_mono_at_the_rate_asked_for(
    tmp_path, write_video, make_pictures, codec, rate, pitches
):
    sound = tones(rate, 2.0, *pitches)
    write_video(
        tmp_path / "a.mp4", sound, make_pictures(20), sampling_rate=rate, codec=_encoder(codec)
    )
    samples = read_video_audio(tmp_path / "a.mp4", duration=1.5)
    assert samples.shape == (24000,) and samples.dtype == np.float32
    for pitch in pitches:
        # The channels are averaged.
        np.testing.assert_allclose(level(samples, pitch), 0.4 / len(pitches), rtol=0.05)
    assert level(samples, 3000) < 0.01
    whole = read_video_audio(tmp_path / "a.mp4")
    # AAC fills its last frame up.
    assert 32000 <= len(whole) < 32000 + 2 * 1024
    np.testing.assert_allclose(whole[:23000], samples[:23000], atol=1e-3)


def _encoder(codec):
    import av

    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder for {codec}")
    return codec


def test_a_rate_of_its_own(tmp_path, write_video):
    write_video(tmp_path / "a.mp4", tones(48000, 1.0, 500), None, sampling_rate=48000)
    samples = read_video_audio(tmp_path / "a.mp4", 8000, duration=0.5)
    assert len(samples) == 4000
    np.testing.assert_allclose(level(samples, 500, 8000), 0.4, rtol=0.05)


@pytest.mark.parametrize("codec", ["mpeg4", "h264"])
def test_pictures_are_those_on_show(tmp_path, write_video, codec):
    """Picture k, shown from k / 10 s on, is grey of brightness 10 k."""
    grey = np.repeat(np.arange(0, 200, 10, dtype="uint8"), 32 * 32 * 3)
    pictures = grey.reshape(20, 32, 32, 3)
    write_video(tmp_path / "a.mp4", tones(44100, 2.0, 500), pictures, codec=_encoder(codec))
    frames = read_video_frames(tmp_path / "a.mp4", [0.0, 0.25, 0.75, 0.78, 1.5, 9.0, 10.0])
    numbers = [round(10 * frame.seconds) for frame in frames]
    assert numbers == [0, 2, 7, 15, 19]
    assert all(frame.pixels.shape == (32, 32, 3) for frame in frames)
    brightness = [frame.pixels.mean() for frame in frames]
    np.testing.assert_allclose(brightness, [10 * number for number in numbers], atol=3)


def test_no_moment_is_before_the_first_picture(tmp_path, write_video, make_pictures):
    write_video(tmp_path / "a.mp4", None, make_pictures(3))
    assert [frame.seconds for frame in read_video_frames(tmp_path / "a.mp4", [-1.0])] == [0.0]


def test_what_is_wrong_is_told(material, reasons):
    for name, fault in material.faults.items():
        (path,) = [*material.videos.glob(f"{name}*"), material.videos / "absent.mp4"][:1]
        found = None
        try:
            read_video_audio(path)
            read_video_frames(path, [0.5])
        except UnusableVideo as error:
            found = error.reason
            assert str(error) == f"{error.reason}: {error.detail}"
            assert str(path) not in str(error)
        # Silence and length are for the builder to judge.
        expected = None if fault in ("silent", "too short") else reasons[fault]
        assert found == expected, fault


def test_damage_anywhere_is_survived(tmp_path, write_video, make_pictures):
    """Bytes flipped, files cut: there is a result, or a reason."""
    path = tmp_path / "a.mp4"
    write_video(path, tones(44100, 1.5, 500), make_pictures(15))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    reasons = set()
    for number in range(200):
        content = np.frombuffer(whole, "uint8").copy()
        places = rng.integers(len(content), size=2 ** (number % 12))
        content[places] ^= rng.integers(1, 256, len(places), dtype="uint8")
        stop = rng.integers(1, len(content)) if number % 5 == 0 else len(content)
        path.write_bytes(content[:stop].tobytes())
        for read in (read_video_audio, lambda video: read_video_frames(video, [0.3, 0.9])):
            try:
                assert len(read(path))
                reasons.add("fine")
            except UnusableVideo as error:
                reasons.add(error.reason)
    assert {"fine", "unreadable", "truncated"} <= reasons
    assert reasons <= {"fine", "unreadable", "damaged", "truncated", "no audio", "no picture"}


def test_a_failing_disk_is_no_fault_of_the_video(material, monkeypatch):
    import av

    def fail(*arguments, **options):
        raise av.FFmpegError(errno.EIO, "Input/output error")

    path = next(material.videos.glob("-good*"))
    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(OSError, match="Input/output error"):
        read_video_audio(path)


def test_without_pyav_there_is_advice(material, monkeypatch, tmp_path, write_video):
    monkeypatch.setitem(sys.modules, "av", None)
    path = next(material.videos.glob("-good*"))
    for read in (read_video_audio, lambda video: read_video_frames(video, [0.5])):
        with pytest.raises(ImportError, match="pip install av"):
            read(path)
    with pytest.raises(ImportError, match="PyAV"):
        write_video(tmp_path / "a.mp4", tones(44100, 1.0, 500), None)


def test_bad_arguments_are_named(tmp_path, write_video, material):
    path = tmp_path / "a.mp4"
    with pytest.raises(ValueError, match="`audio` or `pictures`"):
        write_video(path, None, None)
    with pytest.raises(ValueError, match=r"`audio` must have shape.*\(10, 3\)"):
        write_video(path, np.zeros((10, 3)), None)
    with pytest.raises(ValueError, match="`pictures` must be uint8.*float64"):
        write_video(path, None, np.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match="`sampling_rate`"):
        read_video_audio(next(material.videos.glob("-good*")), 0)
