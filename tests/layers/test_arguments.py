"""Wrong arguments of layers are refused in the same words, and whole numbers count as integers."""

import numpy as np
import pytest

from keras_avssan.layers.doa_head import DoAHead
from keras_avssan.layers.resampler import Resampler
from keras_avssan.layers.scene_renderer import SceneRenderer
from keras_avssan.layers.spec_augment import SpecAugment
from keras_avssan.layers.stereo_stft import StereoSTFT

pytestmark = pytest.mark.backend_agnostic

RATES = {"source_rate": 48000, "target_rate": 16000}
# Layer, the argument that is an integer, the least value and the others.
INTEGERS = [
    (Resampler, "source_rate", 1, RATES),
    (Resampler, "target_rate", 1, RATES),
    (SpecAugment, "frequency", 0, {}),
    (SpecAugment, "time", 0, {}),
    (StereoSTFT, "frame_length", 1, {}),
    (StereoSTFT, "hop_length", 1, {}),
]


@pytest.mark.parametrize(("layer", "name", "least", "others"), INTEGERS)
@pytest.mark.parametrize("value", [-1, 2.5, True, float("nan"), "8", None])
def test_no_integer(layer, name, least, others, value):
    with pytest.raises(ValueError) as raised:
        layer(**{**others, name: value})
    assert str(raised.value) == (
        f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}"
    )


@pytest.mark.parametrize(("layer", "name", "least", "others"), INTEGERS)
@pytest.mark.parametrize("value", [16000.0, np.int64(16000)])
def test_a_whole_number_is_an_integer(layer, name, least, others, value):
    kept = layer(**{**others, name: value}).get_config()[name]
    assert type(kept) is int and kept == 16000


@pytest.mark.parametrize(
    ("layer", "name", "kind"),
    [
        (DoAHead, "microphone_spacing", "distance in metres"),
        (SceneRenderer, "mix_rms", "number"),
    ],
)
@pytest.mark.parametrize("value", [0.0, -0.1, float("nan"), float("inf"), "0.2", None, True])
def test_no_positive_number(layer, name, kind, value):
    with pytest.raises(ValueError) as raised:
        layer(**{name: value})
    assert str(raised.value) == f"`{name}` must be a positive {kind}. Received: {name}={value!r}"
