"""Recordings of a pair: which channels they come from, and whether these can hold a direction."""

import warnings

import numpy as np
import pytest
import soundfile

from keras_avssan.data.media.channel_pair import confidence, find_copies
from keras_avssan.data.media.recordings import read_recordings, read_reference

pytestmark = pytest.mark.backend_agnostic


def noise(*shape, seed=0):
    return 0.1 * np.random.default_rng(seed).normal(size=shape).astype("float32")


class TestChannels:
    def test_two_of_several_in_the_order_that_is_given(self, tmp_path):
        audio = noise(8000, 4)
        soundfile.write(tmp_path / "array.wav", audio, 16000, subtype="FLOAT")
        for source in (audio, audio[None], [audio], tmp_path / "array.wav"):
            for channels in ((0, 2), (3, 1), [2, 0], np.array([1, 0])):
                read = read_recordings(source, 16000, channels=channels)
                np.testing.assert_array_equal(read[0], audio[:, list(channels)])

    def test_nothing_else_of_the_recording_matters(self):
        audio = noise(8000, 3)
        audio[:, 1] = np.nan
        assert np.isfinite(read_recordings(audio, 16000, channels=(0, 2))).all()

    @pytest.mark.parametrize(
        ("channels", "message"),
        [
            (
                None,
                r"array\.wav' must have 2 channel\(s\).*such as `channels=.*Received: 4",
            ),
            ((0, 4), r"array\.wav' has 4 channel\(s\), numbered from 0.*channels=\(0, 4\)"),
            ((1, 1), "`channels` must be two different channels"),
            ((0, -1), "`channels` must be two different channels"),
            ((0, 1, 2), "`channels` must be two different channels"),
            ((0.0, 1.0), "`channels` must be two different channels"),
            (2, "`channels` must be two different channels"),
        ],
    )
    def test_wrong_ones_are_refused(self, channels, message, tmp_path):
        soundfile.write(tmp_path / "array.wav", noise(8000, 4), 16000)
        with pytest.raises(ValueError, match=message):
            read_recordings(tmp_path / "array.wav", 16000, channels=channels)

    def test_a_transposed_array_is_told(self):
        with pytest.raises(ValueError, match="transpose it.*shape \\(2, 8000\\)"):
            read_recordings(noise(2, 8000), 16000)


def read_quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_recordings(*arguments, **options)


class TestDeadChannels:
    @pytest.mark.parametrize("dead", [0, 1])
    @pytest.mark.parametrize(
        ("signal", "found"),
        [
            (np.zeros(8000), "constant"),
            (np.full(8000, 0.1), "constant"),
            (0.009 * noise(8000, seed=1), "-41 dB below"),
            (0.3 + 0.009 * noise(8000, seed=1), "-41 dB below"),
        ],
    )
    def test_one_is_an_error_that_names_it(self, signal, found, dead):
        channels = [noise(8000), signal]
        audio = np.stack(channels if dead else channels[::-1], axis=1)
        with pytest.raises(ValueError, match=f"`audio` must hold.*channel {dead} is {found}"):
            read_recordings(audio, 16000)

    def test_at_any_rate_and_in_any_place(self, tmp_path):
        """Resampled, a constant channel has edges, 35 dB below the noise of the other one."""
        dead = np.stack([noise(22050), np.full(22050, 0.1)], axis=1)
        soundfile.write(tmp_path / "dead.wav", dead, 44100)
        good = noise(22050, 2)
        with pytest.raises(ValueError, match=r"dead\.wav' must hold.*channel 1 is constant"):
            read_recordings([good, tmp_path / "dead.wav"], 16000, source_rate=44100)
        with pytest.raises(ValueError, match=r"`audio\[1\]` must hold.*channel 1 is constant"):
            read_recordings(np.stack([good, dead]), 16000, source_rate=44100)

    def test_what_is_constant_is_silent(self):
        with pytest.raises(ValueError, match="must not be silent.*of the same value"):
            read_recordings(np.full((8000, 2), [0.1, -0.2], "float32"), 16000)

    def test_a_quiet_channel_hears(self):
        audio = noise(8000, 2) * np.float32([1, 0.02])  # 34 dB below
        np.testing.assert_array_equal(read_quietly(audio, 16000)[0], audio)


class TestCopies:
    @pytest.mark.parametrize("rate", [16000, 44100])
    @pytest.mark.parametrize("gain", [1.0, -1.0, 0.25, -0.3])
    @pytest.mark.parametrize("limit", [np.inf, 0.1], ids=["whole", "clipped"])
    def test_one_channel_twice(self, gain, rate, limit, tmp_path):
        source = np.clip(noise(rate), -limit, limit)
        soundfile.write(tmp_path / "mono.wav", np.stack([source, gain * source], axis=1), rate)
        with pytest.warns(UserWarning, match=r"mono\.wav': both channels hold the same signal"):
            audio = read_recordings(tmp_path / "mono.wav", 16000)
        assert find_copies(audio).tolist() == [True]

    def test_the_warning_names_those_of_a_batch_and_the_line_that_called(self):
        audio = noise(3, 8000, 2)
        audio[::2, :, 1] = audio[::2, :, 0]
        with pytest.warns(UserWarning, match=r"^`audio\[0\]`, `audio\[2\]`: both") as caught:
            read_recordings(audio, 16000)
        assert [warning.filename for warning in caught] == [__file__]
        posterior = np.eye(180, dtype="float32")[[10, 20, 30]]
        assert confidence(posterior, audio).tolist() == [0, 1, 0]

    def test_real_pairs_are_none(self):
        source = noise(8000)
        pairs = {
            "noise alone": noise(8000, 2),
            "a source in front, self-noise 50 dB below": source[:, None] + 3e-3 * noise(8000, 2),
            "half a sample apart": np.stack(
                [
                    source,
                    np.fft.irfft(np.fft.rfft(source) * np.exp(-0.5j * np.linspace(0, np.pi, 4001))),
                ],
                axis=1,
            ),
            "the same click, later": np.roll(np.eye(8000, dtype="float32")[:2].T, 3, axis=0),
        }
        for name, audio in pairs.items():
            assert not find_copies(audio[None])[0], name
            read_quietly(audio.astype("float32"), 16000)


class TestReferences:
    def test_channels_are_averaged_whatever_the_source(self, tmp_path):
        audio = noise(8000, 3)
        soundfile.write(tmp_path / "three.wav", audio, 16000, subtype="FLOAT")
        for source in (audio, tmp_path / "three.wav"):
            read = read_reference(source, 16000)
            assert read.shape == (8000,) and read.dtype == np.float32
            np.testing.assert_allclose(read, audio.mean(axis=1), atol=1e-7)
        np.testing.assert_array_equal(read_reference(audio[:, 0], 16000), audio[:, 0])

    def test_it_is_resampled_unless_it_must_not(self):
        assert read_reference(noise(22050), 16000, source_rate=44100).shape == (8000,)
        with pytest.raises(ValueError, match="A recording as `prompt`.*44100"):
            read_reference(noise(22050), 16000, source_rate=44100, resample=False)

    def test_what_cannot_be_used_is_refused(self):
        opposite = noise(8000)
        for audio in (np.zeros(8000), np.stack([opposite, -opposite], axis=1)):
            with pytest.raises(ValueError, match="A recording as `prompt` must not be silent"):
                read_reference(audio, 16000)
        with pytest.raises(ValueError, match="A recording as `prompt`"):
            read_reference(noise(800), 16000, min_duration=0.1)

    def test_one_silent_channel_of_a_pair_is_no_error(self):
        audio = np.stack([noise(8000), np.zeros(8000, "float32")], axis=1)
        np.testing.assert_allclose(read_reference(audio, 16000), audio[:, 0] / 2, atol=1e-7)
