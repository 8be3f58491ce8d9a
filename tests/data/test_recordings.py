"""Recordings of a pair: which channels they come from, and whether these can hold a direction."""

import numpy as np
import pytest
import soundfile

from keras_avssan.data.recordings import read_recordings

pytestmark = pytest.mark.once


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
            (None, r"array\.wav' must have 2 channel\(s\), got 4.*`channels`, such as `channels="),
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
        with pytest.raises(ValueError, match="transpose it: its shape is \\(2, 8000\\)"):
            read_recordings(noise(2, 8000), 16000)
