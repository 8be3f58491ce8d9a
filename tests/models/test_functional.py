"""The network is a graph of layers that can be looked at, cut and put together anew."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSANBackbone
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder

# Figure 1, in the names of its layers.
BLOCKS = (
    *("level", "stft", "bridge", "frame_alignment", "spatial_features"),
    *("alignment_fine", "alignment_mid", "alignment_full", "refiner", "doa_head"),
)


@pytest.fixture
def backbone(make_tiny):
    return make_tiny(compiled=False).backbone


@pytest.fixture
def inputs(backbone, make_batch):
    return {name: make_batch()[0][name] for name in backbone.input}


@pytest.mark.one_backend
def test_inputs_and_outputs_are_known_before_a_call(make_tiny, backbone):
    model = make_tiny(compiled=False)
    for network in (model, backbone):
        assert network.input["audio"].shape == (None, None, 2)
        assert set(network.input) == {"audio", "images"}
        assert network.output["doa"].shape == (None, 180)
        assert network.output["band_attention_fine"].shape == (None, 16)
    assert set(AVSSANBackbone(None, LogMelEncoder(4, (2,)), prompt_dim=5).input) == {
        "audio",
        "prompt_embedding",
    }


@pytest.mark.backend_agnostic
def test_the_summary_names_every_block_with_its_shape(backbone):
    lines = []
    backbone.summary(print_fn=lines.append, line_length=120)
    text = "\n".join(lines)
    assert all(name in text for name in BLOCKS)
    assert "(None, None, 513, 4)" in text and "(None, 180)" in text


@pytest.mark.one_backend
def test_a_part_is_a_model_of_its_own(backbone, inputs):
    part = keras.Model(backbone.inputs, backbone.get_layer("refiner").output)
    mask, masked, weights = part(inputs)
    outputs = backbone(inputs)
    for found, name in ((mask, "mask"), (masked, "masked_spectrogram"), (weights, "band_weights")):
        np.testing.assert_allclose(
            ops.convert_to_numpy(found), ops.convert_to_numpy(outputs[name]), atol=1e-6
        )


@pytest.mark.one_backend
def test_a_part_is_replaced(backbone, inputs):
    """Another head on the masked spectrogram, trained beside frozen blocks."""
    backbone.trainable = False
    masked = backbone.get_layer("refiner").output[1]
    power = keras.layers.Lambda(
        lambda x: ops.mean(ops.square(x), axis=(1, 3)), output_shape=(513,), name="power"
    )(masked)
    side = keras.layers.Dense(2, name="side")(power)
    model = keras.Model(backbone.input, side)
    assert len(model.trainable_weights) == 2
    assert model(inputs).shape == (len(inputs["audio"]), 2)


@pytest.mark.backend_agnostic
def test_a_clone_computes_the_same(backbone, inputs):
    clone = keras.models.clone_model(backbone)
    for layer in backbone.layers:
        clone.get_layer(layer.name).set_weights(layer.get_weights())
    expected = backbone.predict_on_batch(inputs)
    for name, value in clone.predict_on_batch(inputs).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)


def test_every_prompt_goes_through_the_same_layers(backbone, inputs):
    """What the graph was made for, and a prompt that it was not made for."""
    embedding = ops.convert_to_numpy(backbone.image_encoder(inputs["images"], training=False))
    audio = {"audio": inputs["audio"]}
    graph = backbone(inputs, training=False)["doa"]
    beside = backbone({**audio, "prompt_embedding": embedding}, training=False)["doa"]
    np.testing.assert_allclose(ops.convert_to_numpy(graph), ops.convert_to_numpy(beside), atol=1e-6)
    before = len(backbone.weights)
    reference = np.random.default_rng(0).normal(size=(len(embedding), 4000)).astype("float32")
    backbone({**audio, "prompt_audio": reference})
    assert len(backbone.weights) == before


@pytest.mark.one_backend
def test_inputs_that_the_network_has_no_use_for_are_left_out(make_tiny, inputs):
    network = make_tiny(compiled=False, visual_prompt=False).backbone
    assert set(network.input) == {"audio"}
    alone = network({"audio": inputs["audio"]})["doa"]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(network(inputs)["doa"]), ops.convert_to_numpy(alone)
    )


@pytest.mark.backend_agnostic
def test_the_network_is_part_of_a_larger_graph(backbone):
    """With a prompt that its own graph does not have, too."""
    audio, embedding = keras.Input((None, 2)), keras.Input((backbone.prompt_dim,))
    outputs = backbone({"audio": audio, "prompt_embedding": embedding})
    model = keras.Model([audio, embedding], outputs["doa"])
    rng = np.random.default_rng(0)
    arrays = [
        rng.normal(size=shape).astype("float32")
        for shape in ((1, 8000, 2), (1, embedding.shape[1]))
    ]
    expected = backbone({"audio": arrays[0], "prompt_embedding": arrays[1]})["doa"]
    np.testing.assert_allclose(
        ops.convert_to_numpy(model(arrays)), ops.convert_to_numpy(expected), atol=1e-6
    )


@pytest.mark.backend_agnostic
def test_a_part_is_not_exchanged_behind_the_graph(make_tiny):
    model, other = make_tiny(compiled=False), make_tiny(compiled=False)
    with pytest.raises(AttributeError, match="`refiner` is a part of the model's graph"):
        model.backbone.refiner = other.backbone.refiner
    with pytest.raises(AttributeError, match="`alignments` is a part of the model's graph"):
        model.backbone.alignments = []
    for network in (other.backbone, None):
        with pytest.raises(AttributeError, match="`backbone` is a part of the model's graph"):
            model.backbone = network
    model.preprocessor = None  # as in every task of KerasHub
    assert model.preprocessor is None


def _prompts(backbone, inputs):
    """Inputs by what they hold beside the mixture."""
    rng = np.random.default_rng(0)
    audio = {"audio": inputs["audio"]}
    batch = len(inputs["audio"])
    recording = rng.normal(size=(batch, 4000)).astype("float32")
    weight = np.full(batch, 0.3, "float32")
    spacing = np.full(batch, 0.15, "float32")
    embedding = rng.normal(size=(batch, backbone.prompt_dim)).astype("float32")
    return {
        "images": inputs,
        "images, spacing": {**inputs, "microphone_spacing": spacing},
        "embedding": {**audio, "prompt_embedding": embedding},
        "recording": {**audio, "prompt_audio": recording},
        "images, recording": {
            **{**inputs, "prompt_audio": recording},
            "prompt_audio_weight": weight,
        },
    }


KINDS = ("images", "images, spacing", "embedding", "recording", "images, recording")
# Kinds and whether the audio encoder is frozen: those that run under every backend.
EVERYWHERE = {("images", False), ("embedding", False), ("images, recording", True)}


def _statistics(layer):
    return [ops.convert_to_numpy(w) for w in layer.weights if "moving_" in w.path]


@pytest.mark.parametrize(
    ("kind", "frozen"),
    [
        pytest.param(*case, marks=() if case in EVERYWHERE else pytest.mark.one_backend)
        for case in itertools.product(KINDS, (False, True))
    ],
)
def test_training_reaches_every_layer_whatever_the_prompt(kind, frozen, make_tiny, make_batch):
    """Dropout and batch normalisation, told by answers and statistics."""
    backbone = make_tiny(compiled=False, dropout=0.5).backbone
    backbone.audio_encoder.trainable = not frozen
    inputs = {name: make_batch()[0][name] for name in backbone.input}
    inputs = _prompts(backbone, inputs)[kind]
    moving = [] if frozen else [backbone.audio_encoder]
    moving += [backbone.image_encoder] if "images" in kind else []
    before = [_statistics(layer) for layer in moving]
    first, second = (ops.convert_to_numpy(backbone(inputs, training=True)["doa"]) for _ in range(2))
    assert np.abs(first - second).max() > 1e-6
    for layer, old in zip(moving, before, strict=True):
        assert old and not any(map(np.array_equal, old, _statistics(layer)))
    rest = [_statistics(layer) for layer in (backbone.audio_encoder, backbone.image_encoder)]
    answers = [
        ops.convert_to_numpy(backbone(inputs, training=mode)["doa"])
        for mode in (False, None, False)
    ]
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-6)
    np.testing.assert_allclose(answers[2], answers[0], atol=1e-6)
    after = [_statistics(layer) for layer in (backbone.audio_encoder, backbone.image_encoder)]
    for old, new in zip(rest, after, strict=True):
        assert all(map(np.array_equal, old, new))


@pytest.mark.backend_agnostic
def test_encoders_of_the_same_name_or_that_of_a_part(make_tiny, make_batch):
    encoders = {
        "image_encoder": ConvImageEncoder(8, (4,), (16, 16), name="refiner"),
        "audio_encoder": LogMelEncoder(8, (4,), name="refiner"),
    }
    model = make_tiny(compiled=False, **encoders)
    names = [layer.name for layer in model.backbone.layers]
    assert len(set(names)) == len(names)
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    inputs = {name: make_batch()[0][name] for name in model.input}
    np.testing.assert_allclose(
        again.predict_on_batch(inputs)["doa"], model.predict_on_batch(inputs)["doa"], atol=1e-6
    )


@pytest.mark.backend_agnostic
def test_inputs_that_are_none_or_no_dict(backbone, inputs):
    expected = ops.convert_to_numpy(backbone(inputs)["doa"])
    nothing = {"prompt_embedding": None, "microphone_spacing": None}
    found = ops.convert_to_numpy(backbone({**inputs, **nothing})["doa"])
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"must hold `audio`.*inputs with keys \['images'\]"):
        backbone({"images": inputs["images"]})
    with pytest.raises(TypeError, match="`inputs` must be a dict with `audio`"):
        backbone(inputs["audio"])
