"""The slot for image models: normalisation, pooling, unit length, and truly frozen weights."""

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_avssan.encoders import ImageEncoder

SIZE = (16, 16)


def make_model(pool=True, input_shape=(*SIZE, 3)):
    """A plain Keras model with batch normalisation, to embeddings or to a feature map."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    if pool:
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, x)


def make_efficientnet():
    """A KerasHub backbone of two small stacks."""
    return keras_hub.models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 1],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16],
        stackwise_expansion_ratios=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_strides=[1, 2],
        stackwise_block_types=["v1", "v1"],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        num_features=24,
    )


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(4, *SIZE, 3)).astype("float32")


def embed(encoder, images, **kwargs):
    return ops.convert_to_numpy(encoder(images, **kwargs))


def train_step(encoder, images):
    """One large step of a task on top of the encoder; returns its weights before and after."""
    inputs = keras.Input((*SIZE, 3))
    task = keras.Model(inputs, keras.layers.Dense(1)(encoder(inputs)))
    task.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    before = encoder.get_weights()
    task.train_on_batch(images, np.arange(len(images), dtype="float32")[:, None])
    return before, encoder.get_weights()


@pytest.mark.parametrize("pool", [True, False])
def test_embeddings_are_pooled_and_of_unit_length(pool, images):
    model = make_model(pool)
    features = ops.convert_to_numpy(model(images))
    features = features if pool else features.mean(axis=(1, 2))
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    encoder = ImageEncoder(model)
    np.testing.assert_allclose(embed(encoder, images), expected, atol=1e-5)
    assert encoder.compute_output_shape(images.shape) == (4, 6)
    np.testing.assert_allclose(
        embed(ImageEncoder(model, normalize=False), images), features, atol=1e-5
    )


def test_pictures_are_normalised_as_the_model_expects(images):
    model = make_model()
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    encoder = ImageEncoder(model, mean=mean, std=std, normalize=False)
    shifted = (images - np.array(mean, "float32")) / np.array(std, "float32")
    expected = ops.convert_to_numpy(model(shifted))
    np.testing.assert_allclose(embed(encoder, images), expected, atol=1e-5)


@pytest.mark.backend_agnostic
def test_image_size_comes_from_the_model_or_the_argument():
    assert ImageEncoder(make_model()).image_size == SIZE
    anywhere = make_model(input_shape=(None, None, 3))
    assert ImageEncoder(anywhere, image_size=[24, 32]).image_size == (24, 32)
    with pytest.raises(ValueError, match="`image_size`"):
        ImageEncoder(anywhere)


@pytest.mark.one_backend
def test_a_frozen_encoder_does_not_change(images):
    before, after = train_step(ImageEncoder(make_model()), images)
    assert len(before) == 6  # kernel and bias; gamma, beta and the two moving statistics
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_frozen_encoder_ignores_training_mode(images):
    encoder = ImageEncoder(make_model())
    np.testing.assert_array_equal(embed(encoder, images, training=True), embed(encoder, images))
    assert encoder.trainable_variables == []


def test_a_trainable_encoder_learns(images):
    before, after = train_step(ImageEncoder(make_model(), trainable=True), images)
    changed = [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]
    assert all(changed[i] for i in (0, 2, 3, 4, 5))  # a bias before normalisation may rest


def test_a_black_picture_has_finite_gradients():
    inputs = keras.Input((*SIZE, 3))
    features = keras.layers.Conv2D(6, 3, use_bias=False, activation="relu")(inputs)
    encoder = ImageEncoder(keras.Model(inputs, features), trainable=True)
    _, after = train_step(encoder, np.zeros((4, *SIZE, 3), "float32"))
    assert all(np.isfinite(weight).all() for weight in after)


@pytest.mark.one_backend
def test_wraps_a_keras_hub_backbone(images):
    backbone = make_efficientnet()
    encoder = ImageEncoder(backbone, image_size=SIZE, mean=0.5, std=0.5)
    embeddings = embed(encoder, images)
    assert embeddings.shape == encoder.compute_output_shape((4, *SIZE, 3)) == (4, 24)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, rtol=1e-4)
    features = ops.convert_to_numpy(backbone((images - 0.5) / 0.5, training=False))
    expected = features.mean(axis=(1, 2))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(embeddings, expected, atol=1e-4)


@pytest.mark.one_backend
def test_config_round_trip_keeps_the_model(images):
    encoder = ImageEncoder(make_model(False), mean=[0.1, 0.2, 0.3], std=0.5, name="encoder")
    restored = keras.layers.deserialize(keras.layers.serialize(encoder))
    assert restored.image_size == SIZE
    assert restored.trainable is False
    restored.build((None, *SIZE, 3))
    restored.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(embed(restored, images), embed(encoder, images))
