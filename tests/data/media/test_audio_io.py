import struct

import numpy as np
import pytest
import soundfile

from keras_avssan.data import read_audio
from keras_avssan.data.media.audio_io import audio_num_samples

pytestmark = pytest.mark.backend_agnostic

FORMATS = ("wav", "flac", "ogg", "mp3")
MORE_FORMATS = ("aiff", "au", "caf", "rf64", "w64")


def sine(rate, seconds=1.0, frequency=440.0):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("extension", FORMATS)
def test_reads_every_format(tmp_path, extension):
    path = tmp_path / f"tone.{extension}"
    soundfile.write(path, sine(16000), 16000)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    assert samples.shape == (16000,)
    assert audio_num_samples(path) == 16000
    assert np.abs(samples - sine(16000))[2000:-2000].max() < 0.02


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_resamples_to_the_right_pitch_and_length(tmp_path, rate):
    path = tmp_path / "tone.wav"
    soundfile.write(path, sine(rate), rate, subtype="FLOAT")
    samples = read_audio(path, 16000)
    assert abs(len(samples) - 16000) <= 1
    assert audio_num_samples(path, 16000) == len(samples)
    error = np.abs(samples - sine(16000)[: len(samples)])[500:-500]
    assert error.max() < 1e-3


def test_channels_stay_apart(tmp_path):
    path = tmp_path / "stereo.wav"
    both = np.stack([sine(16000), sine(16000, frequency=660.0)], axis=1)
    soundfile.write(path, both, 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(path, channels=2), both, atol=1e-6)
    with pytest.raises(ValueError, match=r"stereo\.wav.*1 channel"):
        read_audio(path, channels=1)
    with pytest.raises(ValueError, match="2 channel.*Received: 1"):
        read_audio(sine(16000), channels=2)


def test_channels_are_chosen_in_order():
    audio = np.stack(
        [sine(16000), sine(16000, frequency=660.0), sine(16000, frequency=880.0)], axis=1
    )
    np.testing.assert_allclose(read_audio(audio, channels=(2, 0)), audio[:, [2, 0]], atol=1e-6)
    np.testing.assert_allclose(read_audio(audio, channels=(1,)), audio[:, 1], atol=1e-6)
    with pytest.raises(ValueError, match=r"has 3 channel.*channels=\(3, 0\)"):
        read_audio(audio, channels=(3, 0))


def test_an_array_is_resampled_from_its_own_rate():
    assert read_audio(sine(48000), 16000, source_rate=48000).shape == (16000,)
    assert read_audio(sine(16000)).shape == (16000,)
    with pytest.raises(ValueError, match="16000 Hz .*Received: 48000"):
        read_audio(sine(48000), 16000, source_rate=48000, resample=False)


@pytest.mark.parametrize("share", [0.4, 0.97])
@pytest.mark.parametrize("extension", FORMATS + MORE_FORMATS)
def test_a_truncated_file_is_refused(tmp_path, extension, share):
    path = tmp_path / f"cut.{extension}"
    noise = 0.1 * np.random.default_rng(0).standard_normal(48000)
    soundfile.write(path, noise, 16000)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"cut\.{extension}.*(truncated|malformed)"):
        read_audio(path)


PCM = (3000 * np.random.default_rng(0).standard_normal((16000, 2))).astype("<i2")
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf60.16.100\0"


def wav(data_size, riff_size, before=b"", samples=PCM, after=b""):
    """A WAV file of 16 bits, 16 kHz and two channels, with these sizes in its header."""
    fmt = struct.pack("<IHHIIHH", 16, 1, 2, 16000, 64000, 4, 16)
    sizes = (struct.pack("<I", size) for size in (riff_size, data_size))
    riff, data = sizes
    return b"RIFF" + riff + b"WAVEfmt " + fmt + before + b"data" + data + samples.tobytes() + after


N = PCM.nbytes
BELIEVED = {
    "whole": wav(N, N + 36),
    "of a stream of ffmpeg": wav(0xFFFFFFFF, 0xFFFFFFFF, LIST),
    "of a stream of sox": wav(0x7FFFF000, 0x7FFFF024),
    "2 GiB": wav(0x80000000, 0x80000024),
    "31 bits": wav(0x7FFFFFFF, 0xFFFFFFFF),
    "31 bits less a header": wav(0x7FFFFFFF - 36, 0x7FFFFFFF),
    "32 bits less a header": wav(0xFFFFFFDB, 0xFFFFFFFF),
    "never written": wav(0, 0),
    "never written, after a list": wav(0, 36, LIST),
    "a header too many": wav(N + 44, N + 80),
    "that of RIFF": wav(N + 36, N + 36),
    "a header with a list too many": wav(N + 44 + len(LIST), N + 80, LIST),
    "RIFF alone wrong": wav(N, 0x7FFFF024),
    "a list behind": wav(N, N + 36, after=LIST),
}


@pytest.mark.parametrize("sizes", BELIEVED)
def test_samples_are_believed_rather_than_a_header_that_cannot_know(tmp_path, sizes):
    (tmp_path / "s.wav").write_bytes(BELIEVED[sizes])
    np.testing.assert_array_equal(read_audio(tmp_path / "s.wav"), PCM.astype("float32") / 32768)
    assert audio_num_samples(tmp_path / "s.wav") == 16000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav(N + 8000, N + 8036), "truncated"),
        (wav(3 * 10**9, 3 * 10**9 + 36), "truncated"),
        (wav(0, 36, samples=PCM[:0]), "empty. Received: 0 samples"),
        (wav(0, 36, samples=PCM[:0], after=LIST), "empty. Received: 0 samples"),
        (b"", "empty. Received: 0 bytes"),
    ],
)
def test_what_ends_early_is_refused(tmp_path, content, message):
    (tmp_path / "s.wav").write_bytes(content)
    for read in (read_audio, audio_num_samples):
        with pytest.raises(ValueError, match=rf"s\.wav' is {message}"):
            read(tmp_path / "s.wav")


def test_streams_of_other_formats_go_to_their_end(tmp_path):
    """FLAC that does not know its length, AIFF as sox writes it to a pipe, AU without a size."""
    paths = {form: tmp_path / f"s.{form}" for form in ("flac", "aiff", "au")}
    for path in paths.values():
        soundfile.write(path, PCM, 16000, subtype="PCM_16")
    flac, aiff, au = (bytearray(path.read_bytes()) for path in paths.values())
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    common, sound = aiff.index(b"COMM"), aiff.index(b"SSND")
    aiff[common + 10 : common + 14] = struct.pack(">I", 0x7F000000 // 4)
    aiff[sound + 4 : sound + 8] = struct.pack(">I", 0x7F000008)
    au[8:12] = bytes(4)
    for path, content in zip(paths.values(), (flac, aiff, au), strict=True):
        path.write_bytes(content)
        np.testing.assert_array_equal(read_audio(path), PCM.astype("float32") / 32768)
        assert audio_num_samples(path) == 16000
    paths["flac"].write_bytes(flac[: len(flac) // 2])
    with pytest.raises(ValueError, match=r"s\.flac' is truncated or damaged"):
        read_audio(paths["flac"])


def test_an_unreadable_file_is_refused(tmp_path):
    path = tmp_path / "bad.wav"
    path.write_bytes(b"not a sound " * 50)
    with pytest.raises(ValueError, match=r"bad\.wav.*cannot be read"):
        read_audio(path)


def test_missing_and_empty_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.wav.*does not exist"):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(ValueError, match=r"must be a file. Received: a directory"):
        read_audio(tmp_path)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    with pytest.raises(ValueError, match=r"empty\.wav.*empty"):
        read_audio(tmp_path / "empty.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path, value):
    samples = sine(16000)
    samples[100] = value
    soundfile.write(tmp_path / "bad.wav", samples, 16000, subtype="FLOAT")
    for audio in (samples, tmp_path / "bad.wav"):
        with pytest.raises(ValueError, match="NaN or infinite"):
            read_audio(audio)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros(0), "empty"),
        (np.zeros((0, 2)), "empty"),
        (np.zeros((2, 3, 4)), "shape"),
        (np.zeros(100, "int16"), "int16"),
        (np.zeros(100, "complex64"), "complex64"),
    ],
)
def test_wrong_arrays_are_refused(audio, message):
    with pytest.raises(ValueError, match=message):
        read_audio(audio)


@pytest.mark.parametrize("rate", [0, -16000, 0.5, np.nan])
def test_wrong_rates_are_refused(rate):
    with pytest.raises(ValueError, match="sampling_rate"):
        read_audio(sine(16000), rate)
