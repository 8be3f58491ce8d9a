"""The linear probe of `benchmarks/encoder_probe.py`."""

import importlib.util
import pathlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.encoders import SoundEffectsCNN

pytestmark = [pytest.mark.backend_agnostic, pytest.mark.extensive]

SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "encoder_probe.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("encoder_probe", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_probe_separates_what_can_be_separated(script):
    rng = np.random.default_rng(0)
    centres = 3 * rng.normal(size=(4, 10))
    labels = np.repeat(np.arange(4), 20)
    train, test = (centres[labels] + rng.normal(size=(80, 10)) for _ in range(2))
    constant = np.ones((80, 1))  # a feature that tells nothing
    scores = script.probe(np.hstack([train, constant]), labels, np.hstack([test, constant]), 4, 1.0)
    assert script.top_1(scores, labels).mean() > 0.95
    assert script.pairs_told_apart(scores, labels).mean() > 0.98
    blind = script.probe(rng.normal(size=(80, 10)), labels, test, 4, 1.0)
    assert script.top_1(blind, labels).mean() < 0.6


def test_scores_by_hand(script):
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.2, 0.2, 0.2]])
    labels = np.array([0, 1, 2])
    np.testing.assert_array_equal(script.top_1(scores, labels), [1, 0, 0])
    np.testing.assert_array_equal(script.pairs_told_apart(scores, labels), [1, 0.5, 0])


def test_prints_a_row(script, tmp_path, monkeypatch, capsys):
    data, preset, results = tmp_path / "data", tmp_path / "tiny", tmp_path / "results.json"
    rng = np.random.default_rng(0)
    for pitch, name in [(300, "low"), (3000, "high")]:
        (data / name).mkdir(parents=True)
        for i in range(6):
            tone = np.sin(2 * np.pi * pitch * np.arange(8000) / 16000) + 0.1 * rng.normal(size=8000)
            soundfile.write(data / name / f"{i}.wav", 0.5 * tone, 16000)
            Image.new("RGB", (8, 8)).save(data / name / f"picture{i}.png")
    SoundEffectsCNN((2, 2, 4, 8)).save_to_preset(str(preset))
    arguments = [str(data), "--audio-encoder", str(preset), "--json", str(results)]
    monkeypatch.setattr("sys.argv", ["encoder_probe.py", *arguments])
    script.main()
    assert capsys.readouterr().out.startswith("| tiny | 8 | 8 / 2 |")
    assert '"top_1"' in results.read_text()
