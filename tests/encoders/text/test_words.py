"""Stored words, and words in a localiser: prompts, files, another text encoder."""

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN
from keras_avssan.encoders import LogMelEncoder, PictureTextEncoder, WordTable
from keras_avssan.models import Localizer, attach_text_encoder

NAMES = ["dog", "church_bell", "Violin, fiddle", "rain"]
AUDIO = np.random.default_rng(1).normal(size=(8000, 2)).astype("float32")


@pytest.fixture
def table(sentence_encoder):
    return WordTable.from_encoder(sentence_encoder, NAMES)


def make_model(image_encoder):
    audio = LogMelEncoder(8, (4,))
    sizes = {"dim": 8, "mlp_dim": 16, "num_heads": 2, "bridge_layers": 1}
    model = AVSSAN(image_encoder=image_encoder, audio_encoder=audio, **sizes)
    model.compile(run_eagerly=keras.backend.backend() != "jax")
    return model


def test_a_table_has_the_embeddings_of_its_encoder(table, sentence_encoder):
    found = table.embed_text(["DOG", "church bell", " violin,  Fiddle"])
    expected = sentence_encoder.embed_text(["dog", "church bell", "Violin, fiddle"])
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    assert (table.title, table.dim, table.table.dtype) == ("tiny-bert", 8, "float16")


@pytest.mark.backend_agnostic
def test_a_word_that_is_not_in_the_table_is_refused_with_similar_ones(table):
    with pytest.raises(ValueError, match=r"similar ones are \['dog'\].*'tiny-bert', of width 8"):
        table.tokenize("dogs")
    with pytest.raises(ValueError, match=r"similar ones are \['church_bell'\]"):
        table.tokenize("the bell of a ship")
    with pytest.raises(ValueError, match=r"4 names .* the first ones are \['dog', "):
        table.tokenize("xyzzy")


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("dgo", ["dog"]),
        ("a puppy", []),
        ("c", []),
        ("the sound of the sea", []),
        ("bat", []),
        ("rains", ["Rain"]),
        ("a dog of the house", ["dog", "Whimper (dog)"]),
        ("dogs", ["dog", "Whimper (dog)"]),
        ("kid", ["Child speech, kid speaking"]),
    ],
)
def test_similar_names_are_spelt_alike_or_share_a_word(text, near):
    names = ["A capella", "Music of Africa", "Sound effect", "cat", "dog", "Whimper (dog)", "Rain"]
    names.append("Child speech, kid speaking")
    table = WordTable.from_vectors(names, np.eye(len(names)), "one")
    expected = f"similar ones are {near}" if near else f"the first ones are {names[:5]}"
    with pytest.raises(ValueError) as caught:
        table.tokenize(text)
    assert f"; {expected}. For other words" in str(caught.value)


@pytest.mark.backend_agnostic
def test_tables_that_are_wrong_are_refused():
    with pytest.raises(ValueError, match="'Dog' twice|'dog' twice"):
        WordTable(["dog", "Dog"], 2)
    with pytest.raises(ValueError, match=r"shape \(2, d\), a row a name"):
        WordTable.from_vectors(["dog", "cat"], np.ones((3, 2)), "one")
    with pytest.raises(
        ValueError, match=r"`names` must not be blank\. Received: names=\['dog', ' _'"
    ):
        WordTable(["dog", " _"], 2)
    with pytest.raises(
        ValueError, match=r"`names` must hold at least one text. Received: names=\[\]"
    ):
        WordTable([], 2)
    for vectors in ([["a"]], [[1.0], [1.0, 2.0]], None, "a", 3.0, [[np.nan, 1.0]], [1.0]):
        with pytest.raises(ValueError, match=r"`vectors` must .* Received: vectors"):
            WordTable.from_vectors(["dog"], vectors, "one")
    for names in (None, 3, [3], [None]):
        with pytest.raises(TypeError, match="`names` must be a string or a list of strings"):
            WordTable.from_vectors(names, [[1.0]], "one")
    with pytest.raises(TypeError, match="`encoder` must be a string. Received: encoder=3"):
        WordTable.from_vectors(["dog"], [[1.0]], 3)
    with pytest.raises(TypeError, match="`encoder` must be a `SentenceEncoder`.*type str"):
        WordTable.from_encoder("tiny-bert", ["dog"])
    with pytest.raises(TypeError, match="`image_encoder` must be a Keras layer.*type int"):
        PictureTextEncoder(3, WordTable(["dog"], 2))
    with pytest.raises(ValueError, match="finite and not zero"):
        WordTable.from_vectors(["dog"], np.zeros((1, 2)), "one")
    table = WordTable.from_vectors(["dog", "Dog"], [[2.0, 0.0], [0.0, 1.0]], "one")
    np.testing.assert_allclose(table.embed_text("dog"), [[1.0, 0.0]])


@pytest.mark.one_backend
@pytest.mark.parametrize("kind", ["table", "sentence_encoder"])
def test_words_are_prompts_and_are_kept_in_files(kind, make_encoder, images, tmp_path, request):
    encoder = make_encoder(request.getfixturevalue(kind))
    pictures = keras.ops.convert_to_numpy(encoder(images))
    np.testing.assert_allclose(np.linalg.norm(pictures, axis=1), 1.0, atol=1e-5)
    model = make_model(encoder)
    model.save(tmp_path / "model.keras")
    model.save_to_preset(str(tmp_path / "preset"))
    vectors = model.embed_texts(["church bell", "dog"])
    azimuth = model.localize(AUDIO, "church bell")
    assert vectors.shape == (2, 6) and azimuth.shape == (1,)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    for loaded in (
        keras.models.load_model(tmp_path / "model.keras"),
        Localizer.from_preset(str(tmp_path / "preset")),
    ):
        np.testing.assert_array_equal(loaded.embed_texts(["church bell", "dog"]), vectors)
        np.testing.assert_array_equal(loaded.localize(AUDIO, "church bell"), azimuth)
        np.testing.assert_array_equal(loaded.embed_prompts(images), model.embed_prompts(images))


@pytest.mark.one_backend
def test_a_sentence_encoder_takes_the_place_of_a_table(
    table, make_encoder, sentence_encoder, images
):
    model = make_model(make_encoder(table))
    with pytest.raises(ValueError, match="attach the sentence encoder 'tiny-bert'"):
        model.localize(AUDIO, "a barking dog")
    other = attach_text_encoder(model, sentence_encoder)
    assert type(other) is AVSSAN
    np.testing.assert_array_equal(other.embed_prompts(images), model.embed_prompts(images))
    np.testing.assert_allclose(other.embed_texts(["dog"]), model.embed_texts(["dog"]), atol=2e-3)
    assert other.localize(AUDIO, "a barking dog").shape == (1,)
    inputs = {"audio": AUDIO[None], "images": images[:1]}
    for name, value in model.predict_on_batch(inputs).items():
        np.testing.assert_allclose(other.predict_on_batch(inputs)[name], value, atol=1e-6)


def _train_projection(encoder):
    """Numbers in the projection of words, as after a training."""
    rng = np.random.default_rng(2)
    shapes = [weight.shape for weight in encoder.text_projection.get_weights()]
    encoder.text_projection.set_weights([rng.normal(size=shape) for shape in shapes])


@pytest.mark.one_backend
def test_a_trained_projection_takes_only_the_encoder_that_it_was_trained_with(
    table, make_encoder, sentence_encoder
):
    rng = np.random.default_rng(0)
    encoder = make_encoder(table)
    model = make_model(encoder)
    unlike = WordTable.from_vectors(NAMES, rng.normal(size=(4, 8)), "another")
    assert attach_text_encoder(model, unlike).embed_texts("dog").shape == (1, 6)  # not trained yet
    _train_projection(encoder)
    vectors = model.embed_texts(NAMES)
    attached = attach_text_encoder(model, sentence_encoder)
    words = [name.replace("_", " ") for name in NAMES]
    np.testing.assert_allclose(attached.embed_texts(words), vectors, atol=2e-3)
    smaller = attach_text_encoder(attached, WordTable.from_encoder(sentence_encoder, ["Rain"]))
    np.testing.assert_allclose(smaller.embed_texts("rain"), vectors[3:], atol=2e-3)
    for start in (model, attached):
        with pytest.raises(ValueError, match=r"must be 'tiny-bert'.*with a cosine of -?0\.\d\d"):
            attach_text_encoder(start, unlike)
    # One name of several that differs is enough.
    rows = np.array(table.embed_text(NAMES))
    rows[2] = rows[1]
    with pytest.raises(ValueError, match="'Violin, fiddle' with a cosine of"):
        attach_text_encoder(model, WordTable.from_vectors(NAMES, rows, "tiny-bert"))
    with pytest.raises(ValueError, match="a table without a name of the model's own"):
        attach_text_encoder(model, WordTable.from_vectors(["cat"], np.ones((1, 8)), "tiny-bert"))
    backbone = sentence_encoder.backbone
    weights = backbone.get_weights()
    backbone.set_weights([rng.normal(size=weight.shape) for weight in weights])
    with pytest.raises(ValueError, match=r"`align_prompts` on a model|align_prompts. on a model"):
        attach_text_encoder(model, sentence_encoder)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("wrong", [None, "all-MiniLM-L6-v2", 3])
def test_what_is_no_text_encoder_is_refused(wrong, table, make_encoder):
    with pytest.raises(ValueError, match="`text_encoder` must be 'tiny-bert'.*Received: text_enc"):
        attach_text_encoder(make_model(make_encoder(table)), wrong)


@pytest.mark.one_backend
def test_case_spaces_and_underscores_of_a_prompt_do_not_count(table, make_encoder):
    model = make_model(make_encoder(table))
    for name, others in {
        "church_bell": ("Church bell", "  CHURCH_BELL ", "church  bell"),
        "rain": (" Rain\n", "RAIN", "_rain_"),
    }.items():
        expected = model.embed_texts(name)
        for other in others:
            np.testing.assert_array_equal(model.embed_texts(other), expected)
            np.testing.assert_array_equal(model.localize(AUDIO, other), model.localize(AUDIO, name))
    with pytest.raises(ValueError, match=r"similar ones are \['Violin, fiddle'\].*attach_text_enc"):
        model.localize(AUDIO, "violine")


@pytest.mark.backend_agnostic
def test_another_width_is_refused(table, make_encoder, make_small_model):
    model = make_model(make_encoder(table))
    wrong = WordTable.from_vectors(["dog"], np.ones((1, 5)), "another")
    with pytest.raises(ValueError, match=r"must be 'tiny-bert', whose embeddings of 8 numbers"):
        attach_text_encoder(model, wrong)
    with pytest.raises(ValueError, match="`model` must be .* and have a `PictureTextEncoder`"):
        attach_text_encoder(make_small_model(prompt_dim=4), table)
    with pytest.raises(TypeError, match="`text_encoder` must be a `SentenceEncoder`"):
        PictureTextEncoder(model.backbone.image_encoder.image_encoder, keras.layers.Dense(2))
