"""BERT as a sentence encoder, compared with `transformers`."""

import shutil

import keras
import numpy as np
import pytest

from keras_avssan.encoders import SentenceEncoder, WordPieceTokenizer

TEXTS = ["a dog", "Barking DOGS, rain", "Café", "church bell", "xylophone"]


def test_embeddings_are_those_of_transformers(bert_folder, sentence_encoder):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.BertTokenizer.from_pretrained(bert_folder)
    model = transformers.BertModel.from_pretrained(bert_folder).eval()
    expected = []
    for text in TEXTS:  # one at a time, so that nothing is padded
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = states.numpy().mean(axis=0)
        expected.append(mean / np.linalg.norm(mean))
    embeddings = sentence_encoder.embed_text(TEXTS, batch_size=3)
    assert (embeddings.dtype, embeddings.shape) == (np.float32, (len(TEXTS), 8))
    # KerasHub approximates the activation of BERT by a tanh.
    np.testing.assert_allclose(embeddings, expected, atol=3e-3)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 0.05


@pytest.mark.backend_agnostic
def test_token_ids_are_those_of_transformers(bert_folder, sentence_encoder):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.BertTokenizer.from_pretrained(bert_folder)
    for text, row in zip(TEXTS, sentence_encoder.tokenize(TEXTS), strict=True):
        expected = tokenizer(text)["input_ids"]
        assert row.tolist() == expected + [0] * (len(row) - len(expected))


@pytest.mark.backend_agnostic
def test_a_preset_of_kerashub_has_the_same_tokenizer(bert_folder, sentence_encoder, tmp_path):
    sentence_encoder.backbone.save_to_preset(str(tmp_path))
    assets = tmp_path / "assets" / "tokenizer"
    assets.mkdir(parents=True)
    vocabulary = (bert_folder / "vocab.txt").read_text()
    (assets / "vocabulary.txt").write_text(vocabulary)
    (tmp_path / "tokenizer.json").write_text('{"config": {"lowercase": true}}')
    other = SentenceEncoder.from_preset(tmp_path, title="the same")
    np.testing.assert_array_equal(other.embed_text(TEXTS), sentence_encoder.embed_text(TEXTS))
    assert (other.title, sentence_encoder.title) == ("the same", "tiny-bert")


@pytest.mark.backend_agnostic
def test_long_texts_are_cut_with_a_warning(bert_folder):
    encoder = SentenceEncoder.from_preset(bert_folder, sequence_length=6)
    with pytest.warns(UserWarning, match="cut to the 6 that fit"):
        ids = encoder.tokenize("a dog a dog a dog")
    assert ids.tolist() == [[2, 5, 6, 5, 6, 3]]


@pytest.mark.backend_agnostic
def test_the_tokenizer_is_restored_from_its_configuration(sentence_encoder):
    tokenizer = sentence_encoder.tokenizer
    other = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(tokenizer))
    np.testing.assert_array_equal(other(TEXTS), tokenizer(TEXTS))


@pytest.mark.backend_agnostic
def test_what_does_not_fit_is_refused(sentence_encoder, bert_folder, tmp_path):
    with pytest.raises(ValueError, match=r"lacks \['\[SEP\]', '\[PAD\]'\]"):
        WordPieceTokenizer(["[UNK]", "[CLS]"])
    with pytest.raises(ValueError, match="tokenizer with 16 tokens and sequences of 64"):
        SentenceEncoder(
            sentence_encoder.backbone,
            WordPieceTokenizer(sentence_encoder.tokenizer.vocabulary, sequence_length=64),
        )
    with pytest.raises(TypeError, match="`backbone` must be a `BertBackbone`"):
        SentenceEncoder(keras.layers.Dense(2), sentence_encoder.tokenizer)
    with pytest.raises(ValueError, match="`preset` must be the folder of a saved model"):
        SentenceEncoder.from_preset(tmp_path / "nothing")
    with pytest.raises(TypeError, match="^`SentenceEncoder` takes no argument `foo`. .*: foo=1$"):
        SentenceEncoder.from_preset(bert_folder, foo=1)


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.safetensors", _truncate),
        ("model.safetensors", lambda path: path.unlink()),
        ("config.json", _truncate),
        ("vocab.txt", lambda path: path.unlink()),
        ("vocab.txt", lambda path: path.write_text("a\nb\n")),
        ("tokenizer_config.json", lambda path: path.write_text("{")),
    ],
)
def test_a_damaged_file_of_a_sentence_encoder(name, damage, bert_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(bert_folder, copy)
    damage(copy / name)
    with pytest.raises(ValueError, match=r"^`preset` cannot be loaded") as caught:
        SentenceEncoder.from_preset(copy)
    assert str(caught.value).endswith(f"Received: preset={str(copy)!r}")


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("length", ["a", None, 2, 8.5, True, np.nan])
def test_sentences_have_a_length(length, bert_folder):
    for owner in (SentenceEncoder, WordPieceTokenizer):
        with pytest.raises(ValueError, match="`sequence_length` must be an integer of at least 3"):
            owner.from_preset(bert_folder, sequence_length=length)
