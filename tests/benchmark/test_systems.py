"""Rows, their choice, and the settings they share."""

from dataclasses import replace

import pytest

from keras_avssan.benchmark import BenchmarkSettings, System, built_in_systems, choose_systems
from keras_avssan.benchmark.system import KINDS, Setup

pytestmark = pytest.mark.backend_agnostic

SETUP = Setup(prompt_dim=6, microphone_spacing=0.1)


def test_tables():
    names = [system.name for system in choose_systems(2)]
    assert names[:2] == ["seldnet", "gcc_mlp"] and names[-1] == "oracle"
    assert "avssan_recording" in names and "v_a" not in names
    assert "avssan_recording" not in [system.name for system in choose_systems("3")]
    assert [s.name for s in choose_systems(2, ["music", "cmaf", "music"])] == ["music", "cmaf"]
    assert len({system.name for system in built_in_systems()}) == len(built_in_systems())
    assert {system.kind for system in built_in_systems()} == set(KINDS)


def test_the_papers_numbers():
    systems = {system.name: system for system in built_in_systems()}
    assert systems["cmaf"].paper[2, -10.0] == (24.52, 57.51)
    assert systems["avssan_paper"].paper[2, 0.0] == (16.59, 71.29)
    assert systems["avst"].paper[3, None] == (33.28, 45.34)
    assert systems["v_a_mb"].paper == {(4, 0.0): (19.19, 68.04)}
    assert not systems["fnssl"].paper


def test_the_ablation_switches_what_it_says():
    parts = {"V": "visual_prompt", "A": "semantic_audio", "MB": "multi_band"}
    parts |= {"BA": "band_attention", "Refiner": "spatial_refiner"}
    expected = {
        "avssan_base": "V A MB BA Refiner",
        "v": "V",
        "v_a": "V A",
        "v_a_mb": "V A MB",
        "v_a_mb_ba": "V A MB BA",
        "without_a": "V MB BA Refiner",
        "without_ba": "V A MB Refiner",
        "without_v": "A MB BA Refiner",
    }
    systems = choose_systems(4)
    assert [system.name for system in systems] == list(expected)
    for system in systems:
        backbone = system.make(SETUP).backbone
        present = {
            "visual_prompt": backbone.visual_prompt,
            "semantic_audio": backbone.semantic_audio,
            "multi_band": len(backbone.bands) == 3,
            **{n: backbone.settings[n] for n in ("band_attention", "spatial_refiner")},
        }
        assert [p for p, name in parts.items() if present[name]] == expected[system.name].split()
        assert backbone.settings["microphone_spacing"] == 0.1


@pytest.mark.parametrize("name", [s.name for s in choose_systems(2)])
def test_every_row_of_table_2_is_made(name):
    (system,) = choose_systems(2, [name])
    model = system.make(SETUP)
    own = model if not system.trained else model.backbone.settings
    spacing = own.microphone_spacing if not system.trained else own["microphone_spacing"]
    assert spacing == 0.1
    assert hasattr(model, "default_optimizer") == system.trained
    if system.kind == "audio-visual":
        assert model.backbone.prompt_dim == 6 and model.backbone.image_encoder is None


def test_small_networks_are_smaller():
    for name in ("avseld", "avssan_base", "avssan_paper"):
        (system,) = choose_systems(2, [name])
        full, small = (system.make(replace(SETUP, size=size)) for size in ("full", "small"))
        assert small.count_params() < 0.5 * full.count_params(), name


def test_a_file_adds_rows(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from keras_avssan.classical import MUSIC\n"
        "from keras_avssan.benchmark import System\n"
        "SYSTEMS = [System('mine', 'Mine', 'classical', lambda setup: MUSIC(), tables=(2,))]\n"
    )
    assert "mine" in [system.name for system in choose_systems(2, file=file)]
    (system,) = choose_systems(2, ["mine"], file)
    assert not system.trained and type(system.make(SETUP)).__name__ == "MUSIC"
    with pytest.raises(ValueError, match="`names` must be systems of table 4.*mine"):
        choose_systems(4, ["mine"], file)
    file.write_text("SYSTEMS = ['mine']")
    with pytest.raises(ValueError, match="must define SYSTEMS"):
        choose_systems(2, file=file)
    with pytest.raises(ValueError, match=r"nowhere\.py"):
        choose_systems(2, file="nowhere.py")


@pytest.mark.parametrize("table", [1, "two", 2.5, None])
def test_unknown_tables(table):
    with pytest.raises(ValueError, match=r"`table` must be one of \(2, 3, 4\)"):
        choose_systems(table)


def test_unknown_kinds_and_names():
    with pytest.raises(ValueError, match="`kind`"):
        System("a", "A", "visual", None)
    with pytest.raises(ValueError, match="`name`"):
        System("../a", "A", "audio", None)


def test_settings_are_brought_to_form():
    settings = BenchmarkSettings(snr=("0", -5, "-5.0"), budget=10.0)
    assert settings.snr == (0.0, -5.0) and settings.budget == 10


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"budget": 1}, "`budget`"),
        ({"trials": 5}, "`trials` must be from 1 to 4"),
        ({"trial_steps": 1}, "`trial_steps`"),
        ({"scenes": 0}, "`scenes`"),
        ({"test_rooms": 1}, "`test_rooms`"),
        ({"snr": ()}, "`snr`"),
        ({"snr": ("loud",)}, "`snr`.*loud"),
        ({"snr": ("nan",)}, "`snr`.*nan"),
        ({"snr": (float("-inf"),)}, "`snr`"),
        ({"snr": 3}, "`snr`"),
        ({"duration": 0}, "`duration`"),
        ({"spacing": float("nan")}, "`spacing`"),
        ({"unseen_classes": 1}, "`unseen_classes`"),
        ({"size": "huge"}, "`size` must be one of .*huge"),
    ],
)
def test_settings_out_of_range(changes, named):
    with pytest.raises(ValueError, match=named):
        BenchmarkSettings(**changes)
