"""Table 3: systems trained on simulated scenes, tested on segments."""

import json

import pytest

from keras_avssan.benchmark import BenchmarkSettings, SegmentTraining, run_benchmark
from keras_avssan.cli.main import main
from keras_avssan.data import STARSS23, PictureFolders, SegmentPrompts, SyntheticClasses
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture
def command(writer, sound, render, pictures, tmp_path):
    sounds = [sound("bell", 10 * k, 10 * k + 10, a) for k, a in enumerate((-135, -20, 45, 80))]
    sounds += [sound("knock", 30, 37, -100)]
    writer.recording(sounds=sounds, audio=render(sounds, 5.0))
    (tmp_path / "map.csv").write_text("class,pictures\nbell,church_bell\n")
    bank = RIRBank.build(
        10,
        ranges=RoomRanges(t60=(0.2, 0.3), spacing=0.0688),
        sources_per_room=2,
        max_duration=0.03,
        progress=False,
    )
    bank.save(tmp_path / "bank.npz")
    return [
        *("benchmark", "--table", "3", "--smoke", "--out", str(tmp_path / "out")),
        *("--starss23", str(writer.root), "--prompts-from", str(pictures)),
        *("--class-map", str(tmp_path / "map.csv"), "--segment-duration", "1"),
        *("--baffle", "open", "--bank", str(tmp_path / "bank.npz"), "--duration", "0.2"),
        *("--classes", "dog", "rain", "--systems", "mlp_avc", "srp_phat", "oracle"),
    ]


@pytest.mark.extensive
def test_table_3(command, tmp_path):
    assert main(command) == 0
    out = tmp_path / "out"
    rows = [json.loads(path.read_text()) for path in sorted((out / "rows").iterdir())]
    assert [row["name"] for row in rows] == ["mlp_avc", "oracle", "srp_phat"]
    prompted, oracle, steered = (row["evaluations"]["STARSS23"] for row in rows)
    assert prompted["settings"]["segments"] == 4
    assert prompted["settings"]["microphone_spacing_m"] == pytest.approx(0.0688, abs=1e-4)
    assert prompted["scores"]["mae"] is not None
    assert oracle["scores"]["mae"]["mean"] <= steered["scores"]["mae"]["mean"]
    table = (out / "table3.md").read_text()
    assert "## STARSS23" in table and "36.85°, 41.23 %" in table
    assert (out / "models" / "mlp_avc").is_dir()


def test_other_segments_or_another_spacing_are_refused(command, tmp_path, capsys):
    command[command.index("mlp_avc")] = "music"
    assert main(command) == 0
    assert main([*command, "--max-motion", "9", "--segment-duration", "1.5"]) == 2
    assert "holds results of another configuration" in capsys.readouterr().err
    assert main([*command, "--pair", "M2-M3", "--baffle", "rigid"]) == 2
    assert "`spacing` must be that of STARSS23's" in capsys.readouterr().err


@pytest.fixture
def further(command, writer, sound, render):
    """The command with a split to train on, of other recordings."""
    sounds = [sound("bell", 10 * k, 10 * k + 10, a) for k, a in enumerate((-100, 10, 60))]
    audio = render(sounds, 3.0, seed=1)
    writer.recording("fold3_room1_mix001", sounds, 3.0, folder="dev-train-sony", audio=audio)
    return [*command, "--segment-steps", "2"]


@pytest.mark.extensive
def test_training_on_segments(further, tmp_path, capsys):
    assert main(further) == 0
    out = tmp_path / "out"
    rows = [json.loads(path.read_text()) for path in sorted((out / "rows").iterdir())]
    levels = ["STARSS23", "STARSS23, trained on it"]
    assert all(list(row["evaluations"]) == levels for row in rows)
    before, after = (rows[0]["evaluations"][level]["per_scene"]["estimate"] for level in levels)
    assert len(before) == len(after) == 4
    steered = rows[-1]["evaluations"]
    assert steered[levels[0]]["scores"] == steered[levels[1]]["scores"]
    table = (out / "table3.md").read_text()
    assert table.index("## STARSS23\n") < table.index("## STARSS23, trained on it\n")
    overlap = rows[0]["evaluations"][levels[1]]["settings"]["training_overlap"]
    assert overlap["pictures"]["in_training"] == 0 and overlap["known"]
    assert (out / "models" / "mlp_avc.starss23").is_dir()
    capsys.readouterr()
    assert main([*further[:-1], "3"]) == 2
    assert "training_steps" in capsys.readouterr().err


@pytest.mark.parametrize("steps", ["1", "-3"])
def test_too_few_steps_on_segments(further, steps, capsys):
    assert main([*further[:-1], steps]) == 2
    assert "`--segment-steps` must be" in capsys.readouterr().err


def test_segments_of_the_tests_are_not_trained_on(writer, sound, render, pictures):
    sounds = [sound("bell", 0, 10, 45)]
    writer.recording(sounds=sounds, audio=render(sounds, 1.0))
    dataset = STARSS23(writer.root, duration=1.0, baffle="open")
    bells = {"bell": "church_bell"}
    test = SegmentPrompts(dataset, PictureFolders(pictures), bells)
    options = [3, (), BenchmarkSettings(spacing=0.0688), SyntheticClasses(), "unused"]
    with pytest.raises(ValueError, match="must have other recordings than `segments`"):
        run_benchmark(*options, segments=test, further=SegmentTraining(test, 2))
    with pytest.raises(ValueError, match="`further` needs `segments`"):
        run_benchmark(2, *options[1:], further=SegmentTraining(test, 2))
    assert repr(SegmentTraining(test, 2)) == "<SegmentTraining: 2 steps on 1 segment>"
