"""Each unusable recording or prompt gets one clear error that names it."""

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan import AVSSANPreprocessor
from keras_avssan.classical import SRPPHAT
from keras_avssan.models import Prompt

pytestmark = pytest.mark.one_backend

RNG = np.random.default_rng(0)
GOOD_AUDIO = 0.1 * RNG.normal(size=(8000, 2))
GOOD_PICTURE = RNG.uniform(size=(16, 16, 3))


def noise(*shape):
    return RNG.normal(size=shape)


def with_value(value):
    audio = GOOD_AUDIO.copy()
    audio[100, 1] = value
    return audio


@pytest.fixture(scope="module")
def preprocessor():
    return AVSSANPreprocessor(image_size=(16, 16), prompt_dim=8)


def prepare(preprocessor, audio=GOOD_AUDIO, prompt=GOOD_PICTURE, **inputs):
    return preprocessor({"audio": audio, "prompt": prompt, **inputs})


BAD_AUDIO = {
    "mono": (noise(8000, 1), ValueError, r"`audio` must have 2 channel\(s\)\. Received: 1"),
    "three channels": (
        noise(8000, 3),
        ValueError,
        r"`audio` must have 2 channel\(s\)\..* Received: 3",
    ),
    "rank 1": (noise(8000), ValueError, r"`audio`.*\(8000,\)"),
    "rank 4": (noise(1, 1, 8000, 2), ValueError, r"`audio`.*\(1, 1, 8000, 2\)"),
    "NaN": (with_value(np.nan), ValueError, "`audio` holds NaN or infinite"),
    "infinity": (with_value(np.inf), ValueError, "`audio` holds NaN or infinite"),
    "empty": (noise(0, 2), ValueError, "`audio` is empty"),
    "no recording": (noise(0, 8000, 2), ValueError, "`audio` must hold at least one"),
    "empty list": ([], ValueError, "`audio` must hold at least one"),
    "all zero": (np.zeros((8000, 2)), ValueError, "`audio` must not be silent"),
    "too short": (noise(7999, 2), ValueError, r"`audio` must last .*0.500 s"),
    "too long": (noise(960001, 2), ValueError, r"`audio` must last .*60.000 s"),
    "unequal": ([GOOD_AUDIO, noise(9000, 2)], ValueError, r"same duration.*\[8000, 9000\]"),
    "text array": (np.array(["a", "b"]), TypeError, "`audio`"),
    "nothing": (None, TypeError, "`audio`"),
    "missing file": ("nowhere.wav", ValueError, "'nowhere.wav' does not exist"),
}


@pytest.mark.parametrize("case", BAD_AUDIO)
def test_bad_audio(case, preprocessor):
    audio, error, message = BAD_AUDIO[case]
    with pytest.raises(error, match=message):
        prepare(preprocessor, audio=audio)


BAD_PROMPTS = {
    "grey picture": (noise(16, 16, 1), ValueError, r"picture \(height, width, 3\).*\(16, 16, 1\)"),
    "rank 5": (noise(1, 1, 16, 16, 3), ValueError, r"`prompt`.*embedding \(8,\)"),
    "scalar": (np.float32(1.0), ValueError, r"`prompt`.*recording \(samples,\)"),
    "range 0 to 255": (255.0 * GOOD_PICTURE, ValueError, r"`image` must be in \[0, 1\]"),
    "negative": (GOOD_PICTURE - 0.5, ValueError, r"`image` must be in \[0, 1\]"),
    "NaN": (np.full((16, 16, 3), np.nan), ValueError, r"`image` must be in \[0, 1\]"),
    "integers": (np.ones((16, 16, 3), "int32"), ValueError, "`image`"),
    "empty list": ([], ValueError, "`prompt` must hold at least one"),
    "no picture": (np.zeros((0, 16, 16, 3)), ValueError, "`prompt` must hold at least one"),
    "nothing": (None, TypeError, "`prompt`"),
    "text array": (np.array(["dog"]), TypeError, "`prompt`"),
    "embedding of 9": (noise(9), ValueError, r"[Ee]mbeddings must have shape \(8,\).*\(9,\)"),
    "embeddings of 8 and 9": ([noise(8), noise(9)], ValueError, r"shape \(8,\)"),
    "embedding of NaN": (np.full(8, np.nan), ValueError, "`prompt` embeddings must be finite"),
    "picture and embedding": ([GOOD_PICTURE, noise(8)], TypeError, "`prompt`.*not several kinds"),
    "missing file": ("nowhere.png", ValueError, "'nowhere.png' does not exist"),
}


@pytest.mark.parametrize("case", BAD_PROMPTS)
def test_bad_prompt(case, preprocessor):
    prompt, error, message = BAD_PROMPTS[case]
    with pytest.raises(error, match=message):
        prepare(preprocessor, prompt=prompt)


def test_three_recordings_and_two_prompts_do_not_match(preprocessor):
    with pytest.raises(ValueError, match="3 recordings and 2 prompts"):
        prepare(preprocessor, np.stack([GOOD_AUDIO] * 3), np.stack([GOOD_PICTURE] * 2))


@pytest.mark.parametrize("x", [{"audio": GOOD_AUDIO}, {"prompt": GOOD_PICTURE}, GOOD_AUDIO])
def test_audio_and_prompt_are_both_needed(x, preprocessor):
    with pytest.raises(TypeError, match="`audio` and `prompt`"):
        preprocessor(x)


def test_another_sampling_rate_is_refused_without_resampling(tmp_path):
    strict = AVSSANPreprocessor(image_size=(16, 16), resample=False)
    with pytest.raises(
        ValueError, match="`audio` must be sampled at 16000 Hz .* Received: 44100 Hz"
    ):
        prepare(strict, audio=noise(44100, 2), sampling_rate=44100)
    soundfile.write(tmp_path / "mix.wav", 0.1 * noise(44100, 2), 44100)
    with pytest.raises(ValueError, match="sampled at 16000 Hz.*Received: 44100"):
        prepare(strict, audio=tmp_path / "mix.wav")


def test_a_sampling_rate_of_zero_is_refused(preprocessor):
    with pytest.raises(ValueError, match="rate"):
        prepare(preprocessor, sampling_rate=0)


def damaged(path, keep):
    content = path.read_bytes()
    path.write_bytes(content[: round(keep * len(content))])
    return path


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.6])
def test_a_truncated_recording_is_refused(keep, preprocessor, tmp_path):
    soundfile.write(tmp_path / "mix.wav", 0.1 * noise(16000, 2), 16000)
    path = damaged(tmp_path / "mix.wav", keep)
    with pytest.raises(ValueError, match="audio file '.*mix.wav'"):
        prepare(preprocessor, audio=path)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.6])
def test_a_truncated_picture_is_refused(keep, preprocessor, tmp_path):
    pixels = RNG.integers(0, 255, size=(64, 64, 3)).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "dog.jpg")
    path = damaged(tmp_path / "dog.jpg", keep)
    with pytest.raises(ValueError, match="image file '.*dog.jpg'"):
        prepare(preprocessor, prompt=path)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("audio", "audio file '.*notes.txt' cannot be read"),
        ("prompt", "must be a picture or a recording.*Received: prompt='.*notes.txt'"),
    ],
)
def test_a_text_file_is_neither(key, message, preprocessor, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("a dog, somewhere on the left")
    with pytest.raises(ValueError, match=message):
        prepare(preprocessor, **{key: path})


def test_a_model_of_embeddings_refuses_pictures():
    preprocessor = AVSSANPreprocessor(image_size=None, prompt_dim=8)
    with pytest.raises(ValueError, match="must be an embedding"):
        prepare(preprocessor)
    assert prepare(preprocessor, prompt=noise(8))["prompt_embedding"].shape == (1, 8)


def test_good_input_has_the_models_form(preprocessor):
    x, y, weight = preprocessor(
        {"audio": GOOD_AUDIO, "prompt": GOOD_PICTURE}, y={"azimuth": [1.0]}, sample_weight=[2.0]
    )
    assert {key: (value.shape, str(value.dtype)) for key, value in x.items()} == {
        "audio": ((1, 8000, 2), "float32"),
        "images": ((1, 16, 16, 3), "float32"),
    }
    np.testing.assert_allclose(x["audio"][0], GOOD_AUDIO, atol=1e-7)
    assert (y, weight) == ({"azimuth": [1.0]}, [2.0])


def test_errors_reach_the_user_of_localize(model):
    with pytest.raises(ValueError, match="`audio` must not be silent"):
        model.localize(np.zeros((8000, 2)), GOOD_PICTURE)
    with pytest.raises(ValueError, match=r"`audio`.*\(8000,\)"):
        model.explain(noise(8000), GOOD_PICTURE)


def test_an_answer_that_is_not_finite_is_refused(make_tiny, monkeypatch):
    broken = make_tiny()
    answers = {"doa": np.full((1, 180), np.nan, "float32")}
    monkeypatch.setattr(broken, "predict_on_batch", lambda inputs: answers)
    with pytest.raises(ValueError, match=r"`posterior` must be finite.*`audio\[0\]`"):
        broken.localize(GOOD_AUDIO, GOOD_PICTURE)


PICTURES, VECTORS = GOOD_PICTURE[None], noise(1, 8)
BAD_DICTS = {
    "empty": ({}, ValueError, "one of.*keys \\[\\]"),
    "unknown": ({"picture": PICTURES}, ValueError, "one of.*'picture'"),
    "two that ask": ({"images": PICTURES, "prompt_embedding": VECTORS}, ValueError, "one of"),
    "a weight alone": ({"prompt_audio_weight": np.ones(1)}, ValueError, "one of"),
    "NaN": ({"images": np.full((1, 16, 16, 3), np.nan)}, ValueError, "must be in .0, 1."),
    "0 to 255": ({"images": 255 * PICTURES}, ValueError, r"'images'.*in \[0, 1\]"),
    "size": ({"images": np.zeros((1, 8, 16, 3))}, ValueError, r"\(batch, 16, 16, 3\).*8, 16"),
    "rank": ({"images": GOOD_PICTURE}, ValueError, r"\(batch, 16, 16, 3\)"),
    "embedding of 9": ({"prompt_embedding": noise(1, 9)}, ValueError, r"\(batch, 8\).*\(1, 9\)"),
    "embedding NaN": ({"prompt_embedding": np.full((1, 8), np.nan)}, ValueError, "finite"),
    "no embedding": ({"prompt_embedding": np.zeros((0, 8))}, ValueError, "not empty"),
    "ragged": ({"prompt_embedding": [[1.0], [1.0, 2.0]]}, TypeError, "'prompt_embedding'"),
    "words": ({"images": "dog.jpg"}, TypeError, "'images'.*array.*Received: .*'dog.jpg'"),
    "fractions": ({"token_ids": np.full((1, 4), 0.5)}, ValueError, "whole numbers"),
    "another batch": (
        {"prompt_embedding": VECTORS, "prompt_audio": noise(2, 8000)},
        ValueError,
        "one batch",
    ),
    "share of 2": (
        {"prompt_audio": noise(1, 8000), "prompt_audio_weight": np.full(1, 2.0)},
        ValueError,
        "weight'.*in .0, 1.",
    ),
}


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("case", BAD_DICTS)
def test_bad_dict_of_prompts(case, preprocessor):
    prompt, error, message = BAD_DICTS[case]
    with pytest.raises(error, match=message):
        prepare(preprocessor, prompt=prompt)


def test_a_good_dict_of_prompts_is_taken(preprocessor):
    x = prepare(preprocessor, prompt={"images": PICTURES.tolist()})
    np.testing.assert_allclose(x["images"], PICTURES, rtol=1e-6)


@pytest.mark.parametrize(
    ("vector", "error", "message"),
    [
        (np.full(8, np.nan), ValueError, "must be finite"),
        (np.ones(9), ValueError, r"shape \(8,\)"),
        (np.ones((2, 8)), ValueError, r"shape \(8,\)"),
        ("dog", TypeError, "`embeddings` must be an array"),
    ],
)
def test_embeddings_in_a_prompt_are_checked_too(model, vector, error, message):
    with pytest.raises(error, match=message):
        model.localize(GOOD_AUDIO, Prompt(pictures=[GOOD_PICTURE], embeddings=[vector]))


@pytest.mark.parametrize("rate", [1, 10])
def test_durations_are_checked_before_recordings_are_resampled(rate, model):
    with pytest.raises(ValueError, match="`audio` must last.*00.000 s"):
        model.localize(noise(16000, 2), GOOD_PICTURE, sampling_rate=rate)
    with pytest.raises(ValueError, match="must last"):
        model.preprocessor.read_references([noise(16000)], rate)
    with pytest.raises(ValueError, match="must last"):
        SRPPHAT().localize(noise(36001, 2), sampling_rate=rate)


def test_files_are_too_long_by_their_header(preprocessor, tmp_path):
    soundfile.write(tmp_path / "mix.wav", np.zeros((62, 2), "int16"), 1)
    with pytest.raises(ValueError, match="mix.wav' must last .*62.000 s"):
        prepare(preprocessor, audio=tmp_path / "mix.wav")


@pytest.mark.parametrize("level", [1e-12, 1e-30, 1e18, 1e36])
def test_loudness_has_no_influence(level, preprocessor, model):
    """Levels whose power float32 does not hold; the factor is brought to a power of two."""
    level = 2.0 ** np.round(np.log2(level))
    loud = prepare(preprocessor, audio=level * GOOD_AUDIO)["audio"]
    assert 0.5 <= np.abs(loud).max() < 1
    heard, said = (
        model.localize(k * GOOD_AUDIO, GOOD_PICTURE, return_confidence=True) for k in (1.0, level)
    )
    assert heard[0] == said[0]
    np.testing.assert_allclose(heard[1], said[1], rtol=1e-4)


@pytest.mark.parametrize("level", [1e-60, 1e60])
def test_what_float32_cannot_hold_is_refused(level, preprocessor):
    with pytest.raises(ValueError, match="`audio` must hold samples that float32 can hold"):
        prepare(preprocessor, audio=level * GOOD_AUDIO)


@pytest.mark.parametrize("name", ["azimuth", "interferer_azimuth"])
@pytest.mark.parametrize("angle", [-90.0, 184.0, np.inf])
def test_azimuths_of_another_convention_are_refused(name, angle, model, make_batch):
    inputs, labels = make_batch()
    labels[name] = np.array([20.0, angle], "float32")
    message = f"`{name}` must be from 0 to 180 degrees.*microphone 1.*{name}={angle} at index 1"
    for work in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match=message):
            work(inputs, labels)
    with pytest.raises(ValueError, match=message):
        model.fit(inputs, {"azimuth": np.ones(2)}, validation_data=(inputs, labels))


def test_azimuths_alone_are_checked_too(model, make_batch):
    with pytest.raises(ValueError, match="`azimuth` must be from 0 to 180.*nan at index 0"):
        model.train_on_batch(make_batch()[0], np.array([[np.nan], [3.0]]))


@pytest.mark.parametrize("spacing", ["0.2", True, 5.1, 20, None])
def test_a_spacing_is_a_number_of_metres(spacing, model):
    for localizer in (model, SRPPHAT()):
        if spacing is None:
            assert localizer.localize(GOOD_AUDIO, GOOD_PICTURE, microphone_spacing=None).shape == (
                1,
            )
            continue
        with pytest.raises(ValueError, match="positive distance in metres, of at most 5"):
            localizer.localize(GOOD_AUDIO, GOOD_PICTURE, microphone_spacing=spacing)
