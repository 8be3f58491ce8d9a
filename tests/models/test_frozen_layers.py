"""What is frozen stays frozen in files and presets: told by the weights after a step."""

import json

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN
from keras_avssan._internal.frozen_layers import trainable_layers
from keras_avssan.encoders import (
    AudioEncoder,
    ConvImageEncoder,
    ImageEncoder,
    LogMelEncoder,
    VGGish,
    YAMNet,
)
from keras_avssan.models.baselines import MLPAVC
from keras_avssan.training.run_configuration import frozen_weights


def to_file(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def to_preset(model, folder):
    model.save_to_preset(str(folder / "preset"))
    return type(model).from_preset(str(folder / "preset"))


FORMS = {
    "file": to_file,
    "preset": to_preset,
    "configuration": lambda model, _: type(model).from_config(
        json.loads(json.dumps(model.get_config()))
    ),
}


def freeze_encoders(backbone):
    backbone.image_encoder.trainable = backbone.audio_encoder.trainable = False


def freeze_single_layers(backbone):
    backbone.bridge.blocks[0].hidden.trainable = False
    backbone.refiner.trainable = False


def freeze_part_of_an_encoder(backbone):
    backbone.image_encoder.convolutions[1].trainable = False
    backbone.audio_encoder.trainable = False
    backbone.audio_encoder.projection.trainable = True


def freeze_all_but_the_head(backbone):
    backbone.trainable = False
    backbone.trainable = True
    for layer in backbone._flatten_layers(include_self=False, recursive=False):
        layer.trainable = layer is backbone.doa_head


def freeze_the_backbone(backbone):
    backbone.trainable = False


CHOICES = [
    freeze_the_backbone,
    freeze_encoders,
    freeze_single_layers,
    freeze_part_of_an_encoder,
    freeze_all_but_the_head,
]


def changed_by_a_step(model, batch, eagerly):
    """Positions of the weights that a step changes."""
    model.compile(keras.optimizers.SGD(0.1), metrics=None, run_eagerly=eagerly)
    before = [weight.copy() for weight in model.get_weights()]
    model.train_on_batch(*batch)
    pairs = zip(before, model.get_weights(), strict=True)
    return {i for i, (old, new) in enumerate(pairs) if not np.array_equal(old, new)}


def positions(model):
    trainable = {id(weight) for weight in model.trainable_weights}
    return {i for i, weight in enumerate(model.weights) if id(weight) in trainable}


@pytest.mark.parametrize(
    "form",
    [pytest.param(form, marks=() if form == "file" else pytest.mark.one_backend) for form in FORMS],
)
def test_a_step_changes_what_it_changed_before(form, make_tiny, make_batch, eagerly, tmp_path):
    model = make_tiny()
    freeze_part_of_an_encoder(model.backbone)
    restored = FORMS[form](model, tmp_path)
    assert positions(restored) == positions(model)
    restored.set_weights(model.get_weights())
    moved = changed_by_a_step(restored, make_batch(), eagerly)
    assert moved == changed_by_a_step(model, make_batch(), eagerly)
    frozen = set(range(len(model.weights))) - positions(model)
    statistics = {i for i, weight in enumerate(model.weights) if "moving_" in weight.path}
    assert len(moved - statistics) > 50 and not moved & (frozen - statistics)


@pytest.mark.backend_agnostic
def test_a_clone_is_a_functional_model_with_the_same_layers_frozen(make_tiny, make_batch):
    model = make_tiny(compiled=False)
    freeze_part_of_an_encoder(model.backbone)
    clone = keras.models.clone_model(model)
    assert positions(clone) == positions(model)
    clone.set_weights(model.get_weights())
    inputs = {name: make_batch()[0][name] for name in model.input}
    expected = model.predict_on_batch(inputs)
    for name, value in clone.predict_on_batch(inputs).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("freeze", CHOICES)
def test_every_choice_survives(freeze, form, make_tiny, tmp_path):
    model = make_tiny(compiled=False)
    everything = positions(model)
    freeze(model.backbone)
    restored = FORMS[form](model, tmp_path)
    assert restored is not model and restored.backbone is not model.backbone
    assert restored.backbone.trainable == model.backbone.trainable
    assert positions(restored) == positions(model) != everything
    assert trainable_layers(restored) == trainable_layers(model)


@pytest.mark.backend_agnostic
def test_a_frozen_model_stays_frozen(make_tiny):
    model = make_tiny(compiled=False)
    model.trainable = False
    model.backbone.trainable = True
    model.backbone.refiner.trainable = False
    restored = AVSSAN.from_config(model.get_config())
    assert not restored.trainable and restored.trainable_weights == []
    assert positions(restored.backbone) == positions(model.backbone) != set()


@pytest.mark.backend_agnostic
def test_what_is_constructed_as_frozen_is_frozen(make_tiny):
    encoders = {
        "image_encoder": ConvImageEncoder(8, (4,), (16, 16), trainable=False),
        "audio_encoder": LogMelEncoder(8, (4,), trainable=False),
    }
    model = make_tiny(compiled=False, **encoders)
    names = {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert names == {"bridge", "alignment_fine", "alignment_mid", "alignment_full", "refiner"} | {
        "doa_head"
    }
    assert AVSSAN(prompt_dim=8, trainable=False).trainable_weights == []
    assert MLPAVC(prompt_dim=8, trainable=False).trainable_weights == []


@pytest.mark.backend_agnostic
def test_names_that_keras_counts_up_do_not_matter(make_tiny):
    def encoder():
        layers = [keras.layers.Conv2D(4, 3), keras.layers.Conv2D(4, 3), keras.layers.Conv2D(4, 3)]
        return ImageEncoder(keras.Sequential([keras.Input((16, 16, 3)), *layers]), trainable=True)

    first, second = (make_tiny(compiled=False, image_encoder=encoder()) for _ in range(2))
    for model in (first, second):
        model.backbone.image_encoder.model.layers[1].trainable = False
    paths = [trainable_layers(model.backbone) for model in (first, second)]
    assert paths[0] == paths[1] == {"image_encoder/sequential/conv2d_1": False}
    restored = AVSSAN.from_config(second.get_config())
    assert positions(restored) == positions(second)


def small_vggish():
    return VGGish(filters=(2, 2, 2, 2), hidden_dim=4, embedding_dim=4)


def wrapped():
    sounds = [keras.layers.Reshape((-1, 1000)), keras.layers.Dense(4), keras.layers.Dense(4)]
    return AudioEncoder(keras.Sequential([keras.Input((16000,)), *sounds]))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: LogMelEncoder(8, (4,)), lambda encoder: encoder.projection),
        (small_vggish, lambda encoder: encoder.dense_layers[-1]),
        (lambda: YAMNet(0.0625), lambda encoder: encoder.network.convolutions[-1]),
        (wrapped, lambda encoder: encoder.model.layers[-1]),
    ],
)
def test_encoders_keep_it_alone(make, part):
    encoder = make()
    encoder(np.zeros((1, 16000), "float32"))
    part(encoder).trainable = not encoder.trainable
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(encoder)))
    restored = keras.saving.deserialize_keras_object(config)
    flags = [[weight.trainable for weight in one.weights] for one in (encoder, restored)]
    assert flags[0] == flags[1] and len(set(flags[0])) == 2


@pytest.mark.backend_agnostic
def test_baselines_keep_it(make_tiny):
    model = MLPAVC(image_encoder=ConvImageEncoder(8, (4,), (16, 16)))
    model.backbone.image_encoder.trainable = False
    restored = MLPAVC.from_config(model.get_config())
    assert positions(restored) == positions(model)
    assert len(restored.trainable_weights) < len(MLPAVC(prompt_dim=8).trainable_weights) + 5


@pytest.mark.backend_agnostic
def test_configurations_of_before_load_as_they_did(make_tiny):
    config = make_tiny(compiled=False).get_config()
    assert config["backbone"]["config"].pop("trainable_layers") == {}
    for form in (VGGish, ConvImageEncoder):
        assert "trainable_layers" not in form().get_config() or form is VGGish
    assert len(AVSSAN.from_config(config).trainable_weights) == len(make_tiny().trainable_weights)


@pytest.mark.backend_agnostic
def test_checkpoints_hold_what_trains_within_what_is_frozen(make_tiny):
    model = make_tiny(compiled=False)
    freeze_part_of_an_encoder(model.backbone)
    frozen = {id(weight) for weight in frozen_weights(model)}
    assert not frozen & {id(weight) for weight in model.trainable_weights}
    pictures, sounds = model.backbone.image_encoder, model.backbone.audio_encoder
    resting = [pictures.convolutions[1].kernel, sounds.convolutions[0].kernel]
    assert {id(weight) for weight in (*resting, sounds.input_norm.moving_mean)} <= frozen
