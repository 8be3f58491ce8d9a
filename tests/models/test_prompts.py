"""Prompts by picture, words and recording, alone and together."""

import keras
import numpy as np
import pytest
import soundfile
from keras import ops
from PIL import Image

from keras_avssan import AVSSANPreprocessor, Prompt
from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.models import prompted_backbone
from keras_avssan.models.prompts import split_prompts

SIZE = (16, 16)


@keras.saving.register_keras_serializable(package="tests")
class TwoSidedEncoder(ConvImageEncoder):
    """A picture encoder that also embeds words: by the letters they are made of."""

    def tokenize(self, texts):
        counts = [[text.count(letter) for letter in "abcdefgh"] for text in texts]
        return np.array(counts, "int32")

    def encode_text(self, token_ids):
        return ops.cast(token_ids, "float32")


@pytest.fixture(scope="module")
def model(make_tiny):
    keras.utils.set_random_seed(2)
    return make_tiny(image_encoder=TwoSidedEncoder(8, (4, 8), SIZE))


@pytest.fixture
def recording(make_inputs):
    return make_inputs(1)["audio"][0]


@pytest.fixture
def bark():
    return (0.1 * np.random.default_rng(7).normal(size=4000)).astype("float32")


@pytest.fixture
def picture():
    return np.random.default_rng(5).integers(0, 255, size=(*SIZE, 3)).astype("uint8")


def mask(model, recording, prompt, **arguments):
    return model.explain(recording, prompt, **arguments)["mask"]


def difference(first, second):
    return np.abs(first - second).max()


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("prompt", "kinds"),
    [
        ("dog.jpg", ["picture"]),
        ("bark.WAV", ["recording"]),
        ("a barking dog", ["text"]),
        (["a dog", "dog.png", "dog.flac"], ["text", "picture", "recording"]),
        (np.zeros((*SIZE, 3)), ["picture"]),
        (np.zeros((2, *SIZE, 3)), ["picture", "picture"]),
        (np.zeros(8), ["embedding"]),
        (np.zeros((3, 8)), ["embedding"] * 3),
        (np.zeros(4000), ["recording"]),
        (np.zeros((4000, 2)), ["recording"]),
        (np.zeros((2, 4000)), ["recording"] * 2),
        (np.zeros((2, 4000, 2)), ["recording"] * 2),
        ([Prompt(texts=["a dog"]), "a dog"], ["several", "text"]),
    ],
)
def test_what_a_prompt_is(prompt, kinds):
    assert split_prompts(prompt, prompt_dim=8)[1] == kinds


@pytest.mark.backend_agnostic
def test_a_long_embedding_is_no_recording():
    assert split_prompts(np.zeros(2048), prompt_dim=2048)[1] == ["embedding"]


def test_words_are_those_of_their_embedding(model, recording):
    vector = model.embed_texts(["a barking dog"])[0]
    np.testing.assert_array_equal(vector, [2, 1, 0, 1, 0, 0, 2, 0])
    from_words = mask(model, recording, "a barking dog")
    np.testing.assert_allclose(from_words, mask(model, recording, vector), atol=1e-6)
    assert difference(from_words, mask(model, recording, "each bee")) > 1e-6


@pytest.mark.one_backend
def test_several_texts_serve_one_recording(model, recording):
    together = model.localize(recording, ["a dog", "each bee"])
    each = [model.localize(recording, text)[0] for text in ("a dog", "each bee")]
    np.testing.assert_array_equal(together, each)


def test_a_recording_asks(model, recording, bark):
    asked = mask(model, recording, bark)
    assert difference(asked, mask(model, recording, bark[::-1].copy())) > 1e-7
    np.testing.assert_allclose(asked, mask(model, recording, 0.1 * bark), atol=1e-5)
    stereo = np.stack([bark, bark], axis=1)
    np.testing.assert_allclose(asked, mask(model, recording, stereo), atol=1e-6)


@pytest.mark.one_backend
def test_a_recording_is_projected_as_the_audio_is(model, recording, bark):
    """A prompt of the target's own sound is the embedding that the alignment loss draws to it."""
    outputs = model.predict_on_batch({"audio": recording[None], "prompt_audio": bark[None]})
    bark = bark / np.sqrt(np.mean(bark**2))
    target = ops.convert_to_tensor(np.stack([bark, bark], axis=-1)[None])
    expected = ops.convert_to_numpy(model.backbone.embed_target(target))
    np.testing.assert_allclose(np.asarray(outputs["prompt_semantics"]), expected, atol=1e-4)


@pytest.mark.one_backend
def test_recordings_as_files(model, recording, bark, tmp_path):
    bark = np.round(32768 * bark) / 32768
    soundfile.write(tmp_path / "bark.wav", bark, 16000)
    np.testing.assert_allclose(
        mask(model, recording, str(tmp_path / "bark.wav")), mask(model, recording, bark), atol=1e-6
    )


@pytest.mark.one_backend
def test_a_prompt_of_one_thing_is_that_thing(model, recording, picture, bark):
    for prompt, alone in [
        (Prompt(pictures=[picture]), picture),
        (Prompt(texts=["a dog"]), "a dog"),
        (Prompt(recordings=[bark]), bark),
        (Prompt(embeddings=[np.arange(8.0)]), np.arange(8.0)),
    ]:
        np.testing.assert_allclose(
            mask(model, recording, prompt), mask(model, recording, alone), atol=1e-5
        )


@pytest.mark.one_backend
def test_several_pictures_and_words_are_averaged(model, recording, picture, tmp_path):
    Image.fromarray(255 - picture).save(tmp_path / "dog.png")
    vectors = model.embed_prompts(np.stack([picture, 255 - picture]).astype("float32") / 255)
    words = model.embed_texts(["a dog"])
    mean = np.mean([*vectors, *words], axis=0)
    prompt = Prompt(pictures=[picture, tmp_path / "dog.png"], texts=["a dog"])
    np.testing.assert_allclose(
        mask(model, recording, prompt), mask(model, recording, mean), atol=1e-5
    )


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("images", "received"),
    [
        ("dog.jpg", "str"),
        (["dog.jpg"], "dtype <U7"),
        (np.zeros((2, 32, 32, 3), "uint8"), "dtype uint8"),
        (np.zeros((32, 32, 3), "float32"), r"shape \(32, 32, 3\)"),
        ([], r"shape \(0,\)"),
        ([np.zeros((8, 8, 3)), np.zeros((9, 8, 3))], "pictures of different shapes"),
    ],
)
def test_what_embed_prompts_refuses_leads_to_prompt_inputs(model, images, received):
    message = rf"`images` must be RGB pictures .* `prompt_inputs` reads .* Received: {received}"
    with pytest.raises(ValueError, match=message):
        model.embed_prompts(images)


def test_a_recording_weighs_as_one_of_the_parts(model, recording, picture, bark):
    prompt = Prompt(pictures=[picture], texts=["a dog"], recordings=[bark])
    inputs = model._preprocess(recording, prompt)
    np.testing.assert_allclose(inputs["prompt_audio_weight"], [1 / 3])
    semantics = {
        name: np.asarray(model.predict_on_batch(other)["prompt_semantics"])
        for name, other in [
            ("all", inputs),
            ("seen", {key: inputs[key] for key in ("audio", "prompt_embedding")}),
            ("heard", {key: inputs[key] for key in ("audio", "prompt_audio")}),
        ]
    }
    expected = (2 * semantics["seen"] + semantics["heard"]) / 3
    np.testing.assert_allclose(semantics["all"], expected, atol=1e-5)


@pytest.mark.one_backend
def test_kinds_may_be_mixed_in_a_list(model, recording, picture, bark):
    prompts = [picture, "a dog", bark, Prompt(texts=["a dog"], recordings=[bark])]
    together = model._predict(model._preprocess(recording, prompts))["mask"]
    each = [model._predict(model._preprocess(recording, prompt))["mask"][0] for prompt in prompts]
    np.testing.assert_allclose(together, each, atol=1e-4)


@pytest.mark.one_backend
def test_inputs_are_checked_once(model, recording, picture, bark, monkeypatch):
    checked, check = [], prompted_backbone.check_inputs

    def check_inputs(backbone, inputs):
        checked.append(sorted(inputs))
        check(backbone, inputs)

    monkeypatch.setattr(prompted_backbone, "check_inputs", check_inputs)
    inputs = model._preprocess(recording, [picture, picture])
    model.backbone(inputs)
    assert checked == [["audio", "images"]]
    model.backbone({"audio": inputs["audio"], "prompt_audio": bark[None]})
    assert checked[1:] == [["audio", "prompt_audio"]]


def test_a_symbolic_prompt_of_a_wrong_shape_is_refused(model):
    inputs = {"audio": keras.Input((None, 2)), "prompt_embedding": keras.Input((5,))}
    with pytest.raises(ValueError, match="`prompt_embedding` must have shape"):
        model.backbone(inputs)


@pytest.mark.one_backend
def test_without_a_weight_a_recording_counts_half(model, recording, bark):
    inputs = {
        "audio": recording[None],
        "prompt_audio": bark[None],
        "prompt_embedding": np.ones((1, 8), "float32"),
    }
    half = {**inputs, "prompt_audio_weight": np.array([0.5], "float32")}
    np.testing.assert_allclose(
        model.predict_on_batch(inputs)["mask"], model.predict_on_batch(half)["mask"], atol=1e-6
    )


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        (np.zeros(4000), ValueError, "`prompt` must not be silent"),
        (np.full(4000, np.nan), ValueError, "NaN or infinite"),
        ("nowhere.wav", ValueError, "'nowhere.wav' does not exist"),
        (np.ones(960001), ValueError, "`prompt` must last from 0.1 to 60 seconds"),
        ([], ValueError, "`prompt` must hold at least one"),
    ],
)
def test_unusable_recordings_are_named(prompt, error, message, model, recording):
    with pytest.raises(error, match=message):
        model.localize(recording, prompt)


@pytest.mark.backend_agnostic
def test_words_need_a_text_side(make_tiny, recording):
    model = make_tiny()
    with pytest.raises(ValueError, match="text side.*prompt='a dog'"):
        model.localize(recording, "a dog")
    with pytest.raises(ValueError, match="text side"):
        model.embed_texts(["a dog"])
    with pytest.raises(ValueError, match="`token_ids`"):
        model.backbone({"audio": recording[None], "token_ids": np.ones((1, 8), "int32")})


@pytest.mark.backend_agnostic
def test_recordings_need_the_audio_encoder(make_tiny, recording, bark):
    model = make_tiny(semantic_audio=False)
    with pytest.raises(ValueError, match="`semantic_audio=False`"):
        model.backbone({"audio": recording[None], "prompt_audio": bark[None]})
    with pytest.raises(ValueError, match=r"`prompt_audio`.*\(batch, samples\)"):
        make_tiny().backbone({"audio": recording[None], "prompt_audio": bark[None, :, None]})


@pytest.mark.backend_agnostic
def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="must hold something"):
        Prompt()
    with pytest.raises(TypeError, match="`texts` must be a list"):
        Prompt(texts="a dog")
    with pytest.raises(ValueError, match="`texts` must not be blank. Received: text=' '"):
        Prompt(texts=["a dog", " "])


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("words", ["", " \n", ["a dog", ""]])
def test_blank_words_are_refused(words, model, recording):
    with pytest.raises(ValueError, match="`prompt` must be a file or words, not blank"):
        model.localize(recording, words)


@pytest.mark.one_backend
def test_words_survive_saving(model, recording, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    restored = type(model).from_preset(str(tmp_path / "preset"))
    np.testing.assert_array_equal(
        restored.localize(recording, "a dog"), model.localize(recording, "a dog")
    )


@pytest.mark.one_backend
def test_a_preprocessor_that_two_models_share_is_not_changed(make_tiny, recording):
    shared = AVSSANPreprocessor(image_size=SIZE)
    before = dict(vars(shared))
    words = make_tiny(preprocessor=shared, image_encoder=TwoSidedEncoder(8, (4, 8), SIZE))
    wordless = make_tiny(preprocessor=shared)
    assert words.preprocessor is wordless.preprocessor is shared
    assert words.localize(recording, "a dog").shape == (1,)
    with pytest.raises(ValueError, match="text side"):
        wordless.localize(recording, "a dog")
    after = vars(shared)
    assert {key: after[key] for key in before} == before
    # TensorFlow adds private notes of its own.
    assert all(key.startswith("_") for key in after.keys() - before)


@pytest.mark.one_backend
def test_a_preprocessor_reads_words_with_the_model(model, recording):
    texts = ["a dog", "a bee"]
    inputs = {"audio": recording, "prompt": texts}
    token_ids = model.preprocessor({**inputs, "model": model})["token_ids"]
    np.testing.assert_array_equal(
        token_ids, model.backbone.image_encoder.tokenize(["a dog", "a bee"])
    )
    with pytest.raises(TypeError, match="need the `model`.*prompt='a dog' without `model`"):
        model.preprocessor(inputs)
