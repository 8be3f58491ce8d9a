"""Audio models as encoders: embeddings and their times."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.encoders import AudioEncoder


def make_model(sequence=True):
    """One embedding per 160 samples, or one for all of them."""
    layers = [keras.Input((None,)), keras.layers.Reshape((-1, 160)), keras.layers.Dense(6)]
    if not sequence:
        layers.append(keras.layers.GlobalAveragePooling1D())
    return keras.Sequential(layers)


@pytest.fixture
def audio():
    return np.random.default_rng(0).normal(size=(2, 1600)).astype("float32")


def embed(encoder, audio):
    return ops.convert_to_numpy(encoder(audio))


def test_embeddings_of_a_sequence_model(audio):
    model = make_model()
    encoder = AudioEncoder(model, hop_seconds=0.01)
    np.testing.assert_array_equal(embed(encoder, audio), ops.convert_to_numpy(model(audio)))
    assert encoder.compute_output_shape((2, 1600))[-1] == 6


def test_one_embedding_for_the_whole_recording_becomes_a_sequence_of_one(audio):
    model = make_model(sequence=False)
    encoder = AudioEncoder(model)
    embeddings = embed(encoder, audio)
    assert embeddings.shape == encoder.compute_output_shape((2, 1600)) == (2, 1, 6)
    np.testing.assert_array_equal(embeddings[:, 0], ops.convert_to_numpy(model(audio)))


@pytest.mark.backend_agnostic
def test_first_embedding_is_centred_on_half_a_hop():
    assert AudioEncoder(make_model(), hop_seconds=0.96).offset_seconds == 0.48
    assert AudioEncoder(make_model(), 0.96, offset_seconds=0.1).offset_seconds == 0.1
    without = AudioEncoder(make_model())
    assert (without.hop_seconds, without.offset_seconds) == (None, None)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("hop", [0.0, -1.0])
def test_hop_must_be_positive(hop):
    with pytest.raises(ValueError, match="`hop_seconds`"):
        AudioEncoder(make_model(), hop_seconds=hop)


@pytest.mark.parametrize("trainable", [False, True])
def test_learns_only_if_trainable(trainable, audio):
    encoder = AudioEncoder(make_model(), trainable=trainable)
    inputs = keras.Input((1600,))
    pooled = keras.layers.GlobalAveragePooling1D()(encoder(inputs))
    task = keras.Model(inputs, keras.layers.Dense(1)(pooled))
    task.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    before = encoder.get_weights()
    task.train_on_batch(audio, np.ones((2, 1), "float32"))
    changed = [not np.array_equal(a, b) for a, b in zip(before, encoder.get_weights(), strict=True)]
    assert changed == [trainable] * 2


def test_audio_is_not_rounded_before_the_model_under_mixed_precision(audio):
    """The model itself decides where low precision begins; a float32 one sees float32 samples."""
    model = make_model()
    encoder = AudioEncoder(model, dtype="mixed_bfloat16")
    np.testing.assert_array_equal(embed(encoder, audio), ops.convert_to_numpy(model(audio)))


@pytest.mark.one_backend
def test_config_round_trip(audio):
    encoder = AudioEncoder(make_model(), 0.96, 0.3, trainable=True, name="audio")
    restored = keras.layers.deserialize(keras.layers.serialize(encoder))
    assert (restored.hop_seconds, restored.offset_seconds) == (0.96, 0.3)
    assert restored.trainable
    restored.build((None, 1600))
    restored.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(embed(restored, audio), embed(encoder, audio))
