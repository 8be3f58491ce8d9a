"""`benchmarks/figures.py`, from a saved model to pictures."""

import importlib
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from keras_avssan.data import SyntheticClasses
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = [pytest.mark.backend_agnostic, pytest.mark.extensive]

SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "figures.py"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        yield importlib.import_module(SCRIPT.stem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_small_model):
    """A model without image encoder, embeddings of all built-in pictures, and three rooms."""
    folder = tmp_path_factory.mktemp("figures")
    model = make_small_model(prompt_dim=3)
    model.save_to_preset(folder / "model")
    ids = [picture.id for picture in SyntheticClasses().pictures]
    vectors = np.random.default_rng(0).normal(size=(len(ids), 3)).astype("float32")
    np.savez(folder / "vectors.npz", ids=np.array(ids), vectors=vectors)
    ranges = RoomRanges(t60=(0.2, 0.25))
    bank = RIRBank.build(3, ranges=ranges, sources_per_room=3, max_duration=0.05, progress=False)
    bank.save(folder / "bank.npz")
    return folder


@pytest.fixture
def run(script, folder, monkeypatch):
    def run(*arguments):
        words = ["figures.py", "--model", folder / "model", "--bank", folder / "bank.npz"]
        words += ["--classes", "bird", "drum", "--duration", "0.5", "--scenes", "4", *arguments]
        monkeypatch.setattr("sys.argv", [str(word) for word in words])
        script.main()

    return run


def test_writes_the_figures_and_what_they_show(run, folder, tmp_path, capsys):
    run("--prompt-embeddings", folder / "vectors.npz", "--out", tmp_path / "out")
    for name in ("figure2.png", "figure3.png", "figure3_scenes.png"):
        assert min(Image.open(tmp_path / "out" / name).size) > 200
    results = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert sum(one["scenes"] for one in results["classes"].values()) == 4
    assert set(results["classes"]) <= {"bird", "drum"}
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(results["scenes"]) > 0
    first = results["scenes"][0]
    assert f"scene {first['scene']}, error {first['error']:.1f}°" in lines[0]
    assert lines[0].startswith("failure, ") == (not first["correct"])


def test_says_what_a_model_without_an_encoder_needs(run, tmp_path):
    with pytest.raises(SystemExit, match="--image-encoder or --prompt-embeddings"):
        run("--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
