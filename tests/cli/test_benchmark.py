"""The command that fills the paper's tables."""

import json

import keras
import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.benchmark import train_and_score as benchmark
from keras_avssan.cli.main import main
from keras_avssan.evaluation import Evaluation, paired_difference
from keras_avssan.models.baselines import GCCMLP
from keras_avssan.simulation import RIRBank, RoomRanges
from keras_avssan.training import NonFiniteLoss

pytestmark = pytest.mark.backend_agnostic

SMALL = """
from keras_avssan.benchmark import System
from keras_avssan.models.baselines import GCCMLP, MLPAVC


def make(setup):
    return GCCMLP(hidden_dim=8, microphone_spacing=setup.microphone_spacing)


def make_prompted(setup):
    return MLPAVC(hidden_dim=8, prompt_dim=setup.prompt_dim)


SYSTEMS = [
    System("small", "Small", "audio", make),
    System("prompted", "Prompted", "audio-visual", make_prompted),
]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A bank of ten rooms, a folder of classes, and a file with two small networks."""
    root = tmp_path_factory.mktemp("benchmark")
    ranges = RoomRanges(t60=(0.2, 0.3))
    bank = RIRBank.build(10, ranges=ranges, sources_per_room=2, max_duration=0.03, progress=False)
    bank.save(root / "bank.npz")
    (root / "small.py").write_text(SMALL)
    rng = np.random.default_rng(0)
    for name in ("bell", "dog", "rain"):
        folder = root / "classes" / name
        folder.mkdir(parents=True)
        for i in range(12):
            soundfile.write(folder / f"a{i}.wav", 0.1 * rng.standard_normal(8000), 16000)
            pixels = rng.integers(0, 256, (16, 16, 3), dtype="uint8")
            Image.fromarray(pixels).save(folder / f"i{i}.png")
    return root


@pytest.fixture
def command(files, tmp_path):
    """The command for the two small networks and a method without training."""
    return [
        *("benchmark", "--table", "2", "--out", str(tmp_path / "out"), "--smoke"),
        *("--bank", str(files / "bank.npz"), "--systems-from", str(files / "small.py")),
        *("--data", str(files / "classes"), "--duration", "0.2", "--snr", "0", "-5"),
        *("--systems", "small", "srp_phat"),
    ]


def content(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.extensive
def test_rows_are_trained_scored_and_not_run_again(command, tmp_path, capsys):
    assert main(command) == 0
    out = tmp_path / "out"
    assert f"wrote {out / 'table2.md'}" in capsys.readouterr().out
    row = json.loads((out / "rows" / "small.json").read_text())
    assert row["steps"] == 2 and len(row["trials"]) == 2
    assert [trial["factor"] for trial in row["trials"]] == [1, 3]
    best = min(row["trials"], key=lambda trial: trial["loss"])
    assert row["learning_rate"] == best["learning_rate"]
    # The scenes of all systems and levels are the same ones.
    other = json.loads((out / "rows" / "srp_phat.json").read_text())
    systems = [
        [Evaluation.from_dict(r["evaluations"][s]) for r in (row, other)] for s in ("0", "-5")
    ]
    for first, second in systems:
        assert paired_difference(first, second)["mae"] is not None
    np.testing.assert_array_equal(systems[0][0].scores.azimuth, systems[1][0].scores.azimuth)
    assert systems[1][0].settings["snr_db"] == -5
    # The network is there to be used.
    model = GCCMLP.from_preset(str(out / "models" / "small"))
    assert model.backbone.settings["microphone_spacing"] == pytest.approx(0.2)
    table = (out / "table2.md").read_text()
    assert "| Small |" in table and "| SRP-PHAT |" in table and "## −5 dB" in table
    assert Image.open(out / "table2.png").size[0] > 300
    assert "by the angle" in (out / "breakdown2.md").read_text()
    assert list((out / "scenes" / "train").iterdir())
    # Again with one system more: nothing else is run, and none is lost from the table.
    rows = content(out / "rows")
    command[command.index("small") : command.index("srp_phat") + 1] = ["prompted", "small"]
    assert main([*command, "--delete-scenes"]) == 0
    printed = capsys.readouterr().out
    assert "[2/2] Small (small): done before" in printed
    assert content(out / "rows").items() > rows.items()
    table = (out / "table2.md").read_text()
    assert all(f"| {title} |" in table for title in ("Small", "SRP-PHAT", "Prompted"))
    assert not list((out / "scenes").rglob("*.npy"))


@pytest.mark.extensive
def test_smoke_on_the_built_in_data(tmp_path):
    """With rooms, encoder and systems as they come, AV-SSAN among them."""
    arguments = ["benchmark", "--table", "2", "--smoke", "--out", str(tmp_path / "out")]
    arguments += ["--trials", "1", "--classes", "dog", "rain"]
    assert main([*arguments, "--systems", "avssan_base", "gcc_phat", "oracle"]) == 0
    content = json.loads((tmp_path / "out" / "table2.json").read_text())
    assert [row["name"] for row in content["rows"]] == ["avssan_base", "gcc_phat", "oracle"]
    assert set(content["rows"][0]["scores"]) == {"0", "-5", "-10"}
    assert set(content["rows"][1]["reference_minus_row"]) == {"0", "-5", "-10"}


@pytest.mark.extensive
def test_a_run_that_is_stopped_goes_on(command, tmp_path, monkeypatch, capsys):
    fits, fit = [], benchmark.fit_scenes

    def stop_at_third(*arguments, **options):
        if len(fits) == 2:
            raise KeyboardInterrupt
        fits.append(options["steps"])
        return fit(*arguments, **options)

    monkeypatch.setattr(benchmark, "fit_scenes", stop_at_third)
    assert main(command) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "keras-avssan benchmark: stopped"
    out = tmp_path / "out"
    assert not list((out / "rows").iterdir())
    assert len(json.loads((out / "trials" / "small.json").read_text())) == 2
    # The trials are not repeated.
    fits.clear()
    assert main(command) == 0
    assert len(fits) == 1
    # Nor is a training whose scores were lost.
    (out / "rows" / "small.json").unlink()
    fits.clear()
    assert main(command) == 0
    assert not fits and (out / "rows" / "small.json").exists()


@pytest.mark.extensive
def test_a_run_with_words_goes_on(command, encoders, tmp_path):
    """The projection of words, which nothing has trained, is the same in each process."""
    assert main([*command, *encoders]) == 0
    with np.load(tmp_path / "out" / "prompts.npz") as file:
        assert set(file["name_ids"]) == {"bell", "dog", "rain"}
    command[command.index("srp_phat")] = "gcc_phat"
    keras.utils.set_random_seed(5)
    assert main([*command, *encoders]) == 0
    assert (tmp_path / "out" / "rows" / "gcc_phat.json").exists()


def test_the_rate_of_the_lowest_loss_wins():
    trials = [
        {"learning_rate": 0.1, "loss": 2.0, "mae": 20.0},
        {"learning_rate": 0.3, "loss": 1.0, "mae": 30.0},
        {"learning_rate": 1.0, "loss": None, "mae": 180.0},
    ]
    assert benchmark.best_rate(trials) == 0.3
    earlier = [*trials, {"learning_rate": 0.03, "mae": 10.0}]
    assert benchmark.best_rate(earlier) == 0.03


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.extensive
def test_a_training_that_diverges_stops_no_other(last, command, tmp_path, monkeypatch):
    fits, fit = [], benchmark.fit_scenes

    def diverge(model, plan, **options):
        fits.append(options["learning_rate"])
        if len(fits) == 2 or (last and len(fits) == 3):
            raise NonFiniteLoss(1, float("nan"), plan, options["batch_size"])
        return fit(model, plan, **options)

    monkeypatch.setattr(benchmark, "fit_scenes", diverge)
    assert main(command) == 0
    out = tmp_path / "out"
    trials = json.loads((out / "trials" / "small.json").read_text())
    assert [trial["mae"] < 180 for trial in trials] == [True, False]
    assert fits[2] == trials[0]["learning_rate"]
    row = json.loads((out / "rows" / "small.json").read_text())
    if last:
        assert row["left_out"].startswith("The loss is nan at step 1")
        assert "The loss is nan at step 1" in (out / "table2.md").read_text()
    else:
        assert row["left_out"] is None and row["evaluations"]
    assert (out / "rows" / "srp_phat.json").exists()


def test_what_cannot_be_run_says_why(command, tmp_path):
    command[command.index("small") : command.index("srp_phat") + 1] = ["avssan_text"]
    assert main(command) == 0
    table = (tmp_path / "out" / "table2.md").read_text()
    assert "prompted with words: the image encoder reads no words" in table


def test_another_configuration_is_refused(command, tmp_path, capsys):
    command[command.index("small")] = "music"
    assert main(command) == 0
    before = content(tmp_path / "out")
    for change, named in (
        (["--budget", "3"], "`budget` is 2 there, but 3 now"),
        (["--snr", "0"], "`snr` is [0.0, -5.0] there, but [0.0] now"),
        (["--seed", "1"], "`seed`"),
        (["--classes", "dog", "rain"], "classes"),
    ):
        capsys.readouterr()
        assert main([*command, *change]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("keras-avssan benchmark: error: ") and named in error
    assert content(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--table", "1"], "`--table` must be one of 2, 3, 4"),
        (["--systems", "small", "unicorn"], "Received: --systems=['unicorn']"),
        (["--systems", "v_a"], "Received: --systems=['v_a']"),
        (["--snr", "0", "loud"], "`--snr`"),
        (["--snr", "nan"], "`--snr`"),
        (["--scenes", "1000000"], "Received: --scenes=1000000"),
        (["--classes", "dog"], "must have two classes or more"),
        (["--classes", "unicorn"], "unicorn"),
        (["--unseen-classes", "2"], "which leaves 1"),
        (["--trials", "9"], "`--trials`"),
        (["--size", "huge"], "`--size`"),
        (["--data", "nowhere"], "nowhere"),
        (["--test-split", "nowhere"], "nowhere"),
        (["--bank", "nowhere.npz"], "nowhere.npz"),
        (["--systems-from", "nowhere.py"], "nowhere.py"),
        (["--image-encoder", "nowhere"], "nowhere"),
        (["--audio-encoder", "nowhere"], "nowhere"),
        (["--table", "3", "--systems", "small"], "--starss23"),
        (["--out", "no/where"], "`--out`"),
        (["--scene-cache", "-1"], "`--scene-cache`"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(command, tmp_path, capsys, change, named):
    assert main([*command, *change]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("keras-avssan benchmark: error: ") and named in error
    assert not list(tmp_path.iterdir())
