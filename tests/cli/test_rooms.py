"""`rooms build`, `rooms show`, and the folder as a bank of the other commands."""

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.cli import main as cli
from keras_avssan.cli import options as cli_options
from keras_avssan.cli.main import main
from keras_avssan.simulation import RIRBank
from keras_avssan.simulation.bank import bank_settings

pytestmark = pytest.mark.backend_agnostic

SMALL = ["--rooms", "3", "--rooms-per-shard", "2", "--sources-per-room", "2", "--seed", "5"]
SMALL += ["--max-duration", "0.02", "--sampling-rate", "8000", "--t60", "0.2", "0.3"]


def build(folder, *more):
    return main(["rooms", "build", "--out", str(folder), *SMALL, *more])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rooms") / "bank"
    assert build(folder) == 0
    return folder


def test_build_passes_everything_on(tmp_path, capsys):
    options = ["--first-index", "7", "--formula", "eyring", "--spacing", "0.1", "--workers", "2"]
    assert build(tmp_path / "bank", *options, "--height", "2.5", "2.6") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == (
        f"{tmp_path / 'bank'}: 3 of 3 rooms are there, 2 of 2 shards are whole"
    )
    assert "3/3" in captured.err
    bank = RIRBank.load(tmp_path / "bank")
    assert bank.rirs.shape == (3, 2, 2, 160)
    assert (bank.seed, bank.first_index, bank.formula) == (5, 7, "eyring")
    assert bank.t60.max() < 0.3001 and bank.room_sizes[:, 2].max() < 2.6001
    spacing = np.linalg.norm(bank.microphones[:, 0] - bank.microphones[:, 1], axis=-1)
    np.testing.assert_allclose(spacing, 0.1, rtol=1e-5)


def test_build_goes_on(tmp_path, capsys):
    assert build(tmp_path / "bank", "--shards", "1", "2") == 0
    assert (
        capsys.readouterr().out.strip().endswith("1 of 3 rooms are there, 1 of 2 shards are whole")
    )
    assert build(tmp_path / "bank") == 0
    assert capsys.readouterr().out.strip().endswith("2 of 2 shards are whole")
    # Nothing is left to do.
    assert build(tmp_path / "bank") == 0
    assert "3/3" in capsys.readouterr().err


def test_refinements_are_passed_on(tmp_path, monkeypatch):
    received = {}
    monkeypatch.setattr(
        "keras_avssan.simulation.build_bank", lambda *_, **settings: received.update(settings)
    )
    options = ["--tail", "--calibrate", "--image-attenuation", "20"]
    assert build(tmp_path / "bank", *options) == 2  # nothing was built
    assert received["tail"] is received["calibrate"] is True
    assert received["image_attenuation"] == 20.0


def test_stopped_by_the_user(tmp_path, monkeypatch, capsys):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(bank_settings, "simulate_rirs", stop)
    assert build(tmp_path / "bank") == 130
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("keras-avssan rooms build: stopped with 0 of 2 shards whole in")
    assert "the same call or command resumes from there" in line


def test_show_tells_what_is_there(folder, capsys):
    assert main(["rooms", "show", str(folder), "--check"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    bank = RIRBank.load(folder)
    assert rows["rooms"] == "3 of 3"
    assert rows["shards"] == "2, all whole"
    assert rows["checked"] == "all files were read"
    assert rows["sampling"] == "8000 Hz" and rows["spacing"] == "microphones 0.2 m apart"
    assert rows["responses"] == "2 sources x 2 microphones x 160 samples at 8000 Hz"
    assert rows["T60"] == f"{bank.t60.min():.2f} to {bank.t60.max():.2f} s"
    assert rows["width"] == (
        f"{bank.room_sizes[:, 1].min():.2f} to {bank.room_sizes[:, 1].max():.2f} m"
    )
    assert rows["size"].endswith("MB")


def test_show_names_missing_and_damaged_shards(tmp_path, capsys):
    build(tmp_path / "bank", "--shards", "0", "1")
    capsys.readouterr()
    assert main(["rooms", "show", str(tmp_path / "bank")]) == 0
    shown = capsys.readouterr().out
    assert "rooms       2 of 3" in shown
    assert "1 of 2 whole; missing or damaged: 1" in shown
    file = tmp_path / "bank" / "rirs-00000.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    main(["rooms", "show", str(tmp_path / "bank"), "--check"])
    assert "0 of 2 whole; missing or damaged: 0, 1" in capsys.readouterr().out


def test_show_draws_a_room(folder, tmp_path):
    plan = tmp_path / "plan.png"
    assert main(["rooms", "show", str(folder), "--room", "2", "--plot", str(plan)]) == 0
    assert min(Image.open(plan).size) > 300


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["build", "--out", "NEW", *SMALL, "--rooms", "0"], "`--rooms`"),
        (["build", "--out", "NEW", *SMALL, "--t60", "0.5", "0.2"], "`--t60`"),
        (["build", "--out", "NEW", *SMALL, "--shards", "0", "9"], "`--shards`"),
        (["build", "--out", "NEW", *SMALL, "--workers", "0"], "`--workers`"),
        (["build", "--out", "BANK", *SMALL, "--seed", "6"], "`seed` is 5 there, but 6"),
        (["show", "NEW"], "does not exist"),
        (["show", "EMPTY"], "must be the folder of a bank"),
        (["show", "BANK", "--room", "3", "--plot", "NEW"], "`--room` must be from 0 to 2"),
        (["show", "BANK", "--plot", "NEW/plan.png"], "`--plot`"),
    ],
)
def test_bad_input_ends_with_code_2_and_one_line(folder, tmp_path, capsys, arguments, named):
    places = {"NEW": tmp_path / "new", "EMPTY": tmp_path, "BANK": folder}
    for name, place in places.items():
        arguments = [argument.replace(name, str(place)) for argument in arguments]
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert main(["rooms", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"keras-avssan rooms {arguments[0]}: error: ")
    assert named in line
    assert not list(tmp_path.iterdir())
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("arguments", [["rooms"], ["rooms", "build"], ["rooms", "show"]])
def test_missing_arguments_end_with_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    capsys.readouterr()


def test_other_commands_take_the_folder(folder, tmp_path, capsys):
    for command in ("train", "evaluate"):
        arguments = [command, "--bank", str(folder), "--model", "m", "--out", "o"]
        options = cli._parser().parse_known_args(arguments)[0]
        bank = cli_options.open_bank(options)
        assert bank.rirs.shape == (3, 2, 2, 160)
    (folder.parent / "part").mkdir()
    build(tmp_path / "part", "--shards", "0", "1")
    capsys.readouterr()
    arguments = ["train", "--bank", str(tmp_path / "part"), "--out", str(tmp_path / "model")]
    assert main(arguments) == 2
    assert "lacks 1 of its 2 shards" in capsys.readouterr().err


# ---- Measured rooms


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A folder with the responses of three rooms of two sources, by azimuth."""
    folder = tmp_path_factory.mktemp("measured")
    lines = ["file,room,azimuth,t60"]
    for room in range(3):
        for azimuth in (60, 120):
            name = f"{room}-{azimuth}.wav"
            lines.append(f"{name},{room},{azimuth},0.3")
            samples = np.zeros((400, 2))
            # 0.1 m apart at 8 kHz: 1.17 samples at 60 degrees.
            samples[[20, 21] if azimuth == 60 else [21, 20], [0, 1]] = 1
            soundfile.write(folder / name, samples, 8000)
    (folder / "responses.csv").write_text("\n".join(lines))
    return folder


IMPORT = ["--spacing", "0.1", "--sampling-rate", "8000"]


def test_import_and_show(table, tmp_path, capsys):
    out = tmp_path / "bank.npz"
    arguments = ["rooms", "import", str(table / "responses.csv"), *IMPORT, "--out", str(out)]
    assert main(arguments) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["rooms"] == "3" and rows["measured"] == "3 of 3"
    assert rows["responses"] == "2 sources x 2 microphones x 400 samples at 8000 Hz"
    assert rows["T60"] == "0.30 to 0.30 s" and rows["width"] == "not known"
    assert rows["spacing"] == "microphones 0.1 m apart"
    assert main(["rooms", "show", str(out)]) == 0
    assert dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()) == rows
    assert RIRBank.load(out).azimuths.tolist() == [[60, 120]] * 3


def test_import_says_that_ears_are_taken_as_free_microphones(table, tmp_path, capsys):
    arguments = ["rooms", "import", str(table / "responses.csv"), *IMPORT]
    assert main([*arguments, "--out", str(tmp_path / "open.npz")]) == 0
    assert "Ears" not in capsys.readouterr().out
    assert main([*arguments, "--baffle", "rigid", "--out", str(tmp_path / "head.npz")]) == 0
    spacing = RIRBank.load(tmp_path / "head.npz").microphone_spacing
    assert spacing > 0.11
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        f"Ears 0.1 m apart are taken as free microphones {spacing:.4g} m apart (--baffle)."
    )


def test_import_passes_everything_on(tmp_path, monkeypatch):
    received = {}

    def from_sofa(files, **settings):
        received.update(settings, files=files)
        raise ValueError("stopped")

    monkeypatch.setattr(RIRBank, "from_sofa", from_sofa)
    files = [str(tmp_path / name) for name in ("a.sofa", "b.sofa")]
    for file in files:
        open(file, "w").write("x")
    more = ["--tolerance", "0.01", "--max-pairs", "3", "--sources-per-room", "4", "--t60", "0.5"]
    more += ["--max-duration", "0.4", "--baffle", "rigid", "--out", str(tmp_path / "new")]
    assert main(["rooms", "import", *files, *IMPORT, *more]) == 2
    assert received == {
        **{"files": files, "microphone_spacing": 0.1, "tolerance": 0.01, "max_pairs": 3},
        **{"sources_per_room": 4, "sampling_rate": 8000, "max_duration": 0.4, "t60": 0.5},
        "baffle": "rigid",
    }


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["NEW/a.sofa", *IMPORT], "a.sofa' does not exist"),
        (["TEXT", *IMPORT], "`FILE` must be a whole SOFA file"),
        (["TABLE", "TABLE", *IMPORT], "`FILE` must be one table, or SOFA files"),
        (["TABLE", *IMPORT, "--max-pairs", "2"], "`--max-pairs` must be 1 for a table"),
        (["TABLE", *IMPORT, "--max-pairs", "0"], "`--max-pairs` must be at least 1"),
        (["TABLE", *IMPORT, "--baffle", "soft"], "`--baffle` must be one of rigid, open"),
        (["TABLE", *IMPORT, "--t60", "0"], "`--t60` must be positive"),
        (["TABLE", "--sampling-rate", "8000"], "`--spacing` must be given"),
        (["TABLE", *IMPORT, "--sources-per-room", "3"], "`--sources-per-room` must be at most 2"),
    ],
)
def test_bad_imports_write_nothing(table, tmp_path, capsys, arguments, named):
    text = table / "a.sofa"
    text.write_text("no SOFA file")
    places = {"NEW": tmp_path, "TEXT": text, "TABLE": table / "responses.csv"}
    for name, place in places.items():
        arguments = [argument.replace(name, str(place)) for argument in arguments]
    assert main(["rooms", "import", *arguments, "--out", str(tmp_path / "bank.npz")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("keras-avssan rooms import: error: ") and named in line
    assert not list(tmp_path.iterdir())


def test_variation_is_passed_on(tmp_path):
    more = ["--gain-error", "2", "--source-pattern", "cardioid", "--source-turn", "90"]
    assert build(tmp_path / "bank", *more, "--absorption-factor", "0.9", "1.1") == 0
    bank = RIRBank.load(tmp_path / "bank")
    assert 0 < abs(bank.microphone_gains).max() <= 2
    assert bank.source_orientations.shape == (3, 2, 3)
    ratio = bank.band_absorption / bank.absorption[:, :1]
    assert 0.9 <= ratio.min() < ratio.max() <= 1.1
