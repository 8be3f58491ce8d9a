"""`benchmarks/dummy_head.py` and `benchmarks/carry_over.py`, at tiny size."""

import importlib
import json
import pathlib
import re

import numpy as np
import pytest

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).parents[2]
KEMAR = ROOT / "tests/simulation/files/kemar_horizontal.sofa"


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the `main` of a script; returns what was printed."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def run(name, *words):
        script = importlib.import_module(name)
        monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, words)])
        script.main()
        return capsys.readouterr().out

    return run


def test_a_sphere_is_nearer_to_a_head_than_free_microphones(run):
    out = run("dummy_head", KEMAR)
    assert "72 directions, ears 18.0 cm apart" in out
    free, fitted, sphere = (
        float(error) for error in re.findall(r"^\| (?:free|rigid).*? \| ([\d.]+)° \|", out, re.M)
    )
    assert sphere < fitted < free and sphere < 4


def test_free_microphones_have_no_error_for_a_free_field(run, monkeypatch):
    """The angles of the grid come back from cross-spectra of free waves, and of a sphere's."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = importlib.import_module("dummy_head")
    angles = np.arange(5, 180, 25)
    delays = 0.2 * np.cos(np.radians(angles)) / 343
    cross = script.whitened(np.exp(2j * np.pi * script.FREQUENCIES * delays[:, None]))
    np.testing.assert_array_equal(script.steer(cross, 0.2), angles)
    assert np.abs(script.steer_sphere(cross, 0.2) - angles).max() > 3


@pytest.mark.extensive
def test_from_trainings_to_a_table(run, tmp_path):
    words = [KEMAR, "--out", tmp_path, "--variants", "plain", "gain", "bands", "--steps", 2]
    words += ["--batch-size", 2, "--dim", 8, "--rooms", 2, "--test-rooms", 2, "--scenes", 4]
    words += ["--t60", 0.2, 0.22]
    out = run("carry_over", *words)
    results = json.loads((tmp_path / "carry_over.json").read_text())
    assert results["settings"]["spacing_used"] == pytest.approx(0.2167, abs=1e-3)
    assert list(results["rows"]) == ["plain", "gain", "bands"]
    for variant, found in results["rows"].items():
        for row in found.values():
            assert 0 <= row["scores"]["mae"]["mean"] <= 180
            assert (row["difference"] is None) == (variant == "plain")
        assert f"| {variant} | measured |" in out
    with np.load(tmp_path / "gain.npz") as bank:
        assert abs(bank["microphone_gains"]).max() > 0
    # The models are read the next time, with the same scores.
    again = run("carry_over", *words)
    assert again.splitlines()[-1] == out.splitlines()[-1]
