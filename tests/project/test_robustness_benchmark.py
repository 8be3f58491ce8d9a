"""`benchmarks/robustness.py`, from a saved model to the tables."""

import importlib
import json
import pathlib

import numpy as np
import pytest

from keras_avssan.data import SyntheticClasses
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = [pytest.mark.backend_agnostic, pytest.mark.extensive]

SCRIPTS = pathlib.Path(__file__).parents[2] / "benchmarks"


def small_bank(*_, **arguments):
    ranges = RoomRanges(t60=(0.2, 0.25), spacing=arguments["ranges"].spacing)
    return BUILD(2, ranges=ranges, sources_per_room=3, max_duration=0.03, progress=False)


BUILD = RIRBank.build


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("robustness")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_small_model):
    """A model without image encoder, and embeddings of all built-in pictures."""
    folder = tmp_path_factory.mktemp("robustness")
    model = make_small_model(prompt_dim=3)
    model.save_to_preset(folder / "model")
    ids = [picture.id for picture in SyntheticClasses().pictures]
    vectors = np.random.default_rng(0).normal(size=(len(ids), 3)).astype("float32")
    np.savez(folder / "prompts.npz", picture_ids=np.array(ids), picture_vectors=vectors)
    return folder


@pytest.fixture
def run(script, folder, monkeypatch):
    monkeypatch.setattr(RIRBank, "build", small_bank)

    def run(out, *arguments, classes=("bird", "drum", "rain")):
        words = ["robustness.py", "--model", folder / "model", "--out", out, "--scenes", 4]
        words += ["--prompt-embeddings", folder / "prompts.npz", "--duration", 0.2]
        words += ["--classes", *classes, *arguments]
        monkeypatch.setattr("sys.argv", [str(word) for word in words])
        script.main()

    return run


def test_every_row_is_scored(run, script, tmp_path, capsys):
    run(tmp_path / "results.json")
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["rows"]) == list(script.ROWS) and len(script.ROWS) == 18
    rows = results["rows"]
    azimuths = {name: row["per_scene"]["azimuth"] for name, row in rows.items() if name != "absent"}
    for name, values in azimuths.items():
        np.testing.assert_allclose(values, azimuths["as trained"], atol=1e-3, err_msg=name)
    three = rows["three sources"]
    assert np.shape(three["per_scene"]["interferer_azimuth"]) == (4, 2)
    assert three["random_source_baseline"]["selection"] == pytest.approx(1 / 3)
    same = rows["interferer of the same class"]["per_scene"]
    assert same["target_class"] == same["interferer_class"]
    assert rows["noise 10 dB below"]["settings"]["sensor_noise"] == 10.0
    assert rows["SNR -5 dB"]["settings"]["snr_db"] == -5.0
    for key in ("confidence", "entropy"):
        assert 0 <= rows["absent"][key]["mean"] <= 1
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("| pair of ")]) == 7
    assert "AUROC" in lines[-5]
    told = [line.split(" | ")[0] for line in lines[-3:]]
    assert told == ["| confidence", "| entropy, nats", "| similarity"]


def test_it_goes_on_where_it_stopped(run, script, tmp_path, monkeypatch):
    out = tmp_path / "results.json"
    run(out, "--rows", "as trained")
    scored = []
    monkeypatch.setattr(script, "_row", lambda name, *_: scored.append(name) or {"left_out": ""})
    run(out, "--rows", "as trained", "absent")
    assert scored == ["absent"]
    with pytest.raises(SystemExit, match="other options"):
        run(out, "--seed", "5")


def test_rows_of_earlier_versions_are_read(run, script, tmp_path, capsys):
    out = tmp_path / "results.json"
    run(out, "--rows", "as trained")
    table = capsys.readouterr().out.splitlines()[-3:]
    out.write_text(out.read_text().replace("random_source_baseline", "blind_choice"))
    run(out, "--rows", "as trained")
    assert capsys.readouterr().out.splitlines() == table


def test_the_model_is_told_the_spacing_of_the_bank(run, script, tmp_path, monkeypatch):
    told = {}

    def note(model, plan, scenes, *, microphone_spacing=None, **_):
        pair = plan.bank.microphones[0]
        told[float(np.linalg.norm(pair[0] - pair[1]))] = microphone_spacing
        raise ValueError("enough")

    monkeypatch.setattr(script, "evaluate_localizer", note)
    run(tmp_path / "results.json", "--rows", "pair of 4 cm", "pair of 30 cm")
    for actual, said in told.items():
        assert actual == pytest.approx(said, rel=1e-5)
    assert sorted(told.values()) == [0.04, 0.3]


def test_what_the_data_do_not_allow_is_left_out(run, tmp_path, capsys):
    run(
        tmp_path / "results.json",
        "--rows",
        "three sources",
        "absent",
        classes=("bird", "drum"),
    )
    printed = capsys.readouterr().out
    assert "| three sources | left out: `num_interferers` with `absent=False` needs 3" in printed
    assert "| left out: " in printed.splitlines()[-1]
