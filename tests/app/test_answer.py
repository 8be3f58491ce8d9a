"""What the page computes."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from keras_avssan.app import answer
from keras_avssan.app.over_time import follow
from keras_avssan.app.page_parts import show_answer
from keras_avssan.encoders import ConvImageEncoder
from keras_avssan.models import LocalizerPreprocessor

pytestmark = pytest.mark.one_backend


def test_it_is_what_the_model_explains(tiny_model, files):
    found = answer(tiny_model, str(files / "mix.wav"), picture=str(files / "dog.png"))
    explanation = tiny_model.explain(str(files / "mix.wav"), str(files / "dog.png"))
    assert found.azimuth == explanation["azimuth"]
    assert found.confidence == pytest.approx(explanation["confidence"], rel=1e-5)
    assert found.masked_audio.shape == (16000, 2) and found.masked_audio.dtype == "int16"
    assert np.abs(found.masked_audio).max() == pytest.approx(0.9 * 32767, abs=2)
    assert found.sampling_rate == 16000
    assert found.warnings == ()


def test_a_mono_recording_in_two_channels_is_reported(tiny_model, files):
    found = answer(tiny_model, str(files / "twice.wav"), picture=str(files / "dog.png"))
    [warning] = found.warnings
    assert warning.startswith("audio file 'twice.wav': both channels hold the same signal")
    assert found.confidence == 0
    with pytest.raises(ValueError, match="'dead.wav' must hold sound in both.*channel 1 is const"):
        answer(tiny_model, str(files / "dead.wav"), picture=str(files / "dog.png"))


def test_a_recording_asks_as_well(tiny_model, files):
    found = answer(tiny_model, str(files / "mix.wav"), reference=str(files / "bark.wav"))
    assert 1 <= found.azimuth <= 180


@pytest.mark.parametrize("form", [Path.read_bytes, lambda path: open(path, "rb")])
def test_bytes_and_opened_files_do_too(form, tiny_model, files):
    expected = answer(tiny_model, str(files / "mix.wav"), picture=str(files / "dog.png"))
    found = answer(tiny_model, form(files / "mix.wav"), picture=form(files / "dog.png"))
    assert (found.azimuth, found.confidence) == (expected.azimuth, expected.confidence)
    assert answer(tiny_model, form(files / "mix.wav"), reference=form(files / "bark.wav")).azimuth
    for recording, prompts, message in [
        ("long.wav", {"picture": "dog.png"}, "`recording`.* must last at most 30 s. Received: 31"),
        ("mix.wav", {"picture": "vast.png"}, "`picture`.* must have at most 40 million pixels"),
        ("mix.wav", {"reference": "broken.wav"}, "`reference`.* cannot be read as audio"),
    ]:
        prompts = {name: form(files / file) for name, file in prompts.items()}
        with pytest.raises(ValueError, match=message) as error:
            answer(tiny_model, form(files / recording), **prompts)
        assert str(files) not in str(error.value)


@pytest.mark.parametrize(
    ("recording", "prompts", "message"),
    [
        (None, {"picture": "dog.png"}, "`recording` must be a file"),
        (
            "mix.wav",
            {},
            "exactly one prompt: a picture or a recording. Received: none of them",
        ),
        ("mix.wav", {"picture": "dog.png", "text": "dog"}, "Received: picture and words"),
        ("mix.wav", {"text": "  "}, "none of them"),
        ("bark.wav", {"picture": "dog.png"}, r"must have 2 channel"),
        ("long.wav", {"picture": "dog.png"}, "'long.wav' must last at most 30 s. Received: 31"),
        ("mix.wav", {"reference": "long.wav"}, "'long.wav' must last at most 30 s"),
        ("broken.wav", {"picture": "dog.png"}, "'broken.wav' cannot be read as audio"),
        ("dog.png", {"picture": "dog.png"}, "'dog.png' cannot be read as audio"),
        ("mix.wav", {"picture": "broken.png"}, "'broken.png'"),
        ("mix.wav", {"picture": "vast.png"}, "'vast.png' must have at most 40 million pixels"),
        ("mix.wav", {"picture": "renamed.png"}, "'renamed.png' must be a picture.*JPEG, PNG, WEBP"),
        ("fast.wav", {"picture": "dog.png"}, "at most 2 channels and 192000 Hz.*400000 Hz"),
        ("four.wav", {"picture": "dog.png"}, "at most 2 channels.*Received: 4 channels"),
        ("nowhere.wav", {"picture": "dog.png"}, "'nowhere.wav' does not exist"),
    ],
)
def test_bad_files_are_reported_without_their_folder(
    tiny_model, files, recording, prompts, message
):
    paths = {
        name: value if name == "text" else str(files / value) for name, value in prompts.items()
    }
    recording = recording and str(files / recording)
    with pytest.raises(ValueError, match=message) as error:
        answer(tiny_model, recording, **paths)
    assert str(files) not in str(error.value)


@pytest.mark.parametrize("name", ["dog.png", "bark.wav"])
def test_words_never_open_a_file(tiny_model, files, name):
    with pytest.raises(ValueError, match="`texts` need a model"):
        answer(tiny_model, str(files / "mix.wav"), text=str(files / name))


def test_presence_is_in_the_answer_where_the_model_gives_it(make_candidates, files):
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4, 8), (32, 32)))
    paths = str(files / "mix.wav"), str(files / "dog.png")
    found = answer(model, paths[0], picture=paths[1])
    expected = model.localize(*paths, return_presence=True)[1]
    assert found.explanation["presence"] == pytest.approx(expected[0], abs=1e-5)
    share = f"{100 * expected[0]:.0f} %"
    assert f"the sound is in the recording is {share}</dd>" in show_answer(found, paths[1])


def test_recordings_of_more_than_two_seconds_are_followed(make_candidates, files):
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4, 8), (32, 32)))
    paths = str(files / "pause.wav"), str(files / "dog.png")
    track = answer(model, paths[0], picture=paths[1]).track
    expected = model.track(*paths, smoothing="offline")
    assert len(track) == 9 and (track.window, track.hop) == (1.0, 0.25)
    np.testing.assert_allclose(track.posteriors, expected.posteriors, atol=1e-5)
    np.testing.assert_allclose(track.presence, expected.presence, atol=1e-5)
    assert track.gaps[4] == "silent" and np.isnan(track.azimuth[4])
    # By its bytes, and with words or a sound in place of the picture.
    again = answer(model, (files / "pause.wav").read_bytes(), reference=str(files / "bark.wav"))
    np.testing.assert_array_equal(again.track.times, track.times)


def test_a_long_recording_costs_no_more_than_64_windows(tiny_model, tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal((16000, 2))
    runs = []
    predict = tiny_model.predict_on_batch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            tiny_model, "predict_on_batch", lambda x: runs.append(len(x["audio"])) or predict(x)
        )
        soundfile.write(tmp_path / "long.wav", np.tile(noise, (20, 1)), 16000)
        found = answer(tiny_model, str(tmp_path / "long.wav"), reference=noise_file(tmp_path))
    assert runs[0] == 1 and sum(runs[1:]) <= 96  # the whole, and its windows in batches
    assert len(found.track) == 64 and found.track.presence is None
    assert found.track.times[-1] == pytest.approx(19.5, abs=1e-3)


def noise_file(folder):
    noise = 0.1 * np.random.default_rng(1).standard_normal(16000)
    soundfile.write(folder / "noise.wav", noise, 16000)
    return str(folder / "noise.wav")


def test_short_recordings_and_copies_have_no_track(tiny_model, files, tmp_path):
    picture = str(files / "dog.png")
    assert answer(tiny_model, str(files / "mix.wav"), picture=picture).track is None
    noise = 0.1 * np.random.default_rng(0).standard_normal((48000, 1))
    soundfile.write(tmp_path / "copies.wav", np.tile(noise, 2), 16000)
    copies = answer(tiny_model, str(tmp_path / "copies.wav"), picture=picture)
    assert copies.track is None and len(copies.warnings) == 1
    # Windows as long as the model's shortest recording.
    limits = LocalizerPreprocessor(16000, (32, 32), 8, min_duration=2.5)
    model = SimpleNamespace(preprocessor=limits, track=lambda *args, **options: args)
    assert follow(model, "mix.wav", {}, 2.5) is None
    assert follow(model, "mix.wav", {}, 3.0) == ("mix.wav", {}, 2.5, 0.25)


def test_the_prompt_is_embedded_once(make_small_model, files):
    model = make_small_model(image_encoder=ConvImageEncoder(8, (4, 8), (32, 32)))
    runs = []
    embed = model.backbone.embed_prompt
    object.__setattr__(
        model.backbone, "embed_prompt", lambda *a, **k: runs.append(1) or embed(*a, **k)
    )
    found = answer(model, str(files / "three.wav"), picture=str(files / "dog.png"))
    assert found.track is not None and len(runs) == 1
