"""Recordings of more than two microphones."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from keras_avssan.app import answer, microphones, page_parts, wording
from keras_avssan.app.full_circle import plot_circle
from keras_avssan.arrays import MicrophoneArray
from keras_avssan.encoders import ConvImageEncoder

pytestmark = pytest.mark.one_backend
SQUARE = MicrophoneArray([(0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1)], "square")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    noise = 0.1 * np.random.default_rng(2).standard_normal((40000, 4))
    soundfile.write(folder / "short.wav", noise[:16000], 16000)
    soundfile.write(folder / "longer.wav", noise, 16000)
    soundfile.write(folder / "copies.wav", noise[:16000, [0, 1, 2, 0]], 16000)
    (folder / "square.csv").write_text("x,y\n0.1,0.1\n-0.1,0.1\n-0.1,-0.1\n0.1,-0.1\n")
    return folder


def test_it_is_what_the_pairs_find_together(make_candidates, files, recordings):
    model = make_candidates(image_encoder=ConvImageEncoder(8, (4, 8), (32, 32)))
    given = str(recordings / "longer.wav"), str(files / "dog.png")
    azimuth, confidence, presence = model.localize(
        *given, return_confidence=True, return_presence=True, array=SQUARE
    )
    found = answer(model, given[0], picture=given[1], array=SQUARE)
    assert found.azimuth == azimuth[0] and found.array is SQUARE
    assert found.confidence == pytest.approx(confidence[0], abs=1e-5)
    assert found.explanation["presence"] == pytest.approx(presence[0], abs=1e-5)
    assert found.explanation["posterior"].shape == (360,)
    assert found.masked_audio is None and found.track is None and found.seconds == 2.5
    text = page_parts.show_answer(found, given[1])
    assert f"<h2>{azimuth[0]:.0f}°</h2>" in text and "the x axis of the array" in text
    assert f"the sound is in the recording is {100 * presence[0]:.0f} %" in text
    assert "<dt>Over time</dt><dd>only for two microphones" in text
    by_bytes = answer(
        model, (recordings / "short.wav").read_bytes(), reference=str(files / "bark.wav"),
        array=SQUARE,
    )  # fmt: skip
    assert 0 <= by_bytes.azimuth <= 359 and by_bytes.seconds == 1.0
    assert "Over time" not in page_parts.show_answer(by_bytes, words="bark")


def test_copies_in_two_channels_are_reported(tiny_model, files, recordings):
    picture = str(files / "dog.png")
    found = answer(tiny_model, str(recordings / "copies.wav"), picture=picture, array=SQUARE)
    assert found.confidence == 0 and "'copies.wav'" in found.warnings[0]
    text = page_parts.show_answer(found, picture)
    assert "<h2>No direction</h2>" in text and str(recordings) not in text


def test_more_pairs_take_shorter_recordings(tiny_model, files, recordings):
    given = {"picture": str(files / "dog.png"), "array": SQUARE}
    longer = str(recordings / "longer.wav")
    with pytest.raises(ValueError, match=r"'longer.wav' must last at most 2 s.*6 pairs.*: 2.5 s"):
        answer(tiny_model, longer, max_seconds=3.0, **given)
    assert answer(tiny_model, longer, max_seconds=3.75, **given).seconds == 2.5


@pytest.mark.parametrize(
    ("recording", "array", "message"),
    [
        (None, SQUARE, "`recording` must be a file with 4 channels. Received: no file"),
        ("mix.wav", SQUARE, "'mix.wav' must have 4 channels, one for each.*Received: 2 channels"),
        ("four.wav", MicrophoneArray.from_preset("respeaker_6"), "must have 6 channels"),
        ("four.wav", MicrophoneArray(10 * SQUARE.positions), "`array` must have pairs of micro"),
    ],
)
def test_what_does_not_fit_is_said(make_small_model, files, recording, array, message):
    model = make_small_model(
        image_encoder=ConvImageEncoder(8, (4, 8), (32, 32)), microphone_spacing=0.2
    )
    recording = recording and str(files / recording)
    with pytest.raises(ValueError, match=message) as error:
        answer(model, recording, picture=str(files / "dog.png"), array=array)
    assert str(files) not in str(error.value)


def test_arrays_are_chosen_by_name_or_by_their_positions(recordings):
    arrays = microphones.known_arrays(SQUARE)
    assert set(arrays) == {*MicrophoneArray.presets(), "square"}
    for name in (None, "two"):
        assert microphones.choose_array(arrays, name, None) is None
    assert microphones.choose_array(arrays, "square", None) is SQUARE
    uploaded = microphones.choose_array(arrays, "respeaker_6", recordings / "square.csv")
    assert uploaded == SQUARE
    turned = MicrophoneArray.from_preset("respeaker_4").rotated(45)
    assert microphones.known_arrays(turned)["respeaker_4 (given)"] is turned
    assert set(microphones.known_arrays(MicrophoneArray.from_preset("starss23"))) == set(
        MicrophoneArray.presets()
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("long.csv", "0,0\n" * 1100, "'long.csv' must have at most 4096 bytes.*: 4400 bytes"),
        (
            "nine.csv",
            "".join(f"{k / 99},{k * k / 99}\n" for k in range(9)),
            "at most 8 microphones.*: 9",
        ),
        ("deep.json", "[" * 4000, "'deep.json' must"),
        ("same.csv", "0,0\n0,0\n", "'same.csv' holds no array"),
        ("words.csv", "a,b\n", "'words.csv' must have the columns"),
        ("array.txt", "0,0\n", "must end in one of .csv, .json"),
    ],
)
def test_bad_positions_are_reported_without_their_folder(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        microphones.choose_array({}, "two", str(tmp_path / name))
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize(
    ("azimuth", "words"),
    [
        (0, "in front"),
        (22, "in front"),
        (30, "in front, to the left"),
        (90, "to the left"),
        (180, "behind"),
        (230, "behind, to the right"),
        (270, "to the right"),
        (315, "in front, to the right"),
        (359, "in front"),
    ],
)
def test_an_azimuth_in_words(azimuth, words):
    assert wording.describe_azimuth(azimuth).split(", where")[0] == words


def test_the_second_candidate_may_be_across_0_degrees():
    posterior = np.zeros(360)
    posterior[[2, 351, 359]] = 0.6, 0.3, 0.1
    assert wording.second_azimuth(posterior, 2.0) == (351.0, pytest.approx(0.3))
    assert wording.second_azimuth(np.eye(360)[10], 10.0) is None
    assert wording.second_azimuth(np.full(360, 1 / 360), 0.0) is None


def test_the_circle_has_the_posterior_the_answer_and_the_microphones():
    posterior = np.exp(-np.abs(np.arange(360) - 290) / 8)
    axes = plot_circle(posterior, 290.0, SQUARE).axes[0]
    curve, pointer, dots = axes.lines
    assert np.argmax(curve.get_ydata()) == 290 and len(curve.get_xdata()) == 361
    np.testing.assert_allclose(pointer.get_xdata(), np.radians(290))
    angles = np.degrees(dots.get_xdata()) % 360
    np.testing.assert_allclose(angles, [45, 135, 225, 315])
    assert {text.get_text() for text in axes.texts} >= {"1", "2", "3", "4"}
    assert axes.get_legend().get_texts()[0].get_text() == "predicted 290°"
    assert axes.get_theta_offset() == pytest.approx(np.pi / 2)  # 0° points up
    assert plot_circle(posterior, None, SQUARE).axes[0].get_legend() is None


def test_the_page_has_a_choice_of_microphones(tiny_model, files, recordings, monkeypatch, tmp_path):
    pytest.importorskip("gradio", reason="needs Gradio")
    from keras_avssan.app import build_interface

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.chdir(files)
    page = build_interface(tiny_model, [("mix.wav", "dog.png")], SQUARE)
    parts = {block.elem_id: block for block in page.blocks.values() if block.elem_id}
    assert parts["array"].value == "square"
    names = [value for _, value in parts["array"].choices]
    assert names == ["two", *MicrophoneArray.presets(), "square"]
    assert build_interface(tiny_model).blocks  # and without
    recording, picture = str(recordings / "longer.wav"), str(files / "dog.png")
    functions = [one.fn for one in page.fns.values() if one.inputs and one.fn is not None]
    find, example = (one for one in functions if one.__name__ in ("<lambda>", "run"))
    text, why, figure, masked = find(1200, recording, picture, None, "square", None)
    assert re.search(r"<h2>\d+°</h2>", text) and "x axis" in text
    assert why["visible"] and figure["visible"] and not masked["visible"]
    text, *hidden = find(1200, recording, picture, None, "two", str(recordings / "square.csv"))
    assert "x axis" in text
    text, *hidden = find(1200, recording, picture, None, "respeaker_6", None)
    assert "must have 6 channels" in text and not any(one["visible"] for one in hidden)
    # An example is of two microphones, whatever was chosen before.
    values = example(1200)
    assert values[2:5] == (None, "two", None) and "of the" in values[5] and values[8]["visible"]


def test_a_page_for_a_phone_has_the_circle(monkeypatch):
    from keras_avssan.app import interface

    posterior = np.ones(360) / 360
    explanation = {"posterior": posterior}
    found = SimpleNamespace(explanation=explanation, azimuth=3.0, confidence=0.5, array=SQUARE)
    wide, narrow = (interface._draw(found, None, width, None) for width in (1280, 390))
    assert narrow.width > wide.width > 400
