"""Recordings block by block are those that `read_audio` reads wholly."""

import numpy as np
import pytest
import soundfile

from keras_avssan.data.media import sound_blocks
from keras_avssan.data.media.audio_io import read_audio
from keras_avssan.data.media.sound_blocks import choose_channels, open_blocks

pytestmark = pytest.mark.backend_agnostic

RATE = 22050


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(sound_blocks, "_BLOCK", 1000)


def write(path, channels=2, **options):
    samples = 0.1 * np.random.default_rng(0).standard_normal((3500, channels))
    soundfile.write(path, samples, RATE, **options)
    return path


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_blocks_of_files(tmp_path, ending):
    path = write(tmp_path / f"mix.{ending}")
    with open_blocks(path, 16000) as blocks:
        parts = list(blocks)
        assert (blocks.sampling_rate, blocks.num_samples) == (RATE, soundfile.info(path).frames)
    assert all(part.dtype == np.float32 and 0 < len(part) <= 1000 for part in parts)
    expected = read_audio(path, RATE)
    # Decoders of MP3 give the last frame or leave it out.
    np.testing.assert_allclose(np.concatenate(parts)[: len(expected)], expected, atol=1e-6)


def test_a_stream_of_unknown_length(tmp_path):
    path = write(tmp_path / "mix.flac")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number of samples in its header
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with open_blocks(path, 16000) as blocks:
        assert blocks.num_samples is None
        samples = np.concatenate(list(blocks))
    np.testing.assert_array_equal(samples, read_audio(path, RATE))
    assert len(samples) == 3500


def test_blocks_of_an_array_that_holds_anything():
    samples = np.random.default_rng(0).normal(size=(2500, 3))
    samples[7, 1], samples[8, 1] = np.nan, 1e60  # which float32 cannot hold
    with open_blocks(samples, 48000, channels=(2, 1)) as blocks:
        assert (blocks.sampling_rate, blocks.num_samples) == (48000, 2500)
        parts = list(blocks)
    assert [len(part) for part in parts] == [1000, 1000, 500]
    found = np.concatenate(parts)
    assert np.isnan(found[7, 1]) and np.isinf(found[8, 1])
    np.testing.assert_array_equal(found[9:], samples[9:, [2, 1]].astype("float32"))


def test_a_file_that_is_damaged_in_the_middle(tmp_path):
    path = tmp_path / "mix.flac"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal((40_000, 2)), RATE)
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(ValueError, match="mix.flac' is truncated"):
        with open_blocks(path, 16000) as blocks:
            list(blocks)


@pytest.mark.parametrize(
    ("present", "channels", "message"),
    [
        (1, None, "x must have 2 channels. Received: 1 channel"),
        (4, None, "Choose 2 of them with `channels`, such as `channels=.0, 1.`. Received: 4"),
        (2, (0, 2), r"x has 2 channel\(s\), numbered from 0. Received: channels=\(0, 2\)"),
        (4, (1, 1), "`channels` must be two different channels"),
    ],
)
def test_channels_that_are_not_there(present, channels, message):
    with pytest.raises(ValueError, match=message):
        choose_channels(present, channels, "x")
