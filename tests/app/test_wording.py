"""What an answer says in words."""

import pathlib
import re
from types import SimpleNamespace

import numpy as np
import pytest

from keras_avssan.app import page_parts, wording
from keras_avssan.app.answer import Answer
from keras_avssan.app.examples import Example
from keras_avssan.doa.grid import posterior_confidence
from keras_avssan.tracking import Track

pytestmark = pytest.mark.backend_agnostic
ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("azimuth", "words"),
    [
        (1, "far to the left"),
        (19, "far to the left"),
        (20, "left of the middle"),
        (69, "left of the middle"),
        (70, "a little left of the middle"),
        (87, "in the middle"),
        (90, "in the middle"),
        (93, "in the middle"),
        (94, "a little right of the middle"),
        (111, "right of the middle"),
        (180, "far to the right"),
    ],
)
def test_a_direction_in_words(azimuth, words):
    assert wording.describe_direction(azimuth) == words


def hill(*peaks):
    """A posterior with a triangle of probability at each (direction, weight)."""
    grid = np.arange(1, 181)
    posterior = sum(weight * np.maximum(1 - np.abs(grid - at) / 4, 0) for at, weight in peaks)
    return posterior / posterior.sum()


def test_the_second_candidate_is_the_second_peak_with_its_probability():
    posterior = hill((40, 0.6), (120, 0.3), (160, 0.1))
    assert wording.second_candidate(posterior, 40.0) == (120.0, pytest.approx(0.3))
    # Its probability is counted as the confidence of the answer is.
    assert posterior_confidence(posterior[None])[0] == pytest.approx(0.6, rel=1e-5)


def test_no_second_candidate_where_there_is_none():
    assert wording.second_candidate(hill((40, 1.0)), 40.0) is None
    assert wording.second_candidate(hill((40, 0.97), (120, 0.03)), 40.0) is None
    assert wording.second_candidate(hill((40, 0.6), (48, 0.4)), 40.0) is None  # a ripple of it
    assert wording.second_candidate(np.full(180, 1 / 180), 90.0) is None
    assert wording.second_candidate(hill((40, 0.6), (180, 0.4)), 40.0)[0] == 180.0


@pytest.mark.parametrize(
    ("similarity", "words"),
    [
        (np.nan, "This model does not say"),
        (0.45, "Perhaps: prompt and recording are alike (similarity 0.45)"),
        (0.3, "Unclear (similarity 0.30)"),
        (-0.2, "Doubtful: prompt and recording are not alike (similarity −0.20)"),
    ],
)
def test_presence_is_never_certain(similarity, words):
    assert wording.describe_presence(similarity) == words


@pytest.mark.parametrize(
    ("presence", "words"),
    [
        (0.83, "Probably: the probability that the sound is in the recording is 83 %"),
        (0.5, "Probably: the probability that the sound is in the recording is 50 %"),
        (0.12, "Probably not: the probability that the sound is in the recording is 12 %"),
    ],
)
def test_presence_of_networks_with_candidates_is_a_probability(presence, words):
    assert wording.describe_presence(0.4, presence) == words
    explanation = {**found().explanation, "presence": presence}
    text = page_parts.show_answer(found(explanation=explanation), words="dog")
    assert f"<dt>Is it there?</dt><dd>{words}</dd>" in text
    assert wording.PROBABILITY_NOTE in text and "similarity" not in text
    assert wording.PRESENCE_NOTE in page_parts.show_answer(found(), words="dog")


def test_what_is_known_of_presence_is_what_was_measured():
    docs = (ROOT / "docs/robustness.md").read_text()
    (row,) = re.findall(
        r"\| \*\*similarity of prompt and mix\*\* .*\| ([\d.]+) \| ([\d.]+) \|", docs
    )
    assert tuple(map(float, row)) == (wording._PRESENT, wording._ABSENT)
    assert "no threshold has been measured" in wording.PRESENCE_NOTE


def model(classes=None, tokenize=None):
    record = None if classes is None else SimpleNamespace(trainings=[{"classes": classes}])
    encoder = SimpleNamespace() if tokenize is None else SimpleNamespace(tokenize=tokenize)
    return SimpleNamespace(training_record=record, backbone=SimpleNamespace(image_encoder=encoder))


def test_the_classes_that_a_model_knows_are_listed():
    assert "knows 2 classes**: bell, car engine." in page_parts.introduction(
        model(["car_engine", "bell"])
    )
    many = page_parts.introduction(model([f"class {number}" for number in range(50)]))
    assert "<summary>This model knows 50 classes</summary>class 0," in many
    promptless = SimpleNamespace(backbone=SimpleNamespace(image_encoder=None))
    for unknown in (model(), promptless):
        assert "are not recorded" in page_parts.introduction(unknown)


def test_words_are_spoken_of_where_they_can_be_given():
    assert "words" not in page_parts.introduction(model())
    assert "words" in page_parts.introduction(model(tokenize=list))


def found(**changes):
    explanation = {"posterior": hill((40, 0.6), (120, 0.4)), "similarity": 0.3}
    values = {"azimuth": 40.0, "confidence": 0.6, "explanation": explanation}
    return Answer(**{**values, "masked_audio": np.zeros(0), "sampling_rate": 16000, **changes})


def test_an_answer_has_all_of_it(files):
    example = Example("mix.wav", "dog.png", "dog", 43.0, "car_engine", 122.0)
    text = page_parts.show_answer(found(), picture=str(files / "dog.png"), example=example)
    assert '<img alt="the prompt" src="data:image/png;base64,' in text
    assert "<h2>40°</h2>" in text and '<p class="words">left of the middle</p>' in text
    rows = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert rows == {
        "Probability within 5°": "60 %",
        "Second candidate": "120°, right of the middle: 40 %",
        "Is it there?": "Unclear (similarity 0.30)",
        "True answer": "dog at 43°, 3° from the answer; car engine at 122°",
    }


def test_what_comes_from_others_is_escaped(files):
    text = page_parts.show_answer(
        found(warnings=("<b>'twice.wav'</b>: both channels",)), words="<script>dog</script>"
    )
    assert "<script>" not in text and "“&lt;script&gt;dog&lt;/script&gt;”" in text
    assert '<div class="notice warning">&lt;b&gt;' in text
    assert "True answer" not in text
    nothing = page_parts.show_answer(found(confidence=0.0), words="dog")
    assert "<h2>No direction</h2>" in nothing and "°</h2>" not in nothing
    assert "<dd>none with 5 % or more</dd>" in nothing
    assert '<div class="notice error" role="alert">&lt;i&gt;' in page_parts.show_error("<i>bad</i>")


def track(azimuth, presence=None):
    azimuth = np.array(azimuth, "float32")
    gaps = np.where(np.isnan(azimuth), "absent", "")
    posteriors = np.full((len(azimuth), 180), 1 / 180, "float32")
    times = np.arange(len(azimuth)) / 4
    return Track(
        times, azimuth, azimuth, presence, posteriors, posteriors, presence, gaps, 1.0, 0.25
    )


def test_directions_over_time_in_words():
    some = np.full(4, 0.5)
    assert wording.describe_track(track([40, 50, np.nan, 60])) == "from 40° to 60°"
    assert wording.describe_track(track([40, 40])) == "40°"
    there = wording.describe_track(track([40, 50, np.nan, 60], some))
    assert there == "from 40° to 60°, probably there in 75 % of the time"
    assert wording.describe_track(track([np.nan] * 4, some)).startswith("in none of its parts")
    text = page_parts.show_answer(found(track=track([40, 50])), words="dog")
    assert "<dt>Over time</dt><dd>from 40° to 50°</dd>" in text
    assert "Over time" not in page_parts.show_answer(found(), words="dog")
