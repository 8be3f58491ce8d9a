"""The sound-effects network: its front end, its examples, and its place in a model."""

import keras
import numpy as np
import pytest
import scipy.signal
import soxr
from keras import ops

from keras_avssan import AVSSAN
from keras_avssan.encoders import ConvImageEncoder, SoundEffectsCNN
from keras_avssan.encoders.sound_effects_spectrogram import SoundEffectsSpectrogram

FILTERS = (2, 3, 4, 5)
EXAMPLE_SECONDS = 100 * 1024 / 44100
# Under JAX a step is compiled as a whole: op by op each operation is compiled on its own.
EAGERLY = keras.backend.backend() != "jax"


def make_encoder(seed=0, **kwargs):
    """A tiny network whose weights and statistics are all random."""
    encoder = SoundEffectsCNN(FILTERS, **kwargs)
    rng = np.random.default_rng(seed)
    encoder.set_weights([rng.uniform(0.2, 1.0, w.shape) * _sign(rng, w) for w in encoder.weights])
    return encoder


def _sign(rng, variable):
    """Kernels have both signs; variances and scales are positive."""
    return rng.choice([-1.0, 1.0], variable.shape) if len(variable.shape) == 4 else 1.0


def make_audio(seconds, batch=1, seed=0, rate=16000):
    """Noise that decays, with a peak of 0.8."""
    samples = round(seconds * rate)
    noise = np.random.default_rng(seed).normal(size=(batch, samples))
    noise *= np.exp(-np.arange(samples) / rate)
    return (0.8 * noise / np.abs(noise).max(axis=1, keepdims=True)).astype("float32")


def embed(encoder, audio, **kwargs):
    return ops.convert_to_numpy(ops.cast(encoder(audio, **kwargs), "float32"))


def embed_in_numpy(encoder, example):
    """The network on one example (frames, 96), from its weights alone."""
    x = example[:, :, None].astype("float64")
    for i, (convolution, norm) in enumerate(zip(encoder.convolutions, encoder.norms, strict=True)):
        kernel = ops.convert_to_numpy(convolution.kernel)
        gamma, beta, mean, variance = map(ops.convert_to_numpy, norm.weights)
        maps = [
            sum(
                scipy.signal.correlate2d(x[..., c], kernel[:, :, c, f], mode="same")
                for c in range(x.shape[-1])
            )
            for f in range(kernel.shape[-1])
        ]
        x = gamma * (np.stack(maps, axis=-1) - mean) / np.sqrt(variance + 1e-5) + beta
        x = np.maximum(x, 0.0)
        if i in (1, 3, 5):
            height, width = x.shape[0] // 2, x.shape[1] // 2
            x = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).max(axis=(1, 3))
    return x.mean(axis=1).max(axis=0)


def log_mel(encoder, audio):
    """The spectrogram that is the input of the network."""
    return keras.Model(encoder.input, encoder.get_layer("spectrogram").output)(audio)


def embed_examples(encoder, examples):
    """Embeddings of examples (n, 100, 96), each by itself."""
    folded = encoder.get_layer("fold").output
    network = keras.Model(folded, encoder.get_layer("unfold").input[0])
    return network(examples[..., None])


@pytest.fixture(scope="module")
def encoder():
    return make_encoder()


@pytest.mark.one_backend
@pytest.mark.parametrize("samples", [600, 1024, 1025, 44100])
@pytest.mark.parametrize("implementation", ["fft", "conv"])
def test_spectrogram_is_the_one_of_the_reference(
    implementation, samples, sound_effects_spectrogram
):
    audio = make_audio(samples / 44100, batch=2, rate=44100)
    layer = SoundEffectsSpectrogram(implementation)
    output = ops.convert_to_numpy(layer(audio))
    assert output.shape == layer.compute_output_shape(audio.shape)
    for row, recording in zip(output, audio, strict=True):
        expected = sound_effects_spectrogram(recording) / 9.457798957824707
        np.testing.assert_allclose(row, expected, atol=1e-4)


def test_loudest_tone_is_about_one_and_silence_zero():
    tone = np.sin(2 * np.pi * 1000 * np.arange(8820) / 44100)[None].astype("float32")
    layer = SoundEffectsSpectrogram()
    assert ops.convert_to_numpy(layer(tone)).max() == pytest.approx(0.95, abs=0.05)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(0 * tone)), 0.0)


@pytest.mark.one_backend
def test_front_end_resamples_to_44100_hertz(encoder, sound_effects_spectrogram):
    passband = scipy.signal.firwin(301, 0.85)
    audio = scipy.signal.fftconvolve(make_audio(1.0)[0], passband, mode="same")
    audio /= np.abs(audio).max()
    expected = sound_effects_spectrogram(soxr.resample(audio, 16000, 44100, "VHQ"))
    output = ops.convert_to_numpy(log_mel(encoder, audio[None].astype("float32")))[0]
    assert output.shape == expected.shape
    # Resamplers differ at the abrupt ends, which are in the first and the last two frames.
    np.testing.assert_allclose(9.457798957824707 * output[1:-2], expected[1:-2], atol=0.02)


def test_network_equation(encoder):
    examples = np.random.default_rng(0).uniform(size=(2, 100, 96)).astype("float32")
    output = ops.convert_to_numpy(embed_examples(encoder, examples))
    expected = np.stack([embed_in_numpy(encoder, example) for example in examples])
    np.testing.assert_allclose(output, expected, rtol=1e-4)


@pytest.mark.parametrize(("seconds", "count"), [(0.05, 1), (1.0, 1), (2.0, 1), (2.4, 2), (10.0, 8)])
@pytest.mark.one_backend
def test_number_of_examples(encoder, seconds, count):
    audio = make_audio(seconds)
    assert encoder.compute_output_shape(audio.shape) == (1, count, 5)
    spectrogram = log_mel(encoder, audio)
    assert tuple(encoder.get_layer("cut")(spectrogram).shape) == (1, count, 100, 96)


@pytest.mark.parametrize("hop_frames", [1, 33, 100])
def test_examples_hold_every_frame_at_their_times(hop_frames):
    encoder = make_encoder(hop_seconds=hop_frames * 1024 / 44100)
    spectrogram = np.random.default_rng(0).uniform(size=(2, 207, 96)).astype("float32")
    examples = ops.convert_to_numpy(encoder.get_layer("cut")(spectrogram))
    padded = np.pad(spectrogram, [(0, 0), (0, 100), (0, 0)])
    for i in range(examples.shape[1]):
        start = round(i * encoder.hop_seconds * 44100 / 1024)
        np.testing.assert_array_equal(examples[:, i], padded[:, start : start + 100])
    assert start < 207 <= start + 100


@pytest.mark.one_backend
def test_embeddings_are_those_of_the_examples(encoder):
    audio = make_audio(4.0, batch=2)
    output = embed(encoder, audio)
    assert output.shape == encoder.compute_output_shape(audio.shape) == (2, 3, 5)
    examples = ops.convert_to_numpy(encoder.get_layer("cut")(log_mel(encoder, audio)))
    expected = np.stack([[embed_in_numpy(encoder, e) for e in row] for row in examples])
    np.testing.assert_allclose(output, expected, rtol=1e-3)


@pytest.mark.one_backend
def test_times_of_embeddings(encoder):
    assert encoder.hop_seconds == pytest.approx(EXAMPLE_SECONDS / 2)
    assert encoder.offset_seconds == pytest.approx(49.5 * 1024 / 44100)
    assert SoundEffectsCNN(FILTERS, hop_seconds=0.5).hop_seconds == pytest.approx(0.5, abs=0.012)


@pytest.mark.one_backend
def test_a_short_recording_is_continued_with_silence(encoder):
    audio = make_audio(1.0)
    continued = np.pad(audio, [(0, 0), (0, 16000)])
    np.testing.assert_allclose(embed(encoder, audio), embed(encoder, continued), atol=2e-3)


@pytest.mark.one_backend
def test_the_last_sound_of_a_recording_is_used(encoder):
    quiet = make_audio(3.0)
    loud = quiet.copy()
    loud[:, -800:] = make_audio(0.05, seed=1)
    change = np.abs(embed(encoder, loud) - embed(encoder, quiet)).max(axis=(0, 2))
    assert change[0] < 1e-6 < 1e-3 < change[-1]


@pytest.mark.one_backend
def test_recordings_of_a_batch_are_independent(encoder):
    audio = make_audio(1.0, batch=3) * np.array([[1.0], [30.0], [1e-3]], "float32")
    alone = np.concatenate([embed(encoder, recording[None]) for recording in audio])
    np.testing.assert_allclose(embed(encoder, audio), alone, rtol=1e-4)


@pytest.mark.one_backend
def test_level_has_no_influence_by_default(encoder):
    audio = make_audio(1.0)
    np.testing.assert_allclose(embed(encoder, 0.01 * audio), embed(encoder, audio), rtol=1e-3)
    as_it_is = make_encoder(peak=None)
    change = embed(as_it_is, 0.01 * audio) - embed(as_it_is, audio)
    assert np.abs(change).max() > 1e-2
    loudest = audio / np.abs(audio).max()
    np.testing.assert_allclose(embed(as_it_is, loudest), embed(encoder, audio), rtol=1e-3)


def test_silence_is_finite(encoder):
    silence = np.zeros((1, 8000), "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(log_mel(encoder, silence)), 0.0)
    assert np.isfinite(embed(encoder, silence)).all()


@pytest.mark.one_backend
def test_front_end_stays_in_float32_under_mixed_precision(encoder):
    low = make_encoder(dtype="mixed_bfloat16")
    audio = make_audio(1.0)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(log_mel(low, audio)), ops.convert_to_numpy(log_mel(encoder, audio))
    )
    assert keras.backend.standardize_dtype(low(audio).dtype) == "bfloat16"
    np.testing.assert_allclose(embed(low, audio), embed(encoder, audio), rtol=0.1)


@pytest.mark.parametrize("trainable", [pytest.param(False, marks=pytest.mark.one_backend), True])
def test_learns_only_if_trainable(trainable):
    encoder = make_encoder(trainable=trainable)
    inputs = keras.Input((16000,))
    pooled = keras.layers.GlobalAveragePooling1D()(encoder(inputs))
    task = keras.Model(inputs, keras.layers.Dense(1)(pooled))
    task.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=EAGERLY)
    before = encoder.get_weights()
    task.train_on_batch(make_audio(1.0, batch=2), np.ones((2, 1), "float32"))
    changed = [not np.array_equal(a, b) for a, b in zip(before, encoder.get_weights(), strict=True)]
    assert len(changed) == 8 * 5
    assert any(changed) == trainable
    if trainable:
        assert all(changed[3::5] + changed[4::5])  # the statistics of all normalisations


def test_a_frozen_network_ignores_training_mode(encoder):
    audio = make_audio(1.0)
    np.testing.assert_array_equal(embed(encoder, audio, training=True), embed(encoder, audio))
    assert encoder.trainable_variables == []


def test_unknown_duration_inside_a_model(encoder):
    inputs = keras.Input((None,))
    model = keras.Model(inputs, encoder(inputs))
    assert model.output_shape == (None, None, 5)
    for seconds in (1.0, 2.5):
        audio = make_audio(seconds)
        output = np.asarray(model.predict(audio, verbose=0))
        np.testing.assert_allclose(output, embed(encoder, audio), rtol=1e-3)


@pytest.mark.one_backend
def test_keras_file_round_trip(tmp_path):
    encoder = make_encoder(hop_seconds=1.0, peak=None, name="audio")
    encoder.save(tmp_path / "encoder.keras")
    restored = keras.models.load_model(tmp_path / "encoder.keras")
    assert restored.get_config() == encoder.get_config()
    audio = make_audio(2.6)
    np.testing.assert_array_equal(embed(restored, audio), embed(encoder, audio))


@pytest.mark.one_backend
def test_preset_round_trip(encoder, tmp_path):
    preset = str(tmp_path / "preset")
    encoder.save_to_preset(preset)
    restored = SoundEffectsCNN.from_preset(preset)
    assert restored.get_config() == encoder.get_config()
    assert restored.trainable_variables == []
    audio = make_audio(1.0)
    np.testing.assert_array_equal(embed(restored, audio), embed(encoder, audio))
    other = SoundEffectsCNN.from_preset(preset, load_weights=False, dtype="mixed_bfloat16")
    assert other.convolutions[0].compute_dtype == "bfloat16"


@pytest.mark.one_backend
def test_inside_a_model(tmp_path):
    model = AVSSAN(
        image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)),
        audio_encoder=make_encoder(),
        multi_band=False,
        dim=8,
        bridge_layers=1,
        num_heads=2,
        mlp_dim=16,
    )
    model.compile(run_eagerly=EAGERLY)
    assert model.backbone.frame_alignment.embedding_hop_seconds == pytest.approx(1.161, abs=1e-3)
    before = model.get_weights()
    audio = np.stack([make_audio(0.5, 2, 1), make_audio(0.5, 2, 2)], axis=-1)
    images = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype("float32")
    labels = {"azimuth": np.array([30.0, 90.0], "float32"), "target": 0.5 * audio}
    loss = model.train_on_batch({"audio": audio, "images": images}, labels)
    assert np.isfinite(loss[0])
    after = model.get_weights()
    encoder_weights = {id(variable) for variable in model.backbone.audio_encoder.weights}
    for variable, old, new in zip(model.weights, before, after, strict=True):
        if id(variable) in encoder_weights:
            np.testing.assert_array_equal(old, new)
    assert sum(not np.array_equal(old, new) for old, new in zip(before, after, strict=True)) > 20

    preset = str(tmp_path / "preset")
    model.save_to_preset(preset)
    restored = AVSSAN.from_preset(preset)
    assert restored.backbone.audio_encoder.trainable_variables == []
    for old, new in zip(after, restored.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"hop_seconds": 0.0}, "hop_seconds"),
        ({"hop_seconds": 3.0}, "hop_seconds"),
        ({"peak": 0.0}, "peak"),
        ({"filters": (1, 2, 3)}, "filters"),
        ({"sampling_rate": 0}, "source_rate"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        SoundEffectsCNN(**{"filters": FILTERS, **arguments})


@pytest.mark.backend_agnostic
def test_stereo_is_refused(encoder):
    with pytest.raises(ValueError, match="`audio`"):
        encoder(np.zeros((1, 16000, 2), "float32"))
