"""A tiny BERT in the format of Hugging Face, and encoders of words made of it."""

import json

import numpy as np
import pytest

from keras_avssan.encoders import ConvImageEncoder, PictureTextEncoder, SentenceEncoder

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "##s", "bark", "##ing"]
VOCABULARY += ["violin", "cafe", "church", "bell", ",", "rain"]


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """The folder of a BERT with random weights, as `transformers` writes it."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert") / "tiny-bert"
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        initializer_range=0.3,
    )
    transformers.BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    settings = {"do_lower_case": True, "tokenizer_class": "BertTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture
def sentence_encoder(bert_folder):
    return SentenceEncoder.from_preset(bert_folder)


@pytest.fixture
def make_encoder():
    """`make_encoder(text_encoder)`: pictures of 16 x 16 pixels and words, of 6 numbers each."""

    def make(text_encoder):
        pictures = ConvImageEncoder(6, (4,), (16, 16))
        pictures.trainable = False
        encoder = PictureTextEncoder(pictures, text_encoder)
        encoder.build((None, 16, 16, 3))
        return encoder

    return make


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype("float32")
