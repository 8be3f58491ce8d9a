import numpy as np
import pytest
import soundfile

from keras_avssan.data import read_audio
from keras_avssan.data.audio_io import audio_num_samples

pytestmark = pytest.mark.once

FORMATS = ("wav", "flac", "ogg", "mp3")


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
    with pytest.raises(ValueError, match="2 channel.*got 1"):
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
    with pytest.raises(ValueError, match="48000 Hz, expected 16000"):
        read_audio(sine(48000), 16000, source_rate=48000, resample=False)


@pytest.mark.parametrize("share", [0.4, 0.97])
@pytest.mark.parametrize("extension", FORMATS)
def test_a_truncated_file_is_refused(tmp_path, extension, share):
    path = tmp_path / f"cut.{extension}"
    noise = 0.1 * np.random.default_rng(0).standard_normal(48000)
    soundfile.write(path, noise, 16000)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"cut\.{extension}.*truncated"):
        read_audio(path)


@pytest.mark.parametrize("content", [b"", b"not a sound " * 50])
def test_an_unreadable_file_is_refused(tmp_path, content):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.wav.*cannot be read"):
        read_audio(path)


def test_missing_and_empty_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.wav.*does not exist"):
        read_audio(tmp_path / "none.wav")
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
