"""Every command of README, pages and notebooks is run at tiny size, and keeps what it promises."""

import collections
import csv
import importlib.util
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan import training
from keras_avssan.cli import main as cli
from keras_avssan.data import STARSS23_CLASSES, ClassFolders, VGGSoundSSL
from keras_avssan.data.media.video_io import write_video
from keras_avssan.models import Localizer
from keras_avssan.simulation import RIRBank
from keras_avssan.simulation.bank.bank_folder import BankFolder

pytestmark = pytest.mark.backend_agnostic

SPEC = importlib.util.spec_from_file_location("pages", pathlib.Path(__file__).with_name("pages.py"))
pages = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pages)
ROOT, with_option = pages.ROOT, pages.with_option

# What is not run, as regular expressions, each with the reason.
NOT_RUN = {
    r"pip install": "downloads; tests/project/test_packaging.py holds the extras",
    r"pip download": "downloads",
    r"make (demo|test)": "sets up environments; the notebook and the suite have runs of their own",
    r"keras-avssan app": "serves until it is stopped; tests/app/test_page.py opens the page",
    r"(arecord|ffmpeg)\b|keras-avssan listen": "records until it is stopped; "
    "tests/cli/test_listen.py has a pipe and a card",
    r"keras-avssan presets --card": "needs a packaged model, which tests/cli/test_packaged.py has",
    r"ray start|export RAY_ADDRESS": "starts a cluster; tests/_internal/test_engines.py has one",
    r"export KERAS_BACKEND": "sets the backend of a shell",
    r"pytest tests/parity": "a process for each backend; `make test-parity` runs it",
    r"python -c 'import kagglehub": "downloads",
    r"python -c .import (torch|tensorflow|jax)\b": "lists devices; needs every backend",
    r"python -c '\nfrom keras_avssan[^']*onnx": "tests/models/test_export.py writes every format",
    r"python -c '\nfrom keras_avssan[^']*int8": "tests/models/test_quantization.py has the same",
    r"python benchmarks/\w+\.py": "tests/project/test_scripts.py runs them",
    r"python docs/figures_age\.py": "tests/project/test_figures_age.py reads all marks",
    r"(for|do|done)\b|first=": "a loop of the shell, or its variable",
}

# Options in place of those written: sizes, and what would be downloaded or needs a cluster.
SCENES = {"--duration": "0.3", "--rooms": "4"}
TINY = {
    "train": {**SCENES, "--steps": "2", "--epochs": "1", "--batch-size": "2"},
    "evaluate": {**SCENES, "--scenes": "4"},
    "localize": {},
    "rooms build": {
        **{"--rooms": "20", "--rooms-per-shard": "5", "--sources-per-room": "2"},
        **{"--workers": "1", "--max-duration": "0.02", "--t60": "0.2 0.25"},
    },
    "rooms import": {},
    "rooms show": {},
    "build folders": {},
    "build check-splits": {},
    "build vggsound-ssl": {
        **{"--clip": "none", "--min-instances": "2", "--max-clips": "12", "--duration": "1"},
        **{"--workers": "1", "--engine": "processes"},
    },
    "completion": {},
    "presets": {},
    "benchmark": {
        **{"--duration": "0.2", "--scenes": "8", "--snr": "0", "--rooms": "4", "--budget": "2"},
        **{"--test-rooms": "2", "--batch-size": "2", "--trials": "2", "--trial-steps": "2"},
    },
}
SHARDS = {"0 50": "0 2", "50 100": "2 4", "$first 7": "1 2"}
OWN_ROWS = """
from keras_avssan.benchmark import System
from keras_avssan.models.baselines import MLPAVC


def make(setup):
    return MLPAVC(
        hidden_dim=8,
        prompt_dim=setup.prompt_dim,
        sampling_rate=setup.sampling_rate,
        microphone_spacing=setup.microphone_spacing,
    )


SYSTEMS = [System("mine", "My network", "audio-visual", make)]
"""


COMMANDS = {page: list(pages.commands_of(page)) for page in pages.PAGES}


def reason_not_to_run(command):
    return next((why for what, why in NOT_RUN.items() if re.match(what, command)), None)


def arguments_of(command):
    """What the shell would pass on: an ellipsis stands for options, $(( )) for a number."""
    command = re.sub(r"\$\(\([^)]*\)\)", "7", command.replace("/shared/", ""))
    command = re.sub("…[^…]*…|…", "", command).rstrip("& ")
    program, *words = shlex.split(command.split(" > ")[0], comments=True)
    assert program == "keras-avssan"
    return words


def tiny(words):
    """The name of a command, and its arguments at tiny size."""
    name = next(name for name in TINY if words[: len(name.split())] == name.split())
    if words[-1] == "--help":
        return name, words
    if "--shards" in words:
        place = words.index("--shards")
        words = with_option(words, "--shards", SHARDS[" ".join(words[place + 1 : place + 3])])
    for option, values in TINY[name].items():
        words = with_option(words, option, values)
    if name == "benchmark":
        words = tiny_benchmark(words)
    if importlib.util.find_spec("tensorboard") is None:  # a package of the reader's own
        words = with_option(words, "--tensorboard", None)
    return name, words


def tiny_benchmark(words):
    """Of the built-in data, without an encoder; rows that need no training, and some that do."""
    for option in ("--classes", "--image-encoder", "--allow-single-picture", "--data"):
        words = with_option(words, option, None)
    table = words[words.index("--table") + 1]
    rows = {"2": "oracle gcc_phat", "3": "oracle", "4": "v_a"}[table]
    rows = "mine" if "mine" in words else rows
    if table == "3":
        words = with_option(words, "--segment-duration", "1")
        if "--segment-steps" in words:
            words = with_option(words, "--segment-steps", "2")
    if "--out" not in words:
        words = with_option(words, "--out", "results")
    words = [word for word in words if word != "--smoke"]
    return [*with_option(words, "--systems", rows), "--smoke"]


@pytest.fixture(scope="module")
def base(tmp_path_factory, example_files, small_model):
    """What the commands read, under all the names that they have for it."""
    root = tmp_path_factory.mktemp("commands")
    example_files(root)
    (root / "sounds").rename(root / "pictures")
    write_classes(root / "sounds")
    shutil.rmtree(root / "my_sounds")
    for name in ("my_classes", "my_folder", "my_sounds"):
        shutil.copytree(root / "sounds", root / name)
    for name in ("my_model", "DIR"):
        small_model().save_to_preset(root / name)
    write_starss23(root / "STARSS23")
    (root / "classes.csv").write_text("class,pictures\nbell,bell\n")
    (root / "mine.py").write_text(OWN_ROWS)
    write_array(root)
    write_videos(root)
    return root


def write_classes(root):
    """Two classes with enough in each split."""
    rng = np.random.default_rng(0)
    for class_name in ("dog", "bell"):
        (root / class_name).mkdir(parents=True)
        for index in range(14):
            sound = 0.1 * rng.standard_normal(8000)
            soundfile.write(root / class_name / f"{index}.wav", sound, 16000)
            pixels = rng.integers(0, 255, (16, 16, 3), "uint8")
            Image.fromarray(pixels).save(root / class_name / f"{index}.png")


def write_array(root):
    """Recordings of four and six channels, and the positions of four microphones."""
    sound = 0.1 * np.random.default_rng(0).standard_normal((8000, 6))
    for name, channels in (("four", 4), ("six", 6)):
        soundfile.write(root / f"{name}.wav", sound[:, :channels], 16000)
    (root / "my_array.csv").write_text("x,y\n0.1,0\n0,0.1\n-0.1,0\n0,-0.1\n")


def write_starss23(root):
    """A recording of four channels with a bell in it, to train on and to test on."""
    sound = 0.1 * np.random.default_rng(0).standard_normal((2 * 240000, 4))
    bell = STARSS23_CLASSES.index("bell")
    rows = [[frame, bell, 0, 60, 0, 180] for frame in range(200)]
    for name in ("dev-train-sony/fold3_room21_mix001", "dev-test-sony/fold4_room23_mix001"):
        audio, annotation = root / f"mic_dev/{name}.wav", root / f"metadata_dev/{name}.csv"
        for path in (audio, annotation):
            path.parent.mkdir(parents=True)
        soundfile.write(audio, sound, 24000)
        with open(annotation, "w") as file:
            csv.writer(file).writerows(rows)


def write_videos(root):
    """VGGSound's table and videos of one second."""
    pytest.importorskip("av")
    rng = np.random.default_rng(0)
    (root / "videos").mkdir()
    with open(root / "vggsound.csv", "w", newline="") as table:
        for number in range(12):
            row = (f"video{number:06d}", number, ("violin", "dog barking")[number % 2], "train")
            csv.writer(table).writerow(row)
            pictures = rng.integers(0, 255, (4, 32, 32, 3), "uint8")
            sound = 0.1 * rng.standard_normal(16000).astype("float32")
            path = root / "videos" / f"{row[0]}_{number:06d}.mp4"
            write_video(path, sound, pictures, sampling_rate=16000)


@pytest.fixture(scope="module")
def benchmarks_done():
    return set()


def value(words, option):
    return words[words.index(option) + 1]


def check_train(words, out):
    assert out.splitlines()[-1] == f"saved {value(words, '--out')}"
    assert isinstance(Localizer.from_preset(value(words, "--out")), Localizer)
    if "--tensorboard" in words:
        assert any(pathlib.Path(value(words, "--tensorboard")).rglob("events*"))


def check_evaluate(words, out):
    assert "selection" in out and "random source" in out
    number, counted = (2, "segments") if "--starss23" in words else (4, "scenes")
    assert f"{number} {counted}" in out
    if "--json" in words:
        report = json.loads(pathlib.Path(value(words, "--json")).read_text())
        assert "--starss23" in words or 0 <= report["scores"]["selection"]["mean"] <= 1
        assert report["settings"][counted] == number


def check_localize(words, out):
    if "--track" in words:
        windows = re.findall(r"\d+ of (\d+) windows with a direction", out)
        with open(value(words, "--csv"), newline="") as file:
            counts = collections.Counter(row["prompt"] for row in csv.DictReader(file))
        assert [int(count) for count in windows] == list(counts.values())
        if "--figure" in words:
            assert pathlib.Path(value(words, "--figure")).stat().st_size > 1000
        return
    found = re.findall(
        r"(\d+) degrees, probability within 5 degrees: \d\.\d\d(?:, pres.*)?$", out, re.M
    )
    low, high = (0, 359) if "--array" in words else (1, 180)
    assert found and all(low <= int(azimuth) <= high for azimuth in found)
    if "--csv" in words:
        assert len(list(csv.DictReader(open(value(words, "--csv"))))) == len(found) == 2
    if "--figure" in words:
        assert min(Image.open(value(words, "--figure")).size) > 100


def check_rooms_build(words, out):
    folder = value(words, "--out")
    bank = BankFolder.open(folder)
    whole = len(bank) - len(bank.missing())
    assert out == f"{folder}: {5 * whole} of 20 rooms are there, {whole} of 4 shards are whole\n"
    built = words[words.index("--shards") + 1 :][:2] if "--shards" in words else (0, 4)
    assert not set(range(*map(int, built))) & set(bank.missing())


def check_rooms_import(words, out):
    assert len(RIRBank.load(value(words, "--out"))) == 1 and "1 of 1" in out


def check_rooms_show(words, out):
    if words[2].endswith(".npz"):
        check_rooms_import([*words, "--out", words[2]], out)
        return
    assert "20 of 20" in out and "4, all whole" in out
    if "--plot" in words:
        assert min(Image.open(value(words, "--plot")).size) > 100


def check_folders(words, out):
    assert "28 recordings" in out
    if "--write-metadata" in words:
        assert len(ClassFolders(words[2]).clips) == 28
        assert pathlib.Path(words[2], "metadata.csv").exists()


def check_splits(words, out):
    assert re.search(r"^\d+ leaks among .*\d+ clips of train", out, re.M)


def check_vggsound(words, out):
    assert out.startswith(f"{value(words, '--out')}: 12 clips") and "of 2 classes" in out
    assert len(VGGSoundSSL(value(words, "--out")).clips) == 12
    if "--spatialise" in words:
        assert pathlib.Path(value(words, "--out"), "spatial").is_dir()


def check_benchmark(words, out):
    table = pathlib.Path(value(words, "--out"), f"table{value(words, '--table')}.md")
    assert out.splitlines()[-1] == f"wrote {table}"
    rows = words[words.index("--systems") + 1 :]
    for row in itertools.takewhile(lambda word: not word.startswith("--"), rows):
        own = ".starss23" if value(words, "--table") == "3" else ""
        assert (table.parent / "rows" / f"{row}{own}.json").exists()


def check_completion(words, out):
    assert "localize" in out and "--prompt" in out


def check_presets(words, out):
    assert re.search(r"^avssan_small +AVSSAN +no ", out, re.M)


CHECKS = {
    "presets": check_presets,
    "completion": check_completion,
    "train": check_train,
    "evaluate": check_evaluate,
    "localize": check_localize,
    "rooms build": check_rooms_build,
    "rooms import": check_rooms_import,
    "rooms show": check_rooms_show,
    "build folders": check_folders,
    "build check-splits": check_splits,
    "build vggsound-ssl": check_vggsound,
    "benchmark": check_benchmark,
}
TO_RUN = {
    page: runs
    for page, commands in COMMANDS.items()
    if (runs := [command for command in commands if not reason_not_to_run(command)])
}


# Trainings of several networks.
LONG = ("docs/tables.md", "docs/benchmarks.md")


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.extensive if page in LONG else ()) for page in TO_RUN],
)
def test_commands_of_a_page_run(
    page, base, tmp_path, monkeypatch, cheap, packaged, capsys, benchmarks_done
):
    """One after another in one folder, as a reader would run them."""
    folder = tmp_path / "here"
    shutil.copytree(base, folder, symlinks=True)
    monkeypatch.chdir(folder)
    fit = training.fit_scenes
    monkeypatch.setattr(
        training, "fit_scenes", lambda *a, **k: fit(*a, **{"validation_scenes": 2, **k})
    )
    for command in TO_RUN[page]:
        name, words = tiny(arguments_of(command))
        if name == "benchmark" and tuple(words) in benchmarks_done:
            continue  # the same on another page, but for the sizes
        if words[-1] == "--help":
            with pytest.raises(SystemExit) as stopped:
                cli.main(words)
            assert stopped.value.code == 0
            continue
        if name == "train":  # where another command of the page has a model of that name
            shutil.rmtree(value(words, "--out"), ignore_errors=True)
        capsys.readouterr()
        code = cli.main(words)
        captured = capsys.readouterr()
        allowed = (0, 1) if name == "build check-splits" else (0,)
        assert code in allowed, f"{command}\n{captured.err}"
        CHECKS[name](words, captured.out)
        if name == "benchmark":
            benchmarks_done.add(tuple(words))


@pytest.mark.extensive
def test_a_command_of_the_readme_as_a_process_of_its_own(base, tmp_path):
    [command] = [one for one in COMMANDS["README.md"] if one.startswith("keras-avssan rooms")]
    _, words = tiny(arguments_of(command))
    done = subprocess.run(
        [sys.executable, "-m", "keras_avssan", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "rooms: 20 of 20 rooms are there, 4 of 4 shards are whole\n"
    assert len(RIRBank.load(tmp_path / "rooms")) == 20


def test_every_kind_of_command_is_run():
    names = {tiny(arguments_of(command))[0] for runs in TO_RUN.values() for command in runs}
    assert names == set(CHECKS)


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_what_is_not_run_is_still_there(pattern):
    commands = [command for commands in COMMANDS.values() for command in commands]
    assert any(re.match(pattern, command) for command in commands), "a stale entry"
    for named in re.findall(r"tests/[\w/]+\.py", NOT_RUN[pattern]):
        assert (ROOT / named).exists()
