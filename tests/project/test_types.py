"""Types that callers' type checkers see."""

import pathlib

import pytest

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).resolve().parents[2]
CALLER = """
from typing import assert_type

import numpy as np

from keras_avssan import AVSSAN
from keras_avssan.classical import SRPPHAT
from keras_avssan.data import ScenePlan
from keras_avssan.evaluation import evaluate_localizer


def call(network: AVSSAN, method: SRPPHAT, plan: ScenePlan, wanted: bool) -> None:
    for model in (network, method):
        evaluate_localizer(model, plan, 10)
    assert_type(network.localize("a.wav", "dog.jpg"), np.ndarray)
    assert_type(network.localize("a.wav", "dog.jpg", 16000, False), np.ndarray)
    one: np.ndarray = method.localize("a.wav", channels=(0, 2))
    two: tuple[np.ndarray, np.ndarray] = network.localize("a.wav", "b.jpg", return_confidence=True)
    two = network.localize("a.wav", "b.jpg", 16000, True)
    two = method.localize("a.wav", return_confidence=True)
    two = network.localize("a.wav", "b.jpg", return_presence=True)
    three: tuple[np.ndarray, np.ndarray, np.ndarray] = network.localize(
        "a.wav", "b.jpg", return_confidence=True, return_presence=True
    )
    three = network.localize("a.wav", "b.jpg", 16000, True, return_presence=True)
    either: np.ndarray | tuple[np.ndarray, np.ndarray] = network.localize(
        "a.wav", "b.jpg", return_confidence=wanted
    )
"""
WRONG = """
    evaluate_localizer("a name", plan, 10)
    wrong: np.ndarray = network.localize("a.wav", "b.jpg", return_confidence=True)
    wrong = network.localize("a.wav", "b.jpg", return_presence=True)
    tangled: tuple[np.ndarray, np.ndarray] = method.localize("a.wav")
"""


def test_localize_and_evaluate_have_the_types_of_their_arguments(tmp_path):
    api = pytest.importorskip("mypy.api")
    path = tmp_path / "caller.py"
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary"]
    path.write_text(CALLER)
    assert api.run([*options, str(path)])[:2] == ("", "")
    path.write_text(CALLER + WRONG)
    found, _, _ = api.run([*options, str(path)])
    lines = [line for line in found.splitlines() if ": error: " in line]
    assert [line.split("[")[-1] for line in lines] == ["arg-type]", *["assignment]"] * 3]
