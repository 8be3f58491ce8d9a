"""CLIP as an encoder: embeddings, frozen weights, presets, errors, and its place in a model."""

import ast
import json
import pathlib

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_avssan import AVSSAN, encoders
from keras_avssan.encoders import CLIPEncoder, CLIPTextTokenizer, LogMelEncoder
from keras_avssan.encoders.get_image_encoder import get_image_encoder

SIZE = (16, 16)
TOKENIZER = CLIPTextTokenizer(["d o", "do g</w>", "c a", "ca t</w>"], sequence_length=12)
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], "float32")
STD = np.array([0.26862954, 0.26130258, 0.27577711], "float32")
# Under JAX a step is compiled as a whole: op by op each operation is compiled on its own.
EAGERLY = keras.backend.backend() != "jax"


def make_backbone(dim=6, dtype=None):
    """A CLIP of one block per side, with weights large enough to distinguish inputs."""
    backbone = keras_hub.models.CLIPBackbone(
        vision_encoder=keras_hub.models.CLIPVisionEncoder(
            8, 8, 1, 2, 16, image_shape=(*SIZE, 3), dtype=dtype, name="vision_encoder"
        ),
        text_encoder=keras_hub.models.CLIPTextEncoder(
            len(TOKENIZER.vocabulary), 8, 8, 1, 2, 16, max_sequence_length=12, dtype=dtype
        ),
        projection_dim=dim,
        dtype=dtype,
    )
    rng = np.random.default_rng(0)
    for weight in backbone.weights:
        if weight.name == "position_ids":
            weight.assign(np.arange(weight.shape[-1])[None])
        else:
            weight.assign(rng.normal(size=weight.shape).astype("float32"))
    return backbone


def make_images(count=3, size=SIZE, seed=0):
    return np.random.default_rng(seed).uniform(size=(count, *size, 3)).astype("float32")


def embed(encoder, images):
    return ops.convert_to_numpy(encoder(images))


def unit(x):
    x = ops.convert_to_numpy(x)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def encoder():
    """One encoder for the tests that do not change it."""
    return CLIPEncoder(make_backbone(), TOKENIZER)


@pytest.fixture(scope="module")
def preset(encoder, tmp_path_factory):
    """A folder in the form of KerasHub's presets."""
    folder = tmp_path_factory.mktemp("clip_preset")
    encoder.save_to_preset(folder)
    return folder


def assert_same_embeddings(first, second):
    np.testing.assert_array_equal(embed(first, make_images()), embed(second, make_images()))
    np.testing.assert_array_equal(first.tokenize("a dog"), second.tokenize("a dog"))
    np.testing.assert_array_equal(first.embed_text("a dog"), second.embed_text("a dog"))


# --- embeddings ------------------------------------------------------------------------------


def test_pictures_are_normalised_and_embeddings_of_unit_length(encoder):
    images = make_images()
    expected = unit(encoder.backbone.get_vision_embeddings((images - MEAN) / STD))
    embeddings = embed(encoder, images)
    assert embeddings.dtype == np.float32
    assert embeddings.shape == encoder.compute_output_shape(images.shape) == (3, 6)
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 0.01


def test_attributes_that_the_model_needs(encoder):
    assert encoder.image_size == SIZE
    assert encoder.compute_output_shape((None, *SIZE, 3)) == (None, 6)


@pytest.mark.one_backend
def test_pictures_of_another_size_are_resized(encoder):
    flat = np.broadcast_to(np.array([0.2, 0.5, 0.9], "float32"), (1, *SIZE, 3))
    large = np.broadcast_to(flat[:, :1, :1], (1, 40, 24, 3))
    np.testing.assert_allclose(embed(encoder, large), embed(encoder, flat), atol=1e-4)


def test_resized_pictures_stay_in_range(encoder):
    """Bicubic interpolation overshoots at the edge between black and white."""
    edge = np.zeros((1, 40, 24, 3), "float32")
    edge[:, :, 13:] = 1.0
    resized = ops.image.resize(edge, SIZE, "bicubic", antialias=True, data_format="channels_last")
    resized = ops.convert_to_numpy(resized)
    assert resized.max() > 1.01 and resized.min() < -0.01
    expected = embed(encoder, np.clip(resized, 0.0, 1.0))
    np.testing.assert_allclose(embed(encoder, edge), expected, atol=1e-5)
    assert np.abs(embed(encoder, resized) - expected).max() > 1e-3


@pytest.mark.one_backend
def test_other_mean_and_std(encoder):
    images = make_images()
    plain = CLIPEncoder(encoder.backbone, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    np.testing.assert_allclose(
        embed(plain, (images - MEAN) / STD), embed(encoder, images), atol=1e-5
    )


def test_texts_are_embedded_at_their_end_token(encoder):
    token_ids = encoder.tokenize(["a dog", "a long cat"])
    states = ops.convert_to_numpy(encoder.backbone.text_encoder({"token_ids": token_ids}))
    pooled = states[np.arange(2), np.argmax(token_ids == TOKENIZER.end_id, axis=1)]
    expected = unit(encoder.backbone.text_projection(pooled))
    embeddings = ops.convert_to_numpy(encoder.encode_text(token_ids))
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 0.01


@pytest.mark.one_backend
def test_padding_has_no_influence(encoder):
    """CLIP's first release pads with zeros, `transformers` with end tokens."""
    zeros = encoder.tokenize(["a dog"])
    end = int(np.argmax(zeros))
    ends = np.where(np.arange(12) > end, TOKENIZER.end_id, zeros)
    embeddings = [
        ops.convert_to_numpy(encoder.encode_text(token_ids))
        for token_ids in (zeros, ends, zeros[:, : end + 1])
    ]
    np.testing.assert_allclose(embeddings[1], embeddings[0], atol=1e-5)
    np.testing.assert_allclose(embeddings[2], embeddings[0], atol=1e-5)


@pytest.mark.one_backend
def test_embed_text_in_batches_with_a_template(encoder):
    texts = ["dog", "cat", "dog"]
    embeddings = encoder.embed_text(texts, batch_size=2)
    assert isinstance(embeddings, np.ndarray)
    assert (embeddings.shape, embeddings.dtype) == ((3, 6), np.float32)
    np.testing.assert_allclose(embeddings[2], embeddings[0], atol=1e-6)
    np.testing.assert_allclose(encoder.embed_text("cat")[0], embeddings[1], atol=1e-6)
    np.testing.assert_allclose(
        encoder.embed_text(texts, template="a {}!"),
        encoder.embed_text(["a dog!", "a cat!", "a dog!"]),
        atol=1e-6,
    )


@pytest.mark.backend_agnostic
def test_a_long_text_warns(encoder):
    with pytest.warns(UserWarning, match="'dog dog dog"):
        encoder.embed_text("dog " * 20)


@pytest.mark.one_backend
def test_embeddings_are_float32_under_mixed_precision(encoder):
    low = CLIPEncoder(make_backbone(dtype="mixed_bfloat16"), TOKENIZER)
    embeddings = embed(low, make_images())
    assert embeddings.dtype == np.float32
    assert low.embed_text("a dog").dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)
    cosine = np.sum(embeddings * embed(encoder, make_images()), axis=1)
    assert cosine.min() > 0.98


# --- training --------------------------------------------------------------------------------


def changed_weights(encoder):
    """Takes one large step of a task on top of the encoder; returns which weights changed."""
    inputs = keras.Input((*SIZE, 3))
    task = keras.Model(inputs, keras.layers.Dense(1)(encoder(inputs)))
    task.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=EAGERLY)
    before = encoder.get_weights()
    task.train_on_batch(make_images(), np.arange(3, dtype="float32")[:, None])
    pairs = zip(encoder.weights, before, encoder.get_weights(), strict=True)
    return {weight.path: not np.array_equal(old, new) for weight, old, new in pairs}


@pytest.mark.one_backend
def test_a_frozen_encoder_does_not_change():
    encoder = CLIPEncoder(make_backbone(), TOKENIZER)
    assert encoder.trainable_variables == []
    changed = changed_weights(encoder)
    assert len(changed) > 20
    assert not any(changed.values())


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("trainable", [False, True])
def test_gradients_stop_at_a_frozen_encoder(trainable):
    encoder = CLIPEncoder(make_backbone(), TOKENIZER, trainable=trainable)
    before = keras.layers.Dense(3, kernel_initializer="identity", name="before")
    inputs = keras.Input((*SIZE, 3))
    task = keras.Model(inputs, keras.layers.Dense(1)(encoder(before(inputs))))
    task.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=EAGERLY)
    old = before.get_weights()
    task.train_on_batch(make_images(), np.arange(3, dtype="float32")[:, None])
    moved = not np.array_equal(old[0], before.get_weights()[0])
    assert moved == trainable


@pytest.mark.one_backend
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_trainable_encoder_learns():
    encoder = CLIPEncoder(make_backbone(), TOKENIZER, trainable=True)
    changed = changed_weights(encoder)
    vision = {path: moved for path, moved in changed.items() if "vision_projection" in path}
    assert vision and all(vision.values())
    assert not any(moved for path, moved in changed.items() if "position_ids" in path)


# --- saved state -----------------------------------------------------------------------------


@pytest.mark.one_backend
def test_config_round_trip(encoder):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(encoder)))
    restored = keras.saving.deserialize_keras_object(config)
    restored.set_weights(encoder.get_weights())
    assert restored.trainable is False
    assert_same_embeddings(restored, encoder)


@pytest.mark.one_backend
def test_keras_file_round_trip(encoder, tmp_path):
    inputs = keras.Input((*SIZE, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(encoder(inputs)))
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    (layer,) = [layer for layer in restored.layers if isinstance(layer, CLIPEncoder)]
    assert_same_embeddings(layer, encoder)


def test_preset_round_trip(encoder, preset):
    assert (preset / "assets/tokenizer/vocabulary.json").is_file()
    assert (preset / "assets/tokenizer/merges.txt").is_file()
    restored = CLIPEncoder.from_preset(preset, name="pictures")
    assert restored.name == "pictures"
    assert restored.trainable is False
    assert_same_embeddings(restored, encoder)


@pytest.mark.one_backend
def test_preset_without_weights(encoder, preset):
    restored = CLIPEncoder.from_preset(preset, load_weights=False)
    assert [w.shape for w in restored.weights] == [w.shape for w in encoder.weights]
    assert np.abs(embed(restored, make_images()) - embed(encoder, make_images())).max() > 0.01


# --- a model's image encoder -----------------------------------------------------------------


@pytest.fixture(scope="module")
def model(preset):
    """A tiny model whose image encoder is given by name."""
    model = AVSSAN(
        image_encoder=str(preset),
        audio_encoder=LogMelEncoder(8, (4,)),
        dim=8,
        bridge_layers=1,
        num_heads=2,
        mlp_dim=16,
        compile=False,
    )
    model.compile(run_eagerly=EAGERLY)
    return model


@pytest.fixture(scope="module")
def audio():
    return np.random.default_rng(0).normal(size=(1, 8000, 2)).astype("float32")


@pytest.mark.one_backend
def test_a_name_gives_the_model_clip(model, encoder):
    assert isinstance(model.backbone.image_encoder, CLIPEncoder)
    assert (model.backbone.image_size, model.backbone.prompt_dim) == (SIZE, 6)
    assert model.backbone.image_encoder.trainable_variables == []
    embeddings = model.embed_prompts(make_images(), batch_size=2)
    np.testing.assert_allclose(embeddings, embed(encoder, make_images()), atol=1e-5)


@pytest.mark.one_backend
def test_pictures_and_words_are_prompts(model, audio):
    picture = make_images(1)[0]
    clip = model.backbone.image_encoder
    dog, cat, shown = (
        model.explain(audio, prompt)["posterior"]
        for prompt in (clip.embed_text("a dog"), clip.embed_text("a cat"), picture)
    )
    assert np.abs(dog - cat).max() > 0
    embedded = model.explain(audio, embed(clip, picture[None]))["posterior"]
    np.testing.assert_allclose(shown, embedded, atol=1e-4)


@pytest.mark.one_backend
def test_localize_reads_words_as_their_embeddings(model, audio, tmp_path):
    clip, texts = model.backbone.image_encoder, ["a dog", "a cat"]
    model.save_to_preset(str(tmp_path))
    restored = AVSSAN.from_preset(str(tmp_path))
    recordings = np.repeat(audio, 2, axis=0)
    expected, words, restored_words = (
        ops.convert_to_numpy(backbone({"audio": recordings, **prompts})["doa"])
        for backbone, prompts in (
            (model.backbone, {"prompt_embedding": clip.embed_text(texts)}),
            (model.backbone, {"token_ids": clip.tokenize(texts)}),
            (restored.backbone, {"token_ids": clip.tokenize(texts)}),
        )
    )
    assert np.abs(expected[0] - expected[1]).max() > 0
    np.testing.assert_allclose(words, expected, atol=1e-5)
    np.testing.assert_allclose(restored_words, expected, atol=1e-5)
    azimuths = restored.localize(audio, texts)
    np.testing.assert_array_equal(azimuths, model.localize(audio, clip.embed_text(texts)))


@pytest.mark.one_backend
def test_saved_models_hold_clip_and_its_tokenizer(model, tmp_path):
    model.save(tmp_path / "model.keras")
    model.save_to_preset(str(tmp_path / "preset"))
    for restored in (
        keras.models.load_model(tmp_path / "model.keras"),
        AVSSAN.from_preset(str(tmp_path / "preset")),
    ):
        assert_same_embeddings(restored.backbone.image_encoder, model.backbone.image_encoder)
        assert restored.backbone.image_encoder.trainable_variables == []


@pytest.mark.one_backend
def test_encoders_pass_where_names_are_taken(encoder, preset):
    assert get_image_encoder(encoder) is encoder
    assert get_image_encoder(None) is None
    assert isinstance(get_image_encoder(preset), CLIPEncoder)


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.backend_agnostic
def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="`preset`.*clip_vit_base_patch32.*'clip_vit_tiny'"):
        CLIPEncoder.from_preset("clip_vit_tiny")
    with pytest.raises(ValueError, match="`preset`"):
        AVSSAN(image_encoder="no/such/folder")


def raising(error):
    def raise_error(*args, **kwargs):
        raise error

    return raise_error


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "name", ["clip_vit_base_patch32", "kaggle://keras/clip/keras/clip_vit_base_patch32/3"]
)
def test_an_unreachable_hub_says_how_to_do_without(name, monkeypatch):
    preset_utils = pytest.importorskip("keras_hub.src.utils.preset_utils")
    import requests

    error = requests.exceptions.ConnectionError("Max retries exceeded with url: /api/v1/models")
    monkeypatch.setattr(preset_utils.kagglehub, "model_download", raising(error))
    with pytest.raises(OSError, match="Max retries exceeded") as caught:
        CLIPEncoder.from_preset(name)
    message = str(caught.value)
    assert "kaggle://keras/clip/keras/clip_vit_base_patch32/3" in message
    assert "download the preset's folder" in message and "KAGGLEHUB_CACHE" in message


@pytest.mark.backend_agnostic
def test_an_unreachable_hugging_face_hub_likewise(monkeypatch):
    preset_utils = pytest.importorskip("keras_hub.src.utils.preset_utils")
    from huggingface_hub.errors import LocalEntryNotFoundError

    error = LocalEntryNotFoundError("cannot find the file on the Hub or in the cache")
    monkeypatch.setattr(preset_utils.huggingface_hub, "hf_hub_download", raising(error))
    with pytest.raises(OSError, match="HF_HOME"):
        CLIPEncoder.from_preset("hf://someone/clip")


@pytest.mark.backend_agnostic
def test_an_unknown_argument_is_named(encoder, tmp_path):
    encoder.save_to_preset(tmp_path)
    with pytest.raises(TypeError, match="^`CLIPEncoder` takes no argument `foo`. Rec.*: foo=1$"):
        CLIPEncoder.from_preset(tmp_path, foo=1)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["vocabulary.json", "merges.txt"])
def test_a_preset_without_its_tokenizer_names_the_file(name, encoder, tmp_path):
    encoder.save_to_preset(tmp_path)
    (tmp_path / "assets/tokenizer" / name).unlink()
    with pytest.raises(ValueError, match=rf"`preset` cannot be loaded.*{name}"):
        CLIPEncoder.from_preset(tmp_path)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["model.weights.h5", "config.json", "vocabulary.json"])
def test_a_truncated_file_is_an_error_of_the_preset(name, encoder, tmp_path):
    encoder.save_to_preset(tmp_path)
    (file,) = tmp_path.rglob(name)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"^`preset` cannot be loaded.*Received: preset="):
        CLIPEncoder.from_preset(tmp_path)


@pytest.mark.backend_agnostic
def test_an_encoder_without_tokenizer_takes_pictures_only(encoder, tmp_path):
    silent = CLIPEncoder(encoder.backbone)
    np.testing.assert_array_equal(embed(silent, make_images()), embed(encoder, make_images()))
    restored = keras.layers.deserialize(keras.layers.serialize(silent))
    assert restored.tokenizer is None
    silent.save_to_preset(tmp_path)
    assert not (tmp_path / "assets").exists()
    with pytest.raises(ValueError, match="no tokenizer"):
        silent.embed_text("a dog")


@pytest.mark.backend_agnostic
def test_wrong_arguments_are_named(encoder):
    with pytest.raises(TypeError, match="`backbone`.*Dense"):
        CLIPEncoder(keras.layers.Dense(2))
    with pytest.raises(TypeError, match="`tokenizer`.*str"):
        CLIPEncoder(encoder.backbone, "clip")
    with pytest.raises(ValueError, match="`tokenizer` must fit.*sequences of 77"):
        CLIPEncoder(encoder.backbone, CLIPTextTokenizer(TOKENIZER.merges))
    with pytest.raises(ValueError, match="`tokenizer` must fit.*519 tokens"):
        more = CLIPTextTokenizer([*TOKENIZER.merges, "a n"], sequence_length=12)
        CLIPEncoder(encoder.backbone, more)
    with pytest.raises(ValueError, match="`token_ids`.*at most 12"):
        encoder.encode_text(np.zeros((1, 13), "int32"))
    with pytest.raises(ValueError, match=r"`token_ids`.*\(12,\)"):
        encoder.encode_text(np.zeros(12, "int32"))
    with pytest.raises(ValueError, match="`template`"):
        encoder.embed_text("dog", template="a photo")
    with pytest.raises(ValueError, match="`batch_size`"):
        encoder.embed_text("dog", batch_size=0)
    with pytest.raises(TypeError, match="`texts`.*int"):
        encoder.embed_text(3)


@pytest.mark.backend_agnostic
def test_encoders_do_not_import_their_converters():
    """Converters import the encoders that they make; the other way would be a circle."""
    folder = pathlib.Path(encoders.__file__).parent
    for path in folder.glob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        imports = [ast.unparse(n) for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
        assert not [one for one in imports if "converters" in one], path.name
