"""The frame-rate audio encoder and its mel filters."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.encoders import LogMelEncoder
from keras_avssan.encoders.log_mel_encoder import mel_matrix
from keras_avssan.layers import StereoSTFT


@pytest.fixture(scope="module")
def encoder():
    encoder = LogMelEncoder(dim=8, filters=(4,))
    encoder.build((None, 8000))
    return encoder


@pytest.fixture(scope="module")
def audio():
    return np.random.default_rng(0).normal(size=(2, 8000)).astype("float32")


@pytest.mark.one_backend
def test_one_embedding_a_spectrogram_frame(encoder, audio):
    embeddings = encoder(audio)
    spectrogram = StereoSTFT()(np.stack([audio, audio], axis=-1))
    assert tuple(embeddings.shape) == encoder.compute_output_shape(audio.shape)
    assert embeddings.shape[1] == spectrogram.shape[1] == 1 + 8000 // 512
    assert (encoder.hop_seconds, encoder.offset_seconds) == (0.032, 0.0)
    assert encoder.compute_output_shape((None, None)) == (None, None, 8)


def test_log_mel_spectrogram_equation(encoder, audio):
    parts = ops.convert_to_numpy(StereoSTFT()(audio[..., None]))
    power = (parts**2).sum(axis=-1)
    mel = mel_matrix(513, 64, 16000, 60.0, 7800.0)
    expected = np.log(power @ mel + 1e-3)
    np.testing.assert_allclose(ops.convert_to_numpy(encoder._log_mel(audio)), expected, atol=1e-3)


def test_audio_is_not_rounded_under_mixed_precision(audio):
    low = LogMelEncoder(dim=8, filters=(4,), dtype="mixed_bfloat16")
    low.build((None, 8000))
    high = LogMelEncoder(dim=8, filters=(4,))
    high.build((None, 8000))
    rounded = ops.convert_to_numpy(ops.cast(ops.cast(audio, "bfloat16"), "float32"))
    captured = ops.convert_to_numpy(low._log_mel(audio))
    np.testing.assert_array_equal(captured, ops.convert_to_numpy(high._log_mel(audio)))
    assert np.abs(captured - ops.convert_to_numpy(high._log_mel(rounded))).max() > 1e-4
    high.set_weights(low.get_weights())
    difference = ops.convert_to_numpy(ops.cast(low(audio), "float32") - high(audio))
    assert np.abs(difference).max() < 0.1


def test_silence_is_finite(encoder):
    silent = ops.convert_to_numpy(encoder(np.zeros((1, 8000), "float32"), training=True))
    assert np.isfinite(silent).all()


def test_mel_filters_are_triangles_on_the_mel_scale():
    num_mels, lowest, highest = 20, 100.0, 7000.0
    mel = mel_matrix(1025, num_mels, 16000, lowest, highest)
    hertz = np.linspace(0, 8000, 1025)
    edges = 700 * np.expm1(
        np.linspace(1127 * np.log1p(lowest / 700), 1127 * np.log1p(highest / 700), 22) / 1127
    )
    assert mel.shape == (1025, num_mels)
    assert mel.dtype == "float32"
    assert mel.min() == 0.0
    for i in range(num_mels):
        support = hertz[mel[:, i] > 0]
        assert edges[i] <= support.min() and support.max() <= edges[i + 2]
        assert abs(hertz[mel[:, i].argmax()] - edges[i + 1]) <= 8000 / 1024
    inside = (hertz > edges[1]) & (hertz < edges[-2])
    np.testing.assert_allclose(mel.sum(axis=1)[inside], 1.0, atol=1e-5)
    assert mel[(hertz < lowest) | (hertz > highest)].max() == 0.0


def test_default_filters_all_cover_a_bin():
    assert mel_matrix(513, 64, 16000, 60.0, 7800.0).max(axis=0).min() > 0


@pytest.mark.backend_agnostic
def test_config_round_trip():
    encoder = LogMelEncoder(8, (4, 6), 32, 8000, 512, 256, 0.1, name="audio")
    restored = keras.layers.deserialize(keras.layers.serialize(encoder))
    assert restored.get_config() == encoder.get_config()
    assert restored.hop_seconds == 0.032


def test_masks_hide_in_training_alone(audio):
    plain = LogMelEncoder(dim=8, filters=(4,))
    masked = LogMelEncoder(dim=8, filters=(4,), spec_augment=(20, 6))
    for encoder in (plain, masked):
        encoder.build((None, 8000))
    assert len(masked.weights) == len(plain.weights)
    masked.set_weights(plain.get_weights())
    masked_embeddings, wanted = (
        ops.convert_to_numpy(encoder(audio)) for encoder in (masked, plain)
    )
    np.testing.assert_array_equal(masked_embeddings, wanted)
    first, second = (ops.convert_to_numpy(masked(audio, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.backend_agnostic
def test_masks_are_in_the_config():
    encoder = LogMelEncoder(8, (4,), spec_augment=[8, 4])
    restored = keras.layers.deserialize(keras.layers.serialize(encoder))
    assert restored.spec_augment == (8, 4)


def test_an_encoder_with_masks_trains_and_is_saved(audio, tmp_path):
    encoder = LogMelEncoder(dim=4, filters=(2,), num_mels=16, spec_augment=(6, 4))
    model = keras.Sequential([keras.Input((8000,)), encoder])
    model.compile("sgd", "mse")
    model.fit(audio, np.zeros((2, 16, 4), "float32"), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(restored.predict(audio, verbose=0), model.predict(audio, verbose=0))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("widths", [3, (1,), (1, -1), (1.5, 2)])
def test_wrong_mask_widths_are_refused(widths):
    with pytest.raises(ValueError, match="Received"):
        LogMelEncoder(spec_augment=widths)
