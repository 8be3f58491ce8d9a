"""Recordings whose microphones come before the samples are told to be transposed."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.classical import SRPPHAT
from keras_avssan.data import read_audio
from keras_avssan.data.media.video_io import _audio_stream
from keras_avssan.layers import SceneRenderer, StereoSTFT
from keras_avssan.visualization.checks import as_array

SIDEWAYS = np.random.default_rng(0).normal(size=(2, 2, 16000)).astype("float32")
MESSAGE = r"(?=.*2, 16000\)).*transpose it"


@pytest.mark.parametrize(
    "audio", [SIDEWAYS[0], SIDEWAYS, [SIDEWAYS[0]]], ids=["one", "two", "list"]
)
@pytest.mark.parametrize("channels", [None, (0, 1)])
@pytest.mark.backend_agnostic
def test_localize(audio, channels, model):
    for localizer, prompt in ((model, np.zeros((16, 16, 3), "uint8")), (SRPPHAT(), None)):
        with pytest.raises(ValueError, match=r"transpose it.*\(2, 16000\)"):
            localizer.localize(audio, prompt, channels=channels)


def test_a_batch_in_the_form_of_the_model(model):
    images = np.zeros((2, 16, 16, 3), "float32")
    inputs = {"audio": ops.convert_to_tensor(SIDEWAYS), "images": images}
    with pytest.raises(ValueError, match=MESSAGE):
        model(inputs)
    with pytest.raises(ValueError, match=MESSAGE):
        SRPPHAT()(inputs)
    with pytest.raises(ValueError, match=MESSAGE):
        StereoSTFT()(inputs["audio"])


def test_a_target_to_train_on(model, batch):
    inputs, labels = batch
    labels = {**labels, "target": np.swapaxes(labels["target"], 1, 2)}
    with pytest.raises(ValueError, match="transpose it"):
        model.test_on_batch(inputs, labels)


@pytest.mark.backend_agnostic
def test_dry_sounds():
    dry = ops.swapaxes(ops.convert_to_tensor(SIDEWAYS), 1, 2)
    with pytest.raises(ValueError, match=r"`dry_audio`.*transpose it.*16000, 2\)"):
        SceneRenderer()(dry, ops.ones((2, 2, 2, 8)), ops.zeros(2))


@pytest.mark.backend_agnostic
def test_where_samples_are_read_or_written():
    with pytest.raises(ValueError, match=r"transpose it.*\(2, 16000\)"):
        read_audio(SIDEWAYS[0], channels=2)
    with pytest.raises(ValueError, match="transpose it"):
        _audio_stream(None, SIDEWAYS[0], 16000)
    with pytest.raises(ValueError, match=r"`target`.*transpose it.*\(2, 16000\)"):
        as_array("target", SIDEWAYS[0], (None, 2))


@pytest.mark.backend_agnostic
def test_the_right_way_round_is_no_reason_for_advice():
    with pytest.raises(ValueError) as error:
        as_array("target", np.ones((16000, 1)), (None, 2))
    assert "transpose" not in str(error.value)
