"""Models are channels-last by contract, whatever `image_data_format` Keras is set to."""

import ast
import functools
import inspect
import pathlib

import keras
import keras_hub
import numpy as np
import pytest

import keras_avssan
from keras_avssan import AVSSAN
from keras_avssan.encoders import (
    CLIPEncoder,
    CLIPTextTokenizer,
    ConvImageEncoder,
    ImageEncoder,
    LogMelEncoder,
    SoundEffectsCNN,
    VGGish,
    YAMNet,
)
from keras_avssan.layers import StereoSTFT
from keras_avssan.layers.resampler import Resampler
from keras_avssan.models import baselines

pytestmark = pytest.mark.one_backend

PACKAGE = pathlib.Path(keras_avssan.__file__).parent
SIZE = (16, 16)
TOKENIZER = CLIPTextTokenizer(["d o", "do g</w>"], sequence_length=12)
SMALL = {"dim": 8, "bridge_layers": 1, "num_heads": 2, "mlp_dim": 16}
AV_SELD = {
    "filters": (4, 8, 8, 16), "visual_dim": 16, "num_layers": 1, "num_heads": 2, "ffn_dim": 32
}  # fmt: skip


def make_clip(data_format=None):
    vision = keras_hub.models.CLIPVisionEncoder(
        8, 8, 1, 2, 16, image_shape=(*SIZE, 3), data_format=data_format
    )
    text = keras_hub.models.CLIPTextEncoder(
        len(TOKENIZER.vocabulary), 8, 8, 1, 2, 16, max_sequence_length=12
    )
    return keras_hub.models.CLIPBackbone(vision, text, projection_dim=8)


def make_convolution():
    inputs = keras.Input((*SIZE, 3))
    convolution = keras.layers.Conv2D(4, 3, data_format="channels_last")
    return ImageEncoder(keras.Model(inputs, convolution(inputs)))


def make_av_ssan(**arguments):
    encoders = {
        "image_encoder": ConvImageEncoder(8, (4, 8), SIZE),
        "audio_encoder": LogMelEncoder(8, (4,), num_mels=16),
    }
    return AVSSAN(**{**encoders, **SMALL, **arguments}, compile=False)


def make_baseline(name, **sizes):
    return getattr(baselines, name)(prompt_dim=6, **sizes, compile=False)


MODELS = {
    "AVSSAN": make_av_ssan,
    "AVSSAN, as published": functools.partial(make_av_ssan, configuration="paper"),
    "AVSSAN, VGGish": lambda: make_av_ssan(audio_encoder=VGGish((4, 6, 8, 10), 8)),
    "AVSSAN, YAMNet": lambda: make_av_ssan(audio_encoder=YAMNet(0.0625)),
    "AVSSAN, YAMNet, densely": lambda: make_av_ssan(audio_encoder=YAMNet(0.0625, stage=6)),
    "AVSSAN, SoundEffectsCNN": lambda: make_av_ssan(audio_encoder=SoundEffectsCNN((4, 6, 8, 10))),
    "AVSSAN, CLIP": lambda: make_av_ssan(image_encoder=CLIPEncoder(make_clip("channels_last"))),
    "AVSSAN, any image model": lambda: make_av_ssan(image_encoder=make_convolution()),
    "SELDNet": lambda: make_baseline("SELDNet", filters=8, recurrent_dim=8, hidden_dim=8),
    "GCCMLP": lambda: make_baseline("GCCMLP", hidden_dim=8),
    "FNSSL": lambda: make_baseline("FNSSL", hidden_dim=8, num_blocks=1, frequency_stride=8),
    "MLPAVC": lambda: make_baseline("MLPAVC", hidden_dim=8),
    "AVMLP": lambda: make_baseline("AVMLP", hidden_dim=8),
    "DGB": lambda: make_baseline("DGB", hidden_dim=8),
    "AVST": lambda: make_baseline("AVST", dim=16, mlp_dim=8),
    "AVSELD": lambda: make_baseline("AVSELD", kernel_size=5, **AV_SELD),
    "CMAF": lambda: make_baseline("CMAF", dim=16, ffn_dim=8, hidden_dim=8),
}


@pytest.fixture
def channels_first():
    """Keras, set to channels first for one test."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


def scenes(model):
    rng = np.random.default_rng(0)
    inputs = {"audio": rng.normal(size=(1, 8000, 2)).astype("float32")}
    if model.backbone.image_encoder is None:
        inputs["prompt_embedding"] = rng.normal(size=(1, 6)).astype("float32")
    else:
        inputs["images"] = rng.uniform(size=(1, *SIZE, 3)).astype("float32")
    return inputs


def posterior(model):
    outputs = model(scenes(model), training=False)
    return keras.ops.convert_to_numpy(outputs["doa"])


def test_every_baseline_is_covered():
    assert set(baselines.__all__) - {"Baseline", "BaselineBackbone"} <= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_the_same_numbers_under_channels_first(name):
    before = keras.config.image_data_format()
    model = MODELS[name]()
    expected = posterior(model)
    try:
        keras.config.set_image_data_format("channels_first")
        again = type(model).from_config(model.get_config())
        again.set_weights(model.get_weights())
        np.testing.assert_allclose(posterior(again), expected, atol=1e-6)
    finally:
        keras.config.set_image_data_format(before)


def test_a_model_made_under_channels_first_is_whole(channels_first):
    assert posterior(make_av_ssan()).shape == (1, 180)


def test_a_clip_preset_loads_under_channels_first(tmp_path, channels_first):
    encoder = CLIPEncoder(make_clip("channels_last"), TOKENIZER)
    encoder.save_to_preset(tmp_path)
    picture = np.random.default_rng(0).uniform(size=(1, *SIZE, 3)).astype("float32")
    again = CLIPEncoder.from_preset(tmp_path)
    first, second = (keras.ops.convert_to_numpy(model(picture)) for model in (encoder, again))
    np.testing.assert_allclose(second, first, atol=1e-6)
    assert keras.config.image_data_format() == "channels_first"  # left as the user has it


@pytest.mark.parametrize("implementation", ["fft", "conv"])
def test_layers_that_convolve_by_hand(implementation, channels_first):
    audio = np.random.default_rng(0).normal(size=(1, 4096, 2)).astype("float32")
    assert StereoSTFT(implementation=implementation)(audio).shape == (1, 9, 513, 4)
    assert Resampler(16000, 8000)(audio[..., 0]).shape == (1, 2048)


def test_models_of_another_order_are_refused(channels_first):
    inputs = keras.Input((3, *SIZE))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs))
    with pytest.raises(ValueError, match=r"`model`.*channels_last.*\(None, 3, 16, 16\)"):
        ImageEncoder(model, SIZE)
    vision = keras_hub.models.CLIPVisionEncoder(8, 8, 1, 2, 16, image_shape=(3, *SIZE))
    text = keras_hub.models.CLIPTextEncoder(
        len(TOKENIZER.vocabulary), 8, 8, 1, 2, 16, max_sequence_length=12
    )
    with pytest.raises(ValueError, match=r"`backbone`.*data_format='channels_first'"):
        CLIPEncoder(keras_hub.models.CLIPBackbone(vision, text, projection_dim=8))


def dotted(node):
    """`keras.layers.Conv1D` of a call; `None` of anything else."""
    if isinstance(node, ast.Name):
        return {"ops": "keras.ops", "layers": "keras.layers"}.get(node.id, node.id)
    before = dotted(node.value) if isinstance(node, ast.Attribute) else None
    return before and f"{before}.{node.attr}"


def takes_data_format(name):
    """Whether `name`, in full, is something of Keras that has an order of axes."""
    if name is None or not name.startswith(("keras.layers.", "keras.ops.")):
        return False
    found = functools.reduce(lambda a, b: getattr(a, b, None), name.split(".")[1:], keras)
    return callable(found) and "data_format" in inspect.signature(found).parameters


@pytest.mark.backend_agnostic
def test_no_layer_leaves_its_data_format_open():
    calls = [
        (file, node)
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and takes_data_format(dotted(node.func))
    ]
    assert len(calls) > 10
    open_calls = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file, node in calls
        if "data_format" not in [keyword.arg for keyword in node.keywords]
    ]
    assert open_calls == []
