"""`benchmarks/limits.py`, from a saved model to the tables."""

import importlib
import json
import pathlib

import numpy as np
import pytest

from keras_avssan.data import SyntheticClasses
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = [pytest.mark.backend_agnostic, pytest.mark.extensive]

SCRIPTS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def outcome(tmp_path, monkeypatch, capsys, make_small_model):
    """The results in the file, and what was printed."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    script = importlib.import_module("limits")
    make_small_model(prompt_dim=3).save_to_preset(tmp_path / "model")
    ids = [picture.id for picture in SyntheticClasses().pictures]
    vectors = np.random.default_rng(0).normal(size=(len(ids), 3)).astype("float32")
    np.savez(tmp_path / "prompts.npz", picture_ids=np.array(ids), picture_vectors=vectors)
    bank = RIRBank.build(3, ranges=RoomRanges(t60=(0.2, 0.25)), max_duration=0.03, progress=False)
    bank.save(tmp_path / "bank.npz")
    words = ["limits.py", "--model", tmp_path / "model", "--out", tmp_path / "limits.json"]
    words += ["--prompt-embeddings", tmp_path / "prompts.npz", "--bank", tmp_path / "bank.npz"]
    words += ["--scenes", 12, "--batch-size", 5, "--duration", 0.2]
    words += ["--classes", "bird", "drum", "rain"]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    script.main()
    return json.loads((tmp_path / "limits.json").read_text()), capsys.readouterr().out


def test_each_stage_is_looked_at(outcome):
    results, printed = outcome
    assert len(results["semantics"]) == 7
    assert all(0 <= score["mean"] <= 1 for score in results["semantics"].values())
    # Nothing raises the target above the interferer as the ideal mask does.
    assert results["mask"]["ideal"]["mean"] > max(results["mask"]["own"]["mean"], 3.0)
    scores = results["scores"]
    assert set(scores) == {
        "estimate", "ideal_estimate", "estimate_0.5", "estimate_1.5", "estimate_2.0"
    }  # fmt: skip
    assert sum(answer["mean"] for answer in results["answers"].values()) == pytest.approx(1)
    assert set(results["confusions"]["by_class"]) == {"bird", "drum", "rain"}
    assert "| selection, ideal ratio mask |" in printed
