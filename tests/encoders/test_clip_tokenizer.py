"""CLIP's tokenizer against that of `transformers`, and its own checks."""

import json
import pickle
import warnings

import keras
import numpy as np
import pytest

from keras_avssan.encoders import CLIPTextTokenizer

pytestmark = pytest.mark.backend_agnostic

MERGES = [
    "t h", "th e</w>", "i n", "in g</w>", "d o", "do g</w>", "d e", "c a", "ca f", "caf Ã",
    "Ã ©</w>", "caf Ã©</w>", "1 2</w>", "' s</w>", "! !", "!! !</w>", "l l</w>", "r e</w>",
    "o n", "a n", "ð Ł", "ðŁ ĺ", "o n</w>", "_ _</w>",
]  # fmt: skip
TEXTS = [
    "a dog",
    "The Dog is DOING the thing",
    "  two  spaces,\ttabs\nand lines \r\n ",
    "it's we'll you're I'm he'd they've isn't",
    "café, CAFÉ and cafe\u0301",
    "Straße İstanbul ΣΊΣΥΦΟΣ naïve Ångström",
    "12 dogs in 2024 at 3.14",
    "wow!!! really?! (no) [yes] __snake_case__",
    "smile 😀 and family 👨‍👩‍👧 and flag 🇮🇹",
    "日本語のテキスト и русский",
    "non\u00a0breaking\u2003space \u200bzero",
    "don’t “quote” — dash…",
    "&amp; <b>html</b> http://example.com/a?b=c",
    "<|endoftext|> in the middle <|startoftext|>",
    "",
    " ",
    "\x00control\x7f",
]


@pytest.fixture(scope="module")
def tokenizer():
    return CLIPTextTokenizer(MERGES)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    """Vocabulary and merge rules under the names of both hubs."""
    folder = tmp_path_factory.mktemp("clip_tokenizer")
    tokenizer.save_assets(folder)
    (folder / "vocab.json").write_bytes((folder / "vocabulary.json").read_bytes())
    return folder


@pytest.fixture(scope="module")
def reference(folder):
    """The tokenizer of `transformers` with the same files."""
    transformers = pytest.importorskip("transformers")
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    merges = [tuple(rule.split(" ")) for rule in MERGES]
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges)


@pytest.mark.parametrize("text", TEXTS)
def test_the_same_ids_as_transformers(text, tokenizer, reference):
    expected = reference(text)["input_ids"]
    ids = tokenizer(text)[0]
    np.testing.assert_array_equal(ids[: len(expected)], expected)
    assert not ids[len(expected) :].any()


def test_merges_apply_in_order_within_words(tokenizer):
    ids = {token: i for i, token in tokenizer.vocabulary.items()}
    tokens = [ids[i] for i in tokenizer("The doing, dogs")[0] if i]
    assert tokens == [
        "<|startoftext|>", "the</w>", "do", "ing</w>", ",</w>", "do", "g", "s</w>", "<|endoftext|>",
    ]  # fmt: skip


def test_vocabulary_is_numbered_as_clips():
    """Ids of CLIP's first tokens, which any merge rules leave as they are."""
    vocabulary = CLIPTextTokenizer(["i n", "t h"]).vocabulary
    published = {"!": 0, "a": 64, "~": 93, "¡": 94, "Ā": 188, "!</w>": 256, "a</w>": 320}
    assert {token: vocabulary[token] for token in published} == published
    assert (vocabulary["in"], vocabulary["th"]) == (512, 513)
    assert (vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]) == (514, 515)
    assert len(vocabulary) == 516


def test_shape_start_end_and_padding(tokenizer):
    ids = tokenizer(["a dog", "the"])
    assert ids.shape == (2, 77)
    assert ids.dtype == np.int32
    assert (ids[:, 0] == tokenizer.start_id).all()
    np.testing.assert_array_equal(ids.argmax(axis=1), [3, 2])
    assert (ids.max(axis=1) == tokenizer.end_id).all()
    assert not ids[0, 4:].any() and not ids[1, 3:].any()
    np.testing.assert_array_equal(tokenizer("a dog"), ids[:1])


def test_a_long_text_is_cut_with_a_warning(tokenizer):
    with pytest.warns(UserWarning, match="text of 80 tokens was cut to the 75.*'the the the"):
        ids = tokenizer(["a dog", "the " * 80])
    assert ids.shape == (2, 77)
    assert (ids[1, 1:76] == tokenizer.vocabulary["the</w>"]).all()
    assert ids[1, 76] == tokenizer.end_id


def test_a_text_that_just_fits_is_not_cut(tokenizer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ids = tokenizer("the " * 75)
    assert ids[0, 76] == tokenizer.end_id


def test_files_round_trip(tokenizer, folder):
    restored = CLIPTextTokenizer.from_files(folder / "vocabulary.json", folder / "merges.txt", 12)
    assert restored.vocabulary == tokenizer.vocabulary
    assert restored.merges == tokenizer.merges
    np.testing.assert_array_equal(restored("the dog"), tokenizer("the dog")[:, :12])


def test_a_file_of_merges_may_state_its_version(tokenizer, folder, tmp_path):
    path = tmp_path / "merges.txt"
    path.write_text("#version: 0.2\r\n" + "\r\n".join(MERGES) + "\r\n", encoding="utf-8")
    restored = CLIPTextTokenizer.from_files(folder / "vocabulary.json", path)
    assert restored.merges == MERGES


@pytest.mark.parametrize("shuffled", [False, True])
def test_config_round_trip(shuffled, tokenizer):
    vocabulary = None
    if shuffled:
        tokens = list(tokenizer.vocabulary)
        order = [*np.random.default_rng(0).permutation(len(tokens) - 1), len(tokens) - 1]
        vocabulary = [tokens[i] for i in order]
    original = CLIPTextTokenizer(MERGES, vocabulary, 70)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(original)))
    assert (config["config"]["vocabulary"] is None) != shuffled
    restored = keras.saving.deserialize_keras_object(config)
    assert restored.get_config() == original.get_config()
    np.testing.assert_array_equal(restored(TEXTS[4:6]), original(TEXTS[4:6]))
    assert (original("a dog") != tokenizer("a dog")[:, :70]).any() == shuffled


def test_can_be_pickled(tokenizer):
    restored = pickle.loads(pickle.dumps(tokenizer))
    np.testing.assert_array_equal(restored("the dog"), tokenizer("the dog"))


@pytest.mark.parametrize("texts", [7, [b"dog"], ["dog", None]])
def test_other_types_than_texts_are_refused(texts, tokenizer):
    with pytest.raises(TypeError):
        tokenizer(texts)


def test_no_texts_are_refused(tokenizer):
    with pytest.raises(ValueError, match="`texts` must hold at least one"):
        tokenizer([])


@pytest.mark.parametrize("rule", ["dog", "d o g", "d "])
def test_wrong_merges_are_named(rule):
    with pytest.raises(ValueError, match="`merges`"):
        CLIPTextTokenizer(["t h", rule])


@pytest.mark.parametrize("gone", ["th", "a", "b</w>", "<|endoftext|>"])
def test_missing_tokens_are_named(gone, tokenizer):
    tokens = [token for token in tokenizer.vocabulary if token != gone]
    with pytest.raises(ValueError, match="`vocabulary`.*without") as error:
        CLIPTextTokenizer(MERGES, tokens)
    assert repr(gone) in str(error.value)


def test_the_end_token_must_be_the_last(tokenizer):
    with pytest.raises(ValueError, match="as its last token"):
        CLIPTextTokenizer(MERGES, [*tokenizer.vocabulary, "more"])


def test_ids_with_gaps_are_refused(tokenizer):
    ids = {token: 2 * i for token, i in tokenizer.vocabulary.items()}
    with pytest.raises(ValueError, match="without gaps"):
        CLIPTextTokenizer(MERGES, ids)


def test_too_short_sequences_are_refused():
    with pytest.raises(ValueError, match="`sequence_length`"):
        CLIPTextTokenizer(MERGES, sequence_length=2)


def test_missing_and_broken_files_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match="`vocabulary`.*nowhere.json"):
        CLIPTextTokenizer.from_files(tmp_path / "nowhere.json", folder / "merges.txt")
    with pytest.raises(ValueError, match="`merges`.*nowhere.txt"):
        CLIPTextTokenizer.from_files(folder / "vocabulary.json", tmp_path / "nowhere.txt")
    with pytest.raises(ValueError, match="must be a JSON file"):
        CLIPTextTokenizer.from_files(folder / "merges.txt", folder / "merges.txt")
