"""YAMNet: front end and network against independent ones, patches, stages and class scores."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.data.media.audio_io import read_audio
from keras_avssan.encoders import YAMNet
from keras_avssan.encoders.converters import convert_yamnet
from keras_avssan.encoders.log_mel_encoder import mel_matrix
from keras_avssan.encoders.yamnet.class_names import audioset_class_names
from keras_avssan.encoders.yamnet.yamnet_network import YAMNetNetwork, stride_of
from keras_avssan.encoders.yamnet.yamnet_spectrogram import YAMNetLogMel, YAMNetSpectrogram

PATCH = 15600  # samples
PATCH_HOP = 7680
STRIDES = [2, 2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32]


def run(function, *arguments, **options):
    return ops.convert_to_numpy(function(*arguments, **options))


def noise(*shape, seed=0):
    return (0.1 * np.random.default_rng(seed).normal(size=shape)).astype("float32")


def published_padding(audio):
    """One recording with the silence that the published code adds."""
    beyond = max(0, len(audio) - PATCH)
    total = PATCH + PATCH_HOP * int(np.ceil(beyond / PATCH_HOP))
    return np.pad(audio, (0, total - len(audio)))


def patches_of(log_mel):
    return np.stack([log_mel[k : k + 96] for k in range(0, len(log_mel) - 95, 48)])


def embed_by_reference(network, patches):
    """Embeddings and scores of patches (n, 96, 64)."""
    import torch

    with torch.no_grad():
        embeddings, scores = network(torch.tensor(patches[:, None]).float(), to_prob=True)
    return embeddings.numpy()[:, :, 0, 0], scores.numpy()


def log_mel_of(audio, **arguments):
    return run(YAMNetLogMel(), YAMNetSpectrogram(**arguments)(audio))


# --- the front end --------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", ["fft", "conv"])
def test_log_mel_equals_the_reference(implementation, sounds, reference_log_mel):
    computed = log_mel_of(sounds, implementation=implementation)[:, :298]
    expected = np.stack([reference_log_mel(sound) for sound in sounds])
    assert expected.shape == (3, 298, 64)
    # In single precision a quiet band beside loud ones is rounded.
    np.testing.assert_allclose(computed, expected, atol=1e-2)
    assert np.abs(computed - expected).mean() < 1e-4


@pytest.mark.tensorflow
def test_mel_bands_are_those_of_tensorflow():
    tf = pytest.importorskip("tensorflow")
    expected = tf.signal.linear_to_mel_weight_matrix(64, 257, 16000, 125.0, 7500.0).numpy()
    np.testing.assert_allclose(mel_matrix(257, 64, 16000, 125.0, 7500.0), expected, atol=2e-4)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("samples", "frames"), [(1, 1), (400, 1), (402, 2), (560, 2), (PATCH, 96), (PATCH + 2, 97)]
)
def test_frames_cover_every_sample(samples, frames):
    layer = YAMNetSpectrogram()
    audio = np.zeros((1, samples), "float32")
    silence = run(layer, audio)
    assert silence.shape == layer.compute_output_shape((1, samples)) == (1, frames, 257)
    audio[:, -2:] = 1.0  # the window is zero at the first sample of a frame
    assert samples == 1 or (run(layer, audio)[0, -1] > 1e-5).all()


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(("least", "step"), [(96, 48), (16, 16), (1, 3)])
def test_number_of_frames_fits(least, step):
    layer, whole = YAMNetSpectrogram(least_frames=least, step_frames=step), YAMNetSpectrogram()
    for samples in [*range(1, 2000, 7), *range(PATCH - 3, PATCH + 3), 40000]:
        frames, needed = layer.num_frames(samples), whole.num_frames(samples)
        assert (frames - least) % step == 0
        assert frames == least or needed <= frames < needed + step


@pytest.mark.one_backend
def test_gain_is_a_factor_on_the_audio():
    audio = noise(1, 4000)
    np.testing.assert_allclose(log_mel_of(audio, gain=0.1), log_mel_of(0.1 * audio), atol=1e-4)


@pytest.mark.parametrize("implementation", ["fft", "conv"])
def test_silence_is_finite_with_finite_gradients(implementation, gradient):
    spectrogram, log_mel = YAMNetSpectrogram(implementation=implementation), YAMNetLogMel()
    silence = np.zeros((1, 4000), "float32")
    np.testing.assert_allclose(run(log_mel, spectrogram(silence)), np.log(0.001), atol=1e-5)
    slope = gradient(lambda x: ops.sum(log_mel(spectrogram(x))), silence)
    assert np.isfinite(slope).all()


def test_a_mask_on_the_magnitudes_is_learned_through_log_mel(gradient):
    """The derivative with respect to one bin agrees with a difference quotient."""
    layer = YAMNetLogMel()
    magnitudes = run(YAMNetSpectrogram(), noise(1, 2000))
    given = ops.convert_to_tensor(magnitudes)
    slope = gradient(lambda x: ops.mean(layer(x * given)), np.ones((1, 11, 257), "float32"))
    mask = np.ones((2, 11, 257), "float32")
    mask[0, 4, 60] += 0.01
    mask[1, 4, 60] -= 0.01
    above, below = run(layer, mask * magnitudes).mean(axis=(1, 2), dtype="float64")
    assert (above - below) / 0.02 == pytest.approx(slope[0, 4, 60], rel=0.01)


def test_magnitudes_of_another_transform_are_refused():
    with pytest.raises(ValueError, match=r"`magnitudes` must have 257 bins.*\(1, 10, 513\)"):
        YAMNetLogMel()(np.ones((1, 10, 513), "float32"))


# --- the network ----------------------------------------------------------------------------


@pytest.mark.one_backend
def test_patches_equal_the_reference(encoder, reference):
    log_mel = np.random.default_rng(0).normal(-2, 2, (2, 240, 64)).astype("float32")
    expected = [embed_by_reference(reference, patches_of(one)) for one in log_mel]
    embeddings, scores = (np.stack(parts) for parts in zip(*expected, strict=True))
    assert embeddings.shape == (2, 4, 1024) and embeddings.std(axis=(0, 1)).max() > 0.1
    np.testing.assert_allclose(run(encoder.embed_log_mel, log_mel), embeddings, atol=1e-4)
    assert np.ptp(scores, axis=(0, 1)).max() > 0.01
    np.testing.assert_allclose(run(encoder.score_log_mel, log_mel), scores, atol=1e-4)


@pytest.mark.one_backend
@pytest.mark.parametrize("name", ["dog", "rain", "violin"])
def test_equals_the_reference_on_real_recordings(
    name, encoder, real_data, reference, reference_log_mel
):
    path = sorted((real_data / name).glob("a*.ogg"))[0]
    audio = read_audio(path)[: 3 * PATCH_HOP + PATCH - 1000]
    patches = patches_of(reference_log_mel(published_padding(audio)))
    embeddings, scores = embed_by_reference(reference, patches)
    assert len(embeddings) > 1 or len(audio) <= PATCH
    found = run(encoder, audio[None])[0]
    assert found.shape == embeddings.shape
    np.testing.assert_allclose(found, embeddings, atol=1e-4 * np.abs(embeddings).max())
    np.testing.assert_allclose(run(encoder.scores, audio[None])[0], scores, atol=1e-4)


@pytest.mark.one_backend
@pytest.mark.parametrize("frames", [96, 51])
def test_every_stage_equals_the_reference(frames, encoder, reference):
    """Also where TensorFlow pads an odd number of frames on both sides."""
    import torch

    log_mel = np.random.default_rng(1).normal(-2, 2, (1, frames, 64)).astype("float32")
    x = torch.tensor(log_mel[:, None])
    for stage, name in enumerate(reference.layer_names, start=1):
        with torch.no_grad():
            x = getattr(reference, name)(x)
        expected = x.numpy().transpose(0, 2, 3, 1)
        features = run(encoder.network, log_mel, stage=stage)
        assert features.shape == expected.shape
        np.testing.assert_allclose(features, expected, atol=1e-4 * max(1.0, expected.max()))


@pytest.mark.backend_agnostic
def test_strides_and_size():
    assert [stride_of(stage) for stage in range(1, 15)] == STRIDES
    assert YAMNet().count_params() == 3751369
    network = YAMNetNetwork(0.25)
    assert network.filters[0] == 8 and network.filters[-1] == 256
    assert len(network.layers_beyond(14)) == 0 and len(network.layers_beyond(1)) == 52


# --- patches --------------------------------------------------------------------------------


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("samples", "patches"), [(1, 1), (PATCH, 1), (PATCH + 1, 2), (PATCH + PATCH_HOP, 2), (48000, 6)]
)
def test_patches_cover_every_sample(samples, patches, encoder):
    assert encoder.compute_output_shape((None, samples)) == (None, patches, 1024)
    audio = noise(1, samples)
    assert len(patches_of(np.zeros((encoder.spectrogram.num_frames(samples), 64)))) == patches
    if samples <= PATCH + 1:
        assert run(encoder, audio).shape == (1, patches, 1024)
    padded = published_padding(audio[0])[None]
    assert padded.shape[1] == PATCH + (patches - 1) * PATCH_HOP
    assert encoder.compute_output_shape(padded.shape) == (1, patches, 1024)


@pytest.mark.one_backend
def test_a_patch_is_embedded_by_itself(encoder):
    audio = noise(2, 2 * PATCH_HOP + PATCH)
    assert (encoder.hop_seconds, encoder.offset_seconds) == (0.48, 0.5 * PATCH / 16000)
    second = audio[:, PATCH_HOP : PATCH_HOP + PATCH]
    embeddings = run(encoder, audio)
    np.testing.assert_allclose(embeddings[:, 1:2], run(encoder, second), atol=1e-4)
    np.testing.assert_allclose(embeddings[:1], run(encoder, audio[:1]), atol=1e-4)


@pytest.mark.one_backend
def test_patches_at_another_distance(npz, encoder):
    often = convert_yamnet(npz, patch_hop_frames=12)
    assert often.hop_seconds == pytest.approx(0.12)
    audio = noise(1, PATCH + PATCH_HOP)
    assert often.compute_output_shape(audio.shape) == (1, 5, 1024)
    np.testing.assert_allclose(run(often, audio)[:, ::4], run(encoder, audio), atol=1e-4)


# --- dense embeddings -----------------------------------------------------------------------


@pytest.mark.one_backend
@pytest.mark.parametrize(("stage", "bands"), [(4, 16), (12, 4)])
def test_dense_embeddings_are_features_of_a_stage(stage, bands, npz, encoder):
    audio = noise(2, 10000)
    dense = convert_yamnet(npz, stage=stage)
    assert dense.hop_seconds == pytest.approx(0.01 * STRIDES[stage - 1])
    log_mel = encoder.log_mel(dense.spectrogram(audio))
    features = run(encoder.network, log_mel, stage=stage)
    assert features.shape[2] == bands and dense.embedding_dim == features.shape[3]
    embeddings = run(dense, audio)
    assert embeddings.shape == dense.compute_output_shape(audio.shape)
    np.testing.assert_allclose(embeddings, features.mean(axis=2), atol=1e-5)
    joined = convert_yamnet(npz, stage=stage, average_bands=False)
    assert joined.embedding_dim == bands * features.shape[3]
    together = run(joined, audio)
    assert together.shape == joined.compute_output_shape(audio.shape)
    np.testing.assert_allclose(together.reshape(features.shape), features, atol=1e-5)


@pytest.mark.one_backend
def test_the_mean_of_the_last_stage_is_the_embedding_of_a_patch(npz, encoder):
    dense = convert_yamnet(npz, stage=14)
    audio = noise(1, PATCH)
    steps = run(dense, audio)
    assert steps.shape == (1, 3, 1024)
    np.testing.assert_allclose(steps.mean(axis=1), run(encoder, audio)[:, 0], atol=1e-4)


@pytest.mark.one_backend
@pytest.mark.parametrize("stage", [1, 3, 6, 7, 13])
def test_times_of_dense_embeddings(stage, gradient):
    """The frames that an embedding depends on are centred on its time."""
    dense = YAMNet(0.125, stage=stage)
    stride = STRIDES[stage - 1]
    # Constant bands and kernels without sign leave every dependence visible.
    dense.network.set_weights([np.abs(w) + 0.1 for w in dense.network.get_weights()])
    count = 9 * stride if stage < 7 else 21 * stride
    log_mel, step = np.ones((1, count, 64), "float32"), count // stride // 2
    slope = gradient(lambda x: ops.sum(dense.embed_log_mel(x)[:, step]), log_mel)
    frames = np.flatnonzero(np.abs(slope).sum(axis=(0, 2)))
    assert 0 < frames[0] and frames[-1] < count - 1
    centre = (frames[0] + frames[-1]) / 2 * 0.01 + 0.0125
    assert dense.offset_seconds + step * dense.hop_seconds == pytest.approx(centre)


@pytest.mark.parametrize("stage", [None, pytest.param(7, marks=pytest.mark.one_backend)])
def test_recordings_of_unknown_length_in_a_functional_model(stage):
    encoder = YAMNet(0.0625, stage)
    inputs = keras.Input((None,))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(encoder(inputs)))
    for samples in (8000, 20000):
        audio = noise(2, samples)
        expected = run(encoder, audio).mean(axis=1)
        np.testing.assert_allclose(model.predict(audio, verbose=0), expected, atol=1e-5)


@pytest.mark.one_backend
@pytest.mark.parametrize(("stage", "frames"), [(None, 100), (7, 33)])
def test_embeddings_of_log_mel_are_those_of_the_audio(stage, frames):
    encoder = YAMNet(0.0625, stage)
    audio = noise(1, 160 * frames + 240)
    bands = encoder.log_mel(encoder.spectrogram(audio))
    np.testing.assert_allclose(run(encoder.embed_log_mel, bands), run(encoder, audio), atol=1e-5)
    # Frames that do not fit are continued with silence.
    continued = np.full((1, bands.shape[1], 64), np.log(0.001), "float32")
    continued[:, :frames] = ops.convert_to_numpy(bands)[:, :frames]
    np.testing.assert_allclose(
        run(encoder.embed_log_mel, continued[:, :frames]),
        run(encoder.embed_log_mel, continued),
        atol=1e-6,
    )


# --- class scores ---------------------------------------------------------------------------


@pytest.mark.backend_agnostic
def test_the_names_of_audioset():
    names = audioset_class_names()
    assert len(names) == len(set(names)) == 521
    assert (names[0], names[67], names[520]) == ("Speech", "Animal", "Field recording")


@pytest.mark.one_backend
def test_classify_names_the_highest_scores(encoder):
    audio = np.stack([noise(PATCH + 1), 3 * noise(PATCH + 1, seed=1)])
    scores = run(encoder.scores, audio)
    assert scores.shape == (2, 2, 521) and 0 <= scores.min() and scores.max() <= 1
    found = encoder.classify(audio, top=3)
    for row, expected in zip(found, scores.mean(axis=1), strict=True):
        best = np.argsort(-expected)[:3]
        assert list(row) == [encoder.class_names[i] for i in best]
        np.testing.assert_allclose(list(row.values()), expected[best], atol=1e-6)


@pytest.mark.one_backend
def test_classify_among_some_classes(encoder):
    audio, names = noise(1, 8000), ["Dog", "Rain", "Speech"]
    (found,) = encoder.classify(audio, names)
    assert set(found) == set(names) and list(found.values()) == sorted(found.values())[::-1]
    (every,) = encoder.classify(audio, top=521)
    assert len(every) == 521 and {name: every[name] for name in names} == pytest.approx(found)
    assert encoder.classify(audio, "Dog") == [{"Dog": found["Dog"]}]


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("name", "near"), [("dog", "'Dog'"), ("Speach", "'Speech'"), ("guitar", "'Electric guitar'")]
)
def test_an_unknown_class_is_an_error_with_near_names(name, near):
    encoder = YAMNet(0.0625)
    with pytest.raises(ValueError, match="`classes` must be among the 521 names") as caught:
        encoder.classify(noise(1, 1000), ["Rain", name])
    assert near in str(caught.value) and f"Received: classes=['Rain', '{name}']" in str(
        caught.value
    )


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("classes", [[], [3], 3, ["Dog", None]])
def test_classes_that_are_no_names_are_refused(classes):
    with pytest.raises(ValueError, match="`classes` must be a name or a list of names") as caught:
        YAMNet(0.0625).classify(noise(1, 1000), classes)
    assert f"Received: classes={classes!r}" in str(caught.value)


@pytest.mark.backend_agnostic
def test_a_name_like_no_other():
    with pytest.raises(ValueError, match=r"'qqqq' is none of them\. Received: classes='qqqq'"):
        YAMNet(0.0625).classify(noise(1, 1000), "qqqq")


@pytest.mark.one_backend
def test_scores_do_not_depend_on_the_stage(npz, encoder):
    dense = convert_yamnet(npz, stage=5)
    audio = noise(1, PATCH + 1)
    np.testing.assert_allclose(run(dense.scores, audio), run(encoder.scores, audio), atol=1e-6)


@pytest.mark.one_backend
def test_classes_of_ones_own():
    encoder = YAMNet(0.0625, class_names=["bell", "dog"])
    (found,) = encoder.classify(noise(1, 1000))
    assert set(found) == {"bell", "dog"}
    assert run(encoder.scores, noise(1, 1000)).shape == (1, 1, 2)


def test_published_weights_know_noise_silence_and_a_tone(published):
    t = np.arange(16000) / 16000
    sounds = [noise(16000), 0 * t, 0.5 * np.sin(2 * np.pi * 440 * t)]
    hiss, silence, tone = published.classify(np.stack(sounds).astype("float32"))
    assert {"White noise", "Static"} < set(hiss)
    assert next(iter(silence)) == "Silence" and silence["Silence"] > 0.99
    assert "Dial tone" in tone


@pytest.mark.parametrize(
    ("name", "class_name"), [("dog", "Dog"), ("rain", "Rain"), ("violin", "Violin, fiddle")]
)
def test_published_weights_know_real_recordings(name, class_name, published, real_data):
    path = sorted((real_data / name).glob("a*.ogg"))[0]
    (found,) = published.classify(read_audio(path)[None], top=10)
    assert class_name in found
