"""Table 3: systems trained on simulated scenes, tested on segments."""

import json

import pytest

from keras_avssan.cli.main import main
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
