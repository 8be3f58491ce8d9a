"""From files and arrays to degrees, and to what explains them."""

import keras
import numpy as np
import pytest
import soundfile
from keras import ops
from PIL import Image

from keras_avssan.doa import GRID_DEGREES
from keras_avssan.encoders import ConvImageEncoder


@pytest.fixture
def recording(make_inputs):
    return make_inputs(1)["audio"][0]


@pytest.fixture
def picture():
    return np.random.default_rng(5).integers(0, 255, size=(16, 16, 3)).astype("uint8")


@pytest.fixture
def files(recording, picture, tmp_path):
    """A recording of exact 16-bit samples and a lossless picture, as files and as arrays."""
    samples = np.round(32768 * recording) / 32768
    soundfile.write(tmp_path / "mix.wav", samples, 16000, subtype="PCM_16")
    Image.fromarray(picture).save(tmp_path / "dog.png")
    return tmp_path / "mix.wav", tmp_path / "dog.png", samples.astype("float32")


def posterior(model, recording, picture):
    inputs = {"audio": recording[None], "images": picture[None].astype("float32") / 255}
    return model.predict_on_batch(inputs)["doa"]


def test_the_direction_of_the_highest_probability(model, recording, picture):
    theta = model.localize(recording, picture)
    assert theta.shape == (1,)
    assert theta.dtype == "float32"
    expected = GRID_DEGREES[np.argmax(posterior(model, recording, picture), axis=1)]
    np.testing.assert_array_equal(theta, expected)


def test_confidence_is_the_probability_within_five_degrees(model, recording, picture):
    theta, confidence = model.localize(recording, picture, return_confidence=True)
    probabilities = np.asarray(posterior(model, recording, picture))[0]
    expected = sum(p for j, p in enumerate(probabilities, 1) if abs(j - theta[0]) <= 5)
    assert confidence.shape == (1,)
    assert confidence[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.one_backend
def test_files_and_arrays_are_the_same(model, files, picture):
    wav, png, samples = files
    from_arrays = model.explain(samples, picture)["posterior"]
    for audio, prompt in [(wav, png), (str(wav), str(png)), ([wav], [png])]:
        np.testing.assert_allclose(
            model.explain(audio, prompt)["posterior"], from_arrays, atol=1e-6
        )


@pytest.mark.one_backend
def test_pictures_of_floats_and_of_bytes_are_the_same(model, recording, picture):
    floats = picture.astype("float32") / 255
    np.testing.assert_allclose(
        model.explain(recording, floats)["posterior"],
        model.explain(recording, picture)["posterior"],
        atol=1e-6,
    )


def test_tensors_of_the_backend_are_taken(model, recording, picture):
    tensors = keras.ops.convert_to_tensor(recording), keras.ops.convert_to_tensor(picture)
    np.testing.assert_array_equal(model.localize(*tensors), model.localize(recording, picture))


@pytest.mark.one_backend
def test_one_prompt_serves_several_recordings(model, make_inputs, picture):
    recordings = make_inputs(3)["audio"]
    each = [model.localize(recording, picture)[0] for recording in recordings]
    np.testing.assert_array_equal(model.localize(recordings, picture), each)
    np.testing.assert_array_equal(model.localize(list(recordings), picture), each)


def test_one_recording_serves_several_prompts(model, make_inputs, recording):
    pictures = make_inputs(3)["images"]
    together = model.localize(recording, pictures)
    assert together.shape == (3,)
    np.testing.assert_array_equal(together, model.localize(recording, list(pictures)))
    np.testing.assert_array_equal(together[1:2], model.localize(recording, pictures[1]))


@pytest.mark.one_backend
def test_embeddings_serve_as_prompts(model, recording, make_inputs):
    pictures = make_inputs(2)["images"]
    embeddings = model.embed_prompts(np.round(255 * pictures).astype("float32") / 255)
    expected = model.localize(recording, pictures)
    np.testing.assert_array_equal(model.localize(recording, embeddings), expected)
    np.testing.assert_array_equal(model.localize(recording, embeddings[0]), expected[:1])
    np.testing.assert_array_equal(model.localize(recording, list(embeddings)), expected)


@pytest.mark.one_backend
def test_many_scenes_run_in_parts(model, make_inputs, picture):
    recordings = make_inputs(3)["audio"]
    many = np.concatenate([recordings] * 12)
    theta = model.localize(many, picture)
    assert theta.shape == (36,)
    np.testing.assert_array_equal(theta, np.tile(model.localize(recordings, picture), 12))


@pytest.mark.one_backend
def test_other_sampling_rates_are_resampled(model, picture):
    tone = 0.1 * np.sin(np.arange(24000)[:, None] * 0.05 + [0, 1])
    assert model.explain(tone, picture, sampling_rate=48000)["mask"].shape == (16, 513)


def test_explanation(model, recording, picture, run):
    explanation = model.explain(recording, picture)
    outputs = run(
        model, {"audio": recording[None], "images": picture[None].astype("float32") / 255}
    )
    frames = 1 + 8000 // 512
    assert set(explanation) == {
        "azimuth", "confidence", "similarity", "posterior", "spectrogram", "mask",
        "masked_spectrogram", "masked_audio", "band_attention", "band_weights", "bands",
        "sampling_rate", "hop_length",
    }  # fmt: skip
    np.testing.assert_allclose(explanation["posterior"], outputs["doa"][0], atol=1e-6)
    np.testing.assert_allclose(explanation["mask"], outputs["mask"][0], atol=1e-6)
    assert explanation["posterior"].shape == (180,)
    assert explanation["mask"].shape == (frames, 513)
    assert explanation["spectrogram"].shape == (frames, 513, 4)
    np.testing.assert_allclose(
        explanation["masked_spectrogram"],
        explanation["spectrogram"] * explanation["mask"][..., None],
        atol=1e-5,
    )
    shapes = {name: beta.shape for name, beta in explanation["band_attention"].items()}
    assert shapes == {"fine": (16,), "mid": (4,), "full": (1,)}
    assert explanation["band_weights"].shape == (frames, 3)
    assert tuple(explanation["bands"]) == ("fine", "mid", "full")
    assert (explanation["sampling_rate"], explanation["hop_length"]) == (16000, 512)
    theta, confidence = model.localize(recording, picture, return_confidence=True)
    assert explanation["azimuth"] == theta[0]
    assert explanation["confidence"] == pytest.approx(confidence[0], rel=1e-5)
    assert explanation["similarity"] == pytest.approx(float(outputs["similarity"][0]), abs=1e-5)
    assert type(explanation["azimuth"]) is type(explanation["confidence"]) is float


@pytest.mark.one_backend
def test_explain_gives_what_the_mask_leaves_to_be_heard(model, recording, picture):
    explanation = model.explain(recording, picture)
    heard = explanation["masked_audio"]
    assert heard.shape == recording.shape and heard.dtype == "float32"
    gain = 1 / np.sqrt(np.mean(np.square(recording), dtype="float64"))
    spectrogram = ops.convert_to_numpy(model.backbone.stft(gain * heard[None]))[0]
    # Inside, where every sample is within reach of two frames, it is the masked spectrogram but
    # for what no signal can have.
    likeness = np.corrcoef(
        np.abs(spectrogram[1:-1]).ravel(), np.abs(explanation["masked_spectrogram"][1:-1]).ravel()
    )[0, 1]
    assert likeness > 0.95
    power = np.mean(np.square(heard))
    assert 0 < power < np.mean(np.square(recording))


@pytest.mark.backend_agnostic
def test_explain_takes_one_scene(model, make_inputs, picture):
    with pytest.raises(ValueError, match="one recording and one prompt.*2 scenes"):
        model.explain(make_inputs(2)["audio"], picture)


@pytest.mark.backend_agnostic
def test_a_model_without_a_preprocessor_says_so(make_tiny, recording, picture):
    model = make_tiny()
    model.preprocessor = None
    for call in (model.localize, model.explain):
        with pytest.raises(ValueError, match="preprocessor"):
            call(recording, picture)


@pytest.mark.one_backend
def test_two_channels_of_an_array_of_microphones(model, recording, picture):
    four = np.random.default_rng(6).normal(size=(len(recording), 4)).astype("float32")
    four[:, [3, 1]] = recording
    expected = model.localize(recording, picture, return_confidence=True)
    found = model.localize(four, picture, return_confidence=True, channels=(3, 1))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        model.explain(four, picture, channels=(3, 1))["posterior"],
        model.explain(recording, picture)["posterior"],
    )
    with pytest.raises(ValueError, match="Choose 2 of them with `channels`.*Received: 4"):
        model.localize(four, picture)


@pytest.mark.one_backend
def test_copies_have_no_confidence_and_a_dead_channel_no_answer(model, recording, picture):
    audio = np.stack([recording, recording[:, [0, 0]]])
    with pytest.warns(UserWarning, match=r"`audio\[1\]`: both channels hold the same"):
        theta, confidence = model.localize(audio, picture, return_confidence=True)
    assert confidence[1] == 0
    alone = model.localize(recording, picture, return_confidence=True)[1]
    assert confidence[0] == pytest.approx(alone[0], rel=1e-4)
    with pytest.warns(UserWarning, match="both channels"):
        explanation = model.explain(audio[1], picture)
    assert (explanation["azimuth"], explanation["confidence"]) == (theta[1], 0)
    with pytest.raises(ValueError, match="channel 1 is constant"):
        model.localize(recording * np.float32([1, 0]), picture)


@pytest.fixture(scope="module")
def with_candidates(make_candidates):
    keras.utils.set_random_seed(1)
    return make_candidates(image_encoder=ConvImageEncoder(8, (4, 8), (16, 16)))


def in_eight_bits(pictures):
    """Pictures that `localize`, which reads pictures in eight bits, does not change."""
    return (np.round(pictures * 255) / 255).astype("float32")


@pytest.mark.one_backend
def test_presence_is_what_the_network_gives(with_candidates, make_inputs):
    recordings = make_inputs(2, samples=16000)["audio"]
    picture = in_eight_bits(make_inputs(1)["images"][0])
    inputs = {"audio": recordings, "images": np.stack([picture] * 2)}
    outputs = with_candidates.predict_on_batch(inputs)
    theta, presence = with_candidates.localize(recordings, picture, return_presence=True)
    np.testing.assert_array_equal(theta, with_candidates.localize(recordings, picture))
    np.testing.assert_allclose(presence, ops.convert_to_numpy(outputs["presence"]), atol=1e-6)
    assert presence.shape == (2,) and (0 < presence).all() and (presence < 1).all()
    found = with_candidates.localize(
        recordings[0], picture, return_confidence=True, return_presence=True
    )
    confidence = with_candidates.localize(recordings[0], picture, return_confidence=True)[1]
    np.testing.assert_allclose(found, [theta[:1], confidence, presence[:1]], rtol=1e-4)


@pytest.mark.one_backend
def test_candidates_are_explained(with_candidates, make_inputs):
    inputs = make_inputs(1, samples=16000)
    inputs["images"] = in_eight_bits(inputs["images"])
    explanation = with_candidates.explain(inputs["audio"][0], inputs["images"][0])
    outputs = with_candidates.predict_on_batch(inputs)
    for name in ("candidate_azimuths", "candidate_weights"):
        expected = ops.convert_to_numpy(outputs[name])[0]
        np.testing.assert_allclose(explanation[name], expected, atol=1e-5)
    assert explanation["candidate_weights"].sum() == pytest.approx(1.0, abs=1e-5)
    presence = with_candidates.localize(inputs["audio"], inputs["images"], return_presence=True)[1]
    assert explanation["presence"] == pytest.approx(presence[0], rel=1e-5)
    assert type(explanation["presence"]) is float


@pytest.mark.backend_agnostic
def test_presence_of_a_network_without_candidates_is_refused(model, recording, picture):
    message = r"`return_presence` needs a network with candidates.*Received: model="
    with pytest.raises(ValueError, match=message):
        model.localize(recording, picture, return_presence=True)
