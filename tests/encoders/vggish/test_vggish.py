"""VGGish: front end, network and whitening against the published code, and its use in Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.data.media.audio_io import read_audio
from keras_avssan.encoders import ConvImageEncoder, VGGish
from keras_avssan.encoders.converters import convert_vggish_torch
from keras_avssan.encoders.log_mel_encoder import mel_matrix
from keras_avssan.encoders.vggish.vggish_postprocessor import VGGishPostprocessor
from keras_avssan.encoders.vggish.vggish_spectrogram import VGGishSpectrogram

IMPLEMENTATIONS = ["fft", "conv"]
EXAMPLE = 15600  # samples of one example
HOP = 15360


def run(layer, audio):
    return ops.convert_to_numpy(layer(audio))


def noise(*shape):
    return (0.1 * np.random.default_rng(0).normal(size=shape)).astype("float32")


@pytest.fixture(scope="module")
def encoder(tiny):
    """One encoder for the tests that do not change it."""
    keras.utils.set_random_seed(1)
    return VGGish(**tiny)


# --- the front end --------------------------------------------------------------------------


def resample_as_published(audio, count):
    """The first samples at 16 kHz of audio at 44.1 kHz, by the resampler of the time.

    A windowed sinc, read from a table of 512 steps a zero crossing in steps cut down to whole
    numbers: that is not quite a resampler, and the published value contains it.
    """
    zeros, steps, rolloff, ratio = 64, 512, 0.9475937167399596, 16000 / 44100
    u = np.arange(zeros * steps + 1) / steps
    window = np.kaiser(2 * u.size - 1, 14.769656459379492)[u.size - 1 :]
    table = ratio * rolloff * np.sinc(rolloff * u) * window
    taps = np.arange(int(zeros / ratio) + 1)
    times = np.arange(count) / ratio
    before = np.floor(times).astype(int)
    resampled = np.zeros(count)
    for nearest, direction in [(before, -1), (before + 1, 1)]:
        distance = ratio * steps * np.abs(times - nearest)
        position = distance[:, None] + int(ratio * steps) * taps
        weights = np.interp(position, np.arange(u.size), table, right=0.0)
        index = nearest[:, None] + direction * taps
        values = np.where(index < 0, 0.0, audio[np.clip(index, 0, len(audio) - 1)])
        resampled += np.sum(weights * values, axis=1)
    return resampled


@pytest.mark.parametrize(
    "implementation", ["fft", pytest.param("conv", marks=pytest.mark.one_backend)]
)
def test_published_smoke_test(implementation):
    """A sine of 1 kHz: the first values that the published code prints."""
    layer = VGGishSpectrogram(drop_remainder=True, implementation=implementation)
    # In its first version: three seconds at 44.1 kHz, resampled. A frame has 400 samples.
    sine = np.sin(2 * np.pi * 1000 * np.linspace(0, 3, 3 * 44100))
    examples = run(layer, resample_as_published(sine, 400)[None].astype("float32"))
    expected = [-4.47297436, -4.29457354, -4.14940631]
    np.testing.assert_allclose(examples[0, 0, 0, :3], expected, atol=1e-4)
    # Today: at 16 kHz. The value is that of the published front end in float64.
    sine = np.sin(2 * np.pi * 1000 * np.arange(0, 3, 1 / 16000)).astype("float32")
    examples = run(layer, sine[None])
    assert examples.shape == (1, 3, 96, 64)
    assert examples[0, 0, 0, 0] == pytest.approx(-4.48313252, abs=1e-4)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_examples_equal_the_reference(implementation, sounds, reference_examples):
    layer = VGGishSpectrogram(drop_remainder=True, implementation=implementation)
    examples = run(layer, sounds)
    expected = np.stack([reference_examples(sound) for sound in sounds])
    np.testing.assert_allclose(examples, expected, atol=1e-3)
    assert np.abs(examples - expected).mean() < 1e-5


@pytest.mark.backend_agnostic
def test_mel_filters_equal_the_reference(torchvggish):
    expected = torchvggish.mel_features.spectrogram_to_mel_matrix(64, 257, 16000, 125.0, 7500.0)
    mel = mel_matrix(257, 64, 16000, 125.0, 7500.0)
    np.testing.assert_allclose(mel, expected, atol=1e-6)
    np.testing.assert_array_equal(mel[0], 0.0)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("samples", "kept", "dropped"),
    [
        (1, 1, 1),
        (400, 1, 1),
        (EXAMPLE - 1, 1, 1),
        (EXAMPLE, 1, 1),
        (EXAMPLE + 1, 2, 1),
        (EXAMPLE + HOP, 2, 2),
        (160000, 11, 10),
    ],
)
def test_every_sample_is_used(samples, kept, dropped):
    audio = noise(1, samples)
    for drop, count in [(False, kept), (True, dropped)]:
        layer = VGGishSpectrogram(drop_remainder=drop)
        assert layer.compute_output_shape(audio.shape) == (1, count, 96, 64)
        if samples < 100000:
            assert run(layer, audio).shape == (1, count, 96, 64)


def test_the_last_sample_changes_the_last_example():
    layer = VGGishSpectrogram()
    audio = np.zeros((1, EXAMPLE + 200), "float32")
    silent = run(layer, audio)
    audio[0, -1] = 1.0
    loud = run(layer, audio)
    np.testing.assert_array_equal(loud[0, 0], silent[0, 0])
    assert np.abs(loud[0, 1] - silent[0, 1]).max() > 0.1


@pytest.mark.one_backend
@pytest.mark.parametrize("samples", [5000, EXAMPLE + 5000])
def test_partial_examples_are_filled_up_with_zeros(samples):
    layer = VGGishSpectrogram()
    audio = noise(2, samples)
    examples = run(layer, audio)
    count = examples.shape[1]
    whole = np.pad(audio, [(0, 0), (0, count * HOP + 240 - samples)])
    np.testing.assert_allclose(examples, run(layer, whole), atol=1e-5)


def test_recordings_of_a_batch_do_not_touch_each_other():
    layer = VGGishSpectrogram()
    audio = noise(2, EXAMPLE) * np.array([[1e-3], [1.0]], "float32")
    alone = np.concatenate([run(layer, audio[:1]), run(layer, audio[1:])])
    np.testing.assert_allclose(run(layer, audio), alone, atol=1e-5)


def test_gain_is_a_factor_on_the_audio():
    audio = noise(1, EXAMPLE)
    scaled = run(VGGishSpectrogram(), 0.1 * audio)
    np.testing.assert_allclose(run(VGGishSpectrogram(gain=0.1), audio), scaled, atol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_silence_is_finite_with_finite_gradients(implementation, gradient):
    layer = VGGishSpectrogram(implementation=implementation)
    silence = np.zeros((1, 4000), "float32")
    np.testing.assert_allclose(run(layer, silence), np.log(0.01), atol=1e-4)
    slope = gradient(lambda x: ops.sum(layer(x)), silence)
    assert np.isfinite(slope).all()


def test_gradients_reach_the_audio(gradient):
    """The derivative with respect to one sample agrees with a difference quotient."""
    layer = VGGishSpectrogram()
    audio, step = noise(1, 4000), np.zeros((1, 4000), "float32")
    step[0, 1234] = 1e-3
    slope = gradient(lambda x: ops.mean(layer(x)), audio)
    assert np.isfinite(slope).all()
    difference = run(layer, audio + step).mean(dtype="float64") - run(layer, audio - step).mean(
        dtype="float64"
    )
    assert difference / 2e-3 == pytest.approx(slope[0, 1234], rel=0.05)


def test_front_end_stays_in_float32_under_mixed_precision(tiny):
    audio = noise(1, EXAMPLE)
    low = VGGish(**tiny, dtype="mixed_bfloat16")
    assert low.spectrogram.compute_dtype == "float32"
    layers = [*low.stages, *low.dense_layers]
    assert {layer.compute_dtype for layer in layers} == {"bfloat16"}
    np.testing.assert_array_equal(run(low.spectrogram, audio), run(VGGishSpectrogram(), audio))
    high = VGGish(**tiny)
    high.set_weights(low.get_weights())
    embeddings = low(audio)
    assert keras.backend.standardize_dtype(embeddings.dtype) == "bfloat16"
    rounded = ops.convert_to_numpy(ops.cast(embeddings, "float32"))
    expected = run(high, audio)
    assert 0 < np.abs(rounded - expected).max() < 0.1 * np.abs(expected).max()


# --- the network ----------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", None])
def test_network_equals_the_reference(
    activation, tiny, sounds, make_reference, reference_embeddings
):
    network = make_reference()
    encoder = convert_vggish_torch(
        network.state_dict(), activation=activation, drop_remainder=True, **tiny
    )
    if activation is None:
        network.embeddings = network.embeddings[:-1]
    expected = np.stack([reference_embeddings(network, sound) for sound in sounds])
    embeddings = run(encoder, sounds)
    assert embeddings.shape == (3, 3, 128)
    assert expected.std(axis=(0, 1)).max() > 0.1
    assert (expected.min() < 0) == (activation is None)
    np.testing.assert_allclose(embeddings, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["dog", "rain", "violin"])
def test_equals_the_reference_on_real_recordings(
    name, tiny, real_data, make_reference, reference_embeddings, reference_examples
):
    path = sorted((real_data / name).glob("a*.ogg"))[0]
    audio = read_audio(path)
    audio = np.pad(audio, (0, max(0, EXAMPLE - len(audio))))[: 2 * HOP + 240]
    layer = VGGishSpectrogram(drop_remainder=True)
    np.testing.assert_allclose(run(layer, audio[None])[0], reference_examples(audio), atol=1e-3)
    network = make_reference()
    encoder = convert_vggish_torch(network.state_dict(), drop_remainder=True, **tiny)
    expected = reference_embeddings(network, audio)
    np.testing.assert_allclose(run(encoder, audio[None])[0], expected, atol=1e-4)


@pytest.mark.backend_agnostic
def test_full_size_equals_the_reference(sounds, make_full_reference, reference_embeddings):
    network = make_full_reference()
    encoder = convert_vggish_torch(network.state_dict(), drop_remainder=True)
    assert encoder.count_params() == sum(p.numel() for p in network.parameters()) == 72141184
    audio = sounds[1, :EXAMPLE]
    expected = reference_embeddings(network, audio)
    assert expected.std() > 0.1
    np.testing.assert_allclose(run(encoder, audio[None])[0], expected, atol=1e-4)


@pytest.mark.one_backend
def test_one_embedding_for_each_hop(encoder, tiny):
    audio = noise(2, 48000)
    embeddings = run(encoder, audio)
    assert embeddings.shape == encoder.compute_output_shape(audio.shape) == (2, 4, 128)
    assert encoder.compute_output_shape((None, None)) == (None, None, 128)
    assert (encoder.hop_seconds, encoder.offset_seconds) == (0.96, 0.48)
    third = run(encoder, audio[:, 2 * HOP : 2 * HOP + EXAMPLE])
    np.testing.assert_allclose(embeddings[:, 2:3], third, atol=1e-4)
    np.testing.assert_allclose(embeddings[:1], run(encoder, audio[:1]), atol=1e-5)


def test_recordings_of_unknown_length_in_a_functional_model(encoder):
    inputs = keras.Input((None,))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(encoder(inputs)))
    for samples in (8000, 16000):
        audio = noise(2, samples)
        expected = run(encoder, audio).mean(axis=1)
        np.testing.assert_allclose(model.predict(audio, verbose=0), expected, atol=1e-5)


def test_silence_has_finite_embeddings(encoder):
    assert np.isfinite(run(encoder, np.zeros((1, 16000), "float32"))).all()


# --- whitening ------------------------------------------------------------------------------


def random_postprocessor(eight_bit=False, dim=128):
    rng = np.random.default_rng(3)
    layer = VGGishPostprocessor(eight_bit)
    layer.build((None, None, dim))
    vectors = rng.normal(size=(dim, dim)) / np.sqrt(dim)
    means = rng.normal(size=dim)
    layer.eigen_vectors.assign(vectors.astype("float32"))
    layer.means.assign(means.astype("float32"))
    return layer, vectors, means


def test_whitening_as_published():
    layer, vectors, means = random_postprocessor()
    embeddings = np.random.default_rng(0).normal(size=(2, 3, 128))
    whitened = np.clip(np.einsum("ij,btj->bti", vectors, embeddings - means), -2.0, 2.0)
    assert (np.abs(whitened) == 2.0).any()
    outputs = run(layer, embeddings.astype("float32"))
    np.testing.assert_allclose(outputs, whitened, atol=1e-5)

    layer, _, _ = random_postprocessor(eight_bit=True)
    levels = run(layer, embeddings.astype("float32"))
    expected = ((whitened + 2.0) * (255.0 / 4.0)).astype("uint8").astype("float32")
    assert (levels == np.round(levels)).all()
    assert (levels.min(), levels.max()) == (0.0, 255.0)
    assert np.mean(levels != expected) < 0.01  # where rounding decides
    assert np.abs(levels - expected).max() <= 1.0


@pytest.mark.one_backend
def test_whitened_embeddings_of_the_encoder(encoder, tiny):
    audio = noise(1, EXAMPLE)
    whitening = VGGish(**tiny, postprocess=True, trainable=True)
    layer, vectors, means = random_postprocessor()
    whitening.set_weights([*encoder.get_weights(), vectors, means])
    expected = run(layer, encoder(audio))
    np.testing.assert_allclose(run(whitening, audio), expected, atol=1e-5)
    names = {variable.name for variable in whitening.trainable_variables}
    assert names == {"kernel", "bias"}
    assert len(whitening.trainable_variables) == len(whitening.weights) - 2


# --- training and saving --------------------------------------------------------------------


def train_step(encoder, audio):
    """One large step of a task on top of the encoder; returns its weights before and after."""
    inputs = keras.Input(audio.shape[1:])
    pooled = keras.layers.GlobalAveragePooling1D()(encoder(inputs))
    task = keras.Model(inputs, keras.layers.Dense(1)(pooled))
    task.compile(keras.optimizers.SGD(0.1), "mse")
    before = encoder.get_weights()
    task.train_on_batch(audio, np.ones((len(audio), 1), "float32"))
    return before, encoder.get_weights()


@pytest.mark.parametrize("trainable", [pytest.param(False, marks=pytest.mark.one_backend), True])
def test_learns_only_if_trainable(trainable, tiny):
    encoder = VGGish(**tiny, trainable=trainable)
    assert len(encoder.trainable_variables) == (18 if trainable else 0)
    before, after = train_step(encoder, noise(2, EXAMPLE))
    changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert np.mean(changed) > 0.8 if trainable else not any(changed)


def test_a_frozen_encoder_passes_no_gradient(tiny, gradient):
    audio = noise(1, 4000)
    for trainable in (False, True):
        encoder = VGGish(**tiny, trainable=trainable)
        probe = lambda x, encoder=encoder: ops.sum(encoder(x)) + ops.sum(x)  # noqa: E731
        slope = gradient(probe, audio)
        assert np.any(slope != 1.0) == trainable


@pytest.mark.one_backend
def test_is_an_audio_encoder_of_av_ssan(tiny):
    encoder = VGGish(**tiny, gain=0.1)
    model = AVSSAN(
        image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)),
        audio_encoder=encoder,
        dim=8,
        bridge_layers=1,
        num_heads=2,
        mlp_dim=16,
        multi_band=False,
        compile=False,
    )
    model.compile(run_eagerly=keras.backend.backend() != "jax")  # where that is quick
    alignment = model.backbone.frame_alignment
    assert (alignment.embedding_hop_seconds, alignment.embedding_offset_seconds) == (0.96, 0.48)
    audio = noise(2, 8000, 2)
    images = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype("float32")
    inputs = {"audio": audio, "images": images}
    labels = {"azimuth": np.array([40.0, 120.0], "float32"), "target": 0.5 * audio}
    before, encoder_weights = model.get_weights(), encoder.get_weights()
    model.train_on_batch(inputs, labels)
    after = model.get_weights()
    changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert np.sum(changed) > 0.8 * (len(before) - len(encoder_weights))
    for old, new in zip(encoder_weights, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for weight in after:
        assert np.isfinite(weight).all()


@pytest.fixture(scope="module")
def unlike(tiny):
    """An encoder without any default argument, with weights of its own."""
    encoder = VGGish(
        **tiny,
        embedding_dim=16,
        activation="relu",
        postprocess=True,
        eight_bit=True,
        drop_remainder=True,
        gain=0.5,
        implementation="conv",
        trainable=True,
        name="audio",
    )
    rng = np.random.default_rng(5)
    encoder.set_weights([0.3 * rng.normal(size=w.shape) for w in encoder.get_weights()])
    return encoder


def assert_same(restored, encoder):
    assert type(restored) is VGGish
    assert restored.settings == encoder.settings
    assert (restored.name, restored.trainable) == (encoder.name, encoder.trainable)
    audio = noise(1, EXAMPLE)
    expected = run(encoder, audio)
    assert expected.std() > 0
    np.testing.assert_array_equal(run(restored, audio), expected)


def test_keras_file_round_trip(unlike, tmp_path):
    unlike.save(tmp_path / "encoder.keras")
    assert_same(keras.models.load_model(tmp_path / "encoder.keras"), unlike)


@pytest.mark.one_backend
def test_preset_round_trip(unlike, tmp_path):
    unlike.save_to_preset(str(tmp_path / "preset"))
    assert_same(VGGish.from_preset(str(tmp_path / "preset")), unlike)
    frozen = VGGish.from_preset(str(tmp_path / "preset"), trainable=False)
    assert not frozen.trainable_variables


@pytest.mark.one_backend
def test_config_round_trip(unlike):
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(unlike))
    restored.set_weights(unlike.get_weights())
    assert_same(restored, unlike)
    policy = VGGish.from_config({**unlike.get_config(), "dtype": "mixed_bfloat16"}).dtype_policy
    assert policy.compute_dtype == "bfloat16"


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"filters": (4, 6, 8)}, "filters"),
        ({"filters": (4, 6, 8, 0)}, "filters"),
        ({"hidden_dim": 0}, "hidden_dim"),
        ({"embedding_dim": 1.5}, "embedding_dim"),
        ({"activation": "tanh"}, "activation"),
        ({"eight_bit": True}, "eight_bit"),
        ({"gain": 0.0}, "gain"),
        ({"implementation": "wavelet"}, "implementation"),
    ],
)
def test_bad_arguments_are_named(arguments, name, tiny):
    with pytest.raises(ValueError, match=f"`{name}`"):
        VGGish(**{**tiny, **arguments})


@pytest.mark.backend_agnostic
def test_stereo_audio_is_refused(encoder):
    with pytest.raises(ValueError, match=r"`audio` must be mono.*\(2, 8000, 2\)"):
        encoder(noise(2, 8000, 2))
