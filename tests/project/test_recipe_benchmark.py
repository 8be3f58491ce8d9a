"""`benchmarks/recipe.py`, from names of variants to the table."""

import dataclasses
import importlib
import inspect
import json
import pathlib

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN
from keras_avssan.benchmark.rooms import divide_bank
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.doa import JointLoss
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.models import AVSSANBackbone
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = [pytest.mark.backend_agnostic, pytest.mark.extensive]

SCRIPTS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("recipe")


@pytest.fixture(scope="module")
def run(script):
    """Runs the script on few classes and short rooms."""
    ranges = RoomRanges(t60=(0.2, 0.3))
    bank = RIRBank.build(10, ranges=ranges, sources_per_room=2, max_duration=0.03, progress=False)
    names = ["bell", "dog", "rain", "drum"]
    catalog = SyntheticClasses(names, instances_per_class=20, duration=0.5)

    def run(out, *arguments):
        words = ["recipe.py", "--out", out, "--steps", 4, "--batch-size", 4, "--duration", 0.1]
        words += ["--dim", 8, "--scenes", 8, "--train-scenes", 4, *arguments]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", [str(word) for word in words])
            patch.setattr(script, "open_catalog", lambda _: catalog)
            patch.setattr(script, "build_banks", lambda *_: divide_bank(bank))
            script.main()

    return run


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe") / "results"
    run(folder, "--variants", "ema", "baseline")
    return folder


def read(folder, name):
    return json.loads((folder / "rows" / f"{name}.json").read_text())


def test_every_variant_is_trained_and_scored_beside_the_baseline(folder):
    lines = (folder / "recipe.md").read_text().splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == ["baseline", "ema"]
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    assert "| – | – |" in lines[2] and "| – | – |" not in lines[3]
    rows = {name: read(folder, name) for name in ("baseline", "ema")}
    scenes = [row["evaluation"]["per_scene"]["azimuth"] for row in rows.values()]
    assert scenes[0] == scenes[1] and len(scenes[0]) == 8
    assert rows["ema"]["changes"] == {"optimizer": {"use_ema": True, "ema_momentum": 0.99}}


def test_variants_end_with_other_weights_from_the_same_start(folder):
    weights = [
        AVSSAN.from_preset(str(folder / "models" / name)).backbone.refiner.get_weights()
        for name in ("baseline", "ema")
    ]
    apart = [np.abs(one - other).max() for one, other in zip(*weights, strict=True)]
    assert 1e-5 < max(apart) < 0.1


def test_it_goes_on_where_it_stopped(script, run, folder, monkeypatch, capsys):
    def fail(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(script, "fit_scenes", fail)
    run(folder, "--variants", "baseline")
    assert "`ema`" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="trained again"):
        run(folder, "--variants", "swap")


def test_changes_by_json(script, run, folder, monkeypatch):
    seen = {}

    def note(model, plan, **arguments):
        seen.update(plan=plan, **arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "fit_scenes", note)
    changes = {"plan": {"speed": [0.7, 1.0]}, "rate": 0.5, "seed": 3}
    with pytest.raises(KeyboardInterrupt):
        run(folder, "--variants", "--run", "mine", json.dumps(changes))
    assert seen["plan"].speed == (0.7, 1.0) and seen["plan"].seed == 3
    assert seen["learning_rate"] == pytest.approx(0.5 * 3e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--variants", "--run", "mine", '{"nets": {}}'), "nets"),
        (("--variants", "--run", "ema", "{}"), "of other changes"),
    ],
)
def test_what_does_not_fit_is_refused(run, folder, arguments, message):
    with pytest.raises(SystemExit, match=message):
        run(folder, *arguments)


def test_another_budget_needs_another_folder(run, folder):
    with pytest.raises(ValueError, match="`budget` is 4 there, but 5 now"):
        run(folder, "--steps", 5, "--variants", "baseline")


def test_a_variant_reaches_network_and_scenes(script, run, folder, monkeypatch):
    made = []

    def note(model, plan, **_):
        made.extend([model, plan])
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "fit_scenes", note)
    changes = {**script.VARIANTS["all-augmentation"], "loss": {"sigma": 10.0}}
    changes["network"] = {"magnitude": "mask"}
    with pytest.raises(KeyboardInterrupt):
        run(folder, "--variants", "--run", "many", json.dumps(changes))
    model, plan = made
    assert model.backbone.audio_encoder.spec_augment == (12, 8)
    assert plan.swap_channels and plan.speed == (0.85, 1.15) and plan.equalise == 6.0
    assert model.loss.doa_loss.sigma == 10.0
    assert model.backbone.settings["magnitude"] == "mask"


def test_every_variant_is_a_change_of_what_exists(script):
    network = inspect.signature(AVSSANBackbone.__init__).parameters
    plan = {field.name for field in dataclasses.fields(ScenePlan)}
    for changes in script.VARIANTS.values():
        LogMelEncoder(**changes.get("encoder", {}))
        JointLoss(**changes.get("loss", {}))
        keras.optimizers.AdamW(**changes.get("optimizer", {}))
        assert set(changes.get("network", {})) <= set(network)
        assert set(changes.get("plan", {})) <= plan
        assert set(changes) <= {"network", "plan", "encoder", "loss", "optimizer", "rate", "seed"}
