"""`benchmarks/near_axis.py`, from two trainings to the tables."""

import importlib
import json
import pathlib

import numpy as np
import pytest

from keras_avssan.data import SyntheticClasses
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = [pytest.mark.backend_agnostic, pytest.mark.extensive]

SCRIPTS = pathlib.Path(__file__).parents[2] / "benchmarks"
TINY = {"dim": 8, "mlp_dim": 16, "bridge_layers": 1, "num_heads": 2}
UNTRAINED = {"SRP-PHAT", "SRP-PHAT, all frequencies", "head, amplitudes", "head, phases"}
FIRST = {**TINY, "phase_transform": False, "doa_padding": "zeros"}


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("near_axis")


def test_from_trainings_to_tables(script, tmp_path, monkeypatch, capsys):
    ranges = RoomRanges(t60=(0.2, 0.25))
    for seed, name in enumerate(("train", "test", "single")):
        bank = RIRBank.build(
            2, seed=seed, sources_per_room=9, ranges=ranges, max_duration=0.03, progress=False
        )
        bank.save(tmp_path / f"{name}.npz")
    few = SyntheticClasses(["bell", "rain"], instances_per_class=8)
    monkeypatch.setattr(script, "_catalog", lambda: few)
    words = ["near_axis.py", "--out", tmp_path, "--steps", 4, "--scenes", 8, "--zone-scenes", 4]
    words += ["--batch-size", 2, "--search", 200]
    words += ["--train", "first", json.dumps(FIRST), "--train", "default", json.dumps(TINY)]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    script.main()
    results = json.loads((tmp_path / "near_axis.json").read_text())
    assert list(results["alone"]) == ["all", *script.ZONES]
    for rows in results["alone"].values():
        assert set(rows) == {*UNTRAINED, "first", "default"}
    assert results["two_sources"]["first"]["difference"]["mae"]["mean"] == 0
    assert "| default − SRP-PHAT | 10–20° |" in capsys.readouterr().out


def test_differences_are_paired(script):
    error = np.array([1.0, 20.0, 3.0])
    rows = {"SRP-PHAT": error, "model": error + [0.0, -15.0, 0.0]}
    model = script.summarize({"all": rows}, {}, ["SRP-PHAT"])["alone"]["all"]["model"]
    assert model["mae above SRP-PHAT"]["mean"] == -5.0
    assert model["far above SRP-PHAT"]["mean"] == pytest.approx(-1 / 3)
