"""The small image encoder that is trained with the task."""

import keras
import numpy as np
from keras import ops

from keras_avssan.encoders import ConvImageEncoder


def test_any_picture_size_and_the_right_shape():
    encoder = ConvImageEncoder(dim=8, filters=(4, 8), image_size=(16, 16))
    rng = np.random.default_rng(0)
    for size in [(16, 16), (24, 20)]:
        images = rng.uniform(size=(2, *size, 3)).astype("float32")
        embeddings = ops.convert_to_numpy(encoder(images))
        assert embeddings.shape == encoder.compute_output_shape(images.shape) == (2, 8)
        assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-4


def test_embeddings_are_normalised_over_their_features():
    encoder = ConvImageEncoder(dim=8, filters=(4, 8), image_size=(16, 16))
    embeddings = ops.convert_to_numpy(encoder(np.ones((1, 16, 16, 3), "float32") * 0.9))
    np.testing.assert_allclose(embeddings.mean(axis=1), 0.0, atol=1e-5)


def test_batch_statistics_move_in_training_alone():
    encoder = ConvImageEncoder(dim=8, filters=(4, 8), image_size=(16, 16))
    images = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype("float32")
    encoder(images, training=False)
    resting = encoder.get_weights()
    encoder(images, training=True)
    moved = [not np.array_equal(a, b) for a, b in zip(resting, encoder.get_weights(), strict=True)]
    assert sum(moved) == 4  # mean and variance of two normalisations


def test_config_round_trip():
    encoder = ConvImageEncoder(dim=8, filters=(4, 8), image_size=(16, 24), name="pictures")
    restored = keras.layers.deserialize(keras.layers.serialize(encoder))
    assert restored.get_config() == encoder.get_config()
    assert restored.image_size == (16, 24)
