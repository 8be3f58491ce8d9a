"""Answers of the packaged model to the examples that are installed with the library."""

import json

import numpy as np
import pytest

from keras_avssan import AVSSAN
from keras_avssan._internal.saved_files import DEFAULT_MODEL, packaged_presets
from keras_avssan.data import example_file

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(
        DEFAULT_MODEL not in packaged_presets(), reason=f"needs the packaged {DEFAULT_MODEL}"
    ),
]

with open(example_file("examples.json"), encoding="utf-8") as file:
    KNOWN = json.load(file)
ABSENT = {"dog": "helicopter", "rooster": "fire", "fire": "rooster", "clock": "rain"}


@pytest.fixture(scope="module")
def model():
    return AVSSAN.from_preset(DEFAULT_MODEL)


def localize(model, mixture, prompt):
    azimuth, presence = model.localize(example_file(mixture), prompt, return_presence=True)
    return azimuth[0], presence[0]


def test_a_real_dog_is_found_by_every_kind_of_prompt(model):
    for prompt in (example_file("dog.jpg"), example_file("dog.ogg"), "dog"):
        azimuth, presence = localize(model, "dog_and_rain.flac", prompt)
        assert abs(azimuth - 50) <= 15 and presence > 0.5, prompt


@pytest.mark.parametrize("kind", ["picture", "recording"])
def test_most_answers_are_the_prompted_source(model, kind):
    nearer = []
    for mixture, scene in KNOWN.items():
        for target, other in zip(scene["sources"], scene["sources"][::-1], strict=True):
            azimuth, _ = localize(model, mixture, example_file(target[kind]))
            nearer.append(abs(azimuth - target["azimuth"]) < abs(azimuth - other["azimuth"]))
    assert np.mean(nearer) >= 0.75, nearer  # 0.5 without use of the prompt


def test_presence_is_lower_for_sounds_that_are_not_there(model):
    there, absent = [], []
    for mixture, scene in KNOWN.items():
        name = scene["sources"][0]["class"]
        there.append(localize(model, mixture, example_file(f"{name}.ogg"))[1])
        absent.append(localize(model, mixture, example_file(f"{ABSENT[name]}.ogg"))[1])
    assert np.mean(there) > np.mean(absent) + 0.2, (there, absent)
