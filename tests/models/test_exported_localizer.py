"""A file of an export localises as the model does, and refuses what it cannot take, in words."""

import json

import keras
import numpy as np
import pytest
import soundfile

from keras_avssan import Prompt
from keras_avssan.models.export.exported_localizer import ExportedLocalizer
from keras_avssan.models.export.settings import describe, parse
from keras_avssan.models.export.signature import checked_signature, make_signature

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture(scope="module")
def exported(model):
    """`exported(prompt, duration, …)` is the model as a file would be, without writing one."""

    def make(prompt="images", duration=None, format="onnx", outputs=("doa",), spacing=None):
        signature = make_signature(model, prompt, duration, format)
        if spacing is not None:
            signature["microphone_spacing"] = keras.InputSpec("float32", shape=(None,))
        settings = parse(describe(model, checked_signature(signature), outputs))
        calls = []

        def run(inputs):
            calls.append({name: array.shape for name, array in inputs.items()})
            for name, array in inputs.items():
                wanted = settings["inputs"][name]
                pairs = zip(wanted, array.shape, strict=True)
                assert all(size in (None, found) for size, found in pairs), name
            answers = model.predict_on_batch(inputs)
            return {name: np.asarray(answers[name]) for name in outputs}

        localizer = ExportedLocalizer(run, settings)
        return localizer, calls

    return make


@pytest.fixture
def audio(delayed_noise):
    return delayed_noise([40, 70, 120])


@pytest.mark.parametrize("prompt", ["images", "embedding", "recording"])
@pytest.mark.parametrize(("format", "batches"), [("onnx", [3]), ("litert", [1, 1, 1])])
def test_localizes_as_the_model(prompt, format, batches, exported, model, audio, make_inputs):
    images = make_inputs(3)["images"]
    sounds = [0.1 * np.random.default_rng(k).normal(size=4000).astype("float32") for k in range(3)]
    prompts = {"images": images, "embedding": model.embed_prompts(images), "recording": sounds}
    localizer, calls = exported(prompt, 0.5 if format == "litert" else None, format)
    theta, sure = localizer.localize(audio, prompts[prompt], return_confidence=True)
    own = prompts[prompt]
    if prompt == "recording" and format == "litert":  # repeated to the file's duration
        own = [np.resize(sound, 8000) for sound in sounds]
    expected = model.localize(audio, own, return_confidence=True)
    np.testing.assert_array_equal(theta, expected[0])
    np.testing.assert_allclose(sure, expected[1], atol=1e-4)
    assert [call["audio"][0] for call in calls] == batches


def test_files_and_one_prompt_for_several_recordings(exported, model, audio, make_inputs, tmp_path):
    image = make_inputs(1)["images"][0]
    files = []
    for k, recording in enumerate(audio):
        files.append(tmp_path / f"{k}.wav")
        soundfile.write(files[-1], recording / np.abs(audio).max(), 16000)
    localizer, _ = exported()
    np.testing.assert_array_equal(localizer.localize(files, image), model.localize(files, image))
    higher = np.repeat(audio, 2, axis=1)  # at twice the rate
    np.testing.assert_array_equal(
        localizer.localize(higher, image, 32000), model.localize(higher, image, 32000)
    )


def test_the_spacing_is_an_input_of_some_files(exported, model, audio, make_inputs):
    image = make_inputs(1)["images"][0]
    with_input, calls = exported(spacing=True)
    wide = with_input.localize(audio, image, microphone_spacing=0.4)
    np.testing.assert_array_equal(wide, model.localize(audio, image, microphone_spacing=0.4))
    own = with_input.localize(audio, image)
    np.testing.assert_array_equal(own, model.localize(audio, image))
    assert calls[0]["microphone_spacing"] == (3,)
    without, _ = exported()
    np.testing.assert_array_equal(without.localize(audio, image, microphone_spacing=0.2), own)
    with pytest.raises(ValueError, match="no input `microphone_spacing`.*microphone_spacing=0.4"):
        without.localize(audio, image, microphone_spacing=0.4)


@pytest.mark.parametrize(
    ("made", "asked", "message"),
    [
        ({"outputs": ("mask",)}, {}, r"must hold 'doa'.*outputs=\['mask'\]"),
        ({}, {"return_presence": True}, "must hold 'presence'"),
        ({}, {"prompt": None}, "`prompt` must be of the kind 'picture'. Received: prompt=None"),
        ({}, {"prompt": "a dog"}, r"of the kind 'picture'.*embed_texts.*\['text'\]"),
        ({}, {"prompt": Prompt(texts=["a dog"])}, r"of the kind 'picture'.*\['several'\]"),
        ({"prompt": "embedding"}, {}, r"of the kind 'embedding'.*\['picture'\]"),
        ({"duration": 0.4}, {}, "`audio` must last 0.4 s.*Received: 0.5 s"),
        (
            {"prompt": "recording", "duration": 0.5},
            {"prompt": np.sin(np.arange(16000.0))[None]},
            "`prompt` must not be longer than 0.5 s.*Received: 1 s",
        ),
    ],
)
def test_what_it_refuses(made, asked, message, exported, audio, make_inputs):
    localizer, calls = exported(**made)
    asked = {"prompt": make_inputs(1)["images"][0], **asked}
    with pytest.raises(ValueError, match=message):
        localizer.localize(audio, **asked)
    assert not calls


def test_dicts_and_other_inputs_are_for_calls(exported, audio, make_inputs):
    localizer, _ = exported()
    inputs = make_inputs(2)
    with pytest.raises(TypeError, match="`prompt` must not be a dict.*keys .'images'."):
        localizer.localize(audio, {"images": inputs["images"]})
    assert localizer(inputs)["doa"].shape == (2, 180)
    localizer.settings["inputs"]["token_ids"] = [None, 1]
    with pytest.raises(ValueError, match="fills the input `audio` and one of a prompt"):
        localizer.localize(audio, inputs["images"][0])


def test_files_of_before_have_no_settings(audio):
    localizer = ExportedLocalizer(lambda inputs: {"doa": inputs["audio"]}, parse(None))
    assert localizer({"audio": audio})["doa"] is audio
    with pytest.raises(ValueError, match="lacks: export the model again"):
        localizer.localize(audio)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "settings are not JSON"),
        ("[]", r"settings are \[\] in place of \['image_size'"),
        ("{}", r"settings are \[\] in place of"),
        ('{"sampling_rate": "fast"}', r"settings are \['sampling_rate'\] in place of"),
    ],
)
def test_settings_of_another_kind(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_settings_of_another_version(exported):
    settings = exported()[0].settings
    assert parse(json.dumps(settings)) == settings
    for name in settings:
        fewer = {other: value for other, value in settings.items() if other != name}
        with pytest.raises(ValueError, match="in place of"):
            parse(json.dumps(fewer))
    for change in ({"new": 1}, {"inputs": ["audio"]}, {"reading": {"speed": 2}}):
        with pytest.raises(ValueError, match="its setting"):
            parse(json.dumps({**settings, **change}))


def test_calls_with_other_arrays(exported, make_inputs):
    localizer, calls = exported()
    inputs = make_inputs(2)
    for wrong, error, message in (
        (None, TypeError, "`inputs` must be a dict of arrays"),
        ({"audio": inputs["audio"]}, ValueError, r"must hold \['audio', 'images'\]"),
        ({**inputs, "audio": inputs["audio"][0]}, ValueError, r"\(any, any, 2\). Received.*\(8000"),
        ({**inputs, "audio": inputs["audio"][..., :1]}, ValueError, r"Received: .*8000, 1\)"),
    ):
        with pytest.raises(error, match=message):
            localizer(wrong)
    assert not calls
    wide = {name: array.astype("float64") for name, array in inputs.items()}
    np.testing.assert_array_equal(localizer(wide)["doa"], localizer(inputs)["doa"])


def test_settings_are_plain(exported):
    localizer, _ = exported()
    assert localizer.settings == json.loads(json.dumps(localizer.settings))
    assert localizer.settings["sampling_rate"] == 16000
    assert localizer.settings["microphone_spacing"] == 0.2
    assert localizer.settings["inputs"] == {
        "audio": [None, None, 2],
        "images": [None, 16, 16, 3],
    }
    assert "audio (None, None, 2)" in repr(localizer) and "\n" not in repr(localizer)
