"""Scripts of `benchmarks` that pages name are run at tiny size, and keep what they promise."""

import importlib.util
import os
import pathlib
import re
import shlex
import subprocess
import sys

import keras_hub
import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.data import SyntheticClasses
from keras_avssan.encoders import SoundEffectsCNN
from keras_avssan.simulation import oversampling as fine_grid

pytestmark = pytest.mark.backend_agnostic


def load(name):
    path = pathlib.Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages, promises = load("pages"), load("script_promises")
ROOT, with_option = pages.ROOT, pages.with_option
SCRIPTS = ROOT / "benchmarks"
HERE = "tests/project/test_scripts.py"

# The test that runs each script by its `main`.
TESTS = {
    **dict.fromkeys(
        "arrays bands builder built_in copies decay encoder_probe export_table exported_model "
        "figures fine_grid input_pipeline latency limits live memory printed_loss quantization "
        "recipe "
        "robustness rooms several_prompts start_up tracking training".split(),
        HERE,
    ),
    "carry_over": "tests/project/test_measured_benchmarks.py",
    "dummy_head": "tests/project/test_measured_benchmarks.py",
    "directions": "tests/project/test_extraction_scripts.py",
    "extractor": "tests/project/test_extraction_scripts.py",
    "gpu": "tests/project/test_gpu_benchmark.py",
    "model_card": "tests/project/test_extraction_scripts.py",
    "mutants": "tests/project/test_mutants.py",
    "near_axis": "tests/project/test_near_axis_benchmark.py",
    "rigid_sphere": "tests/data/starss23/test_docs_page.py",
    "scale": "tests/project/test_scale_benchmark.py",
    "selection": "tests/project/test_extraction_scripts.py",
    "starss23_material": "tests/data/starss23/test_material.py",
    "candidate_limits": "tests/project/test_extraction_scripts.py",
}

TWO_ROWS = (["PyTorch, eager"], ["Keras, PyTorch"])
SCENES = {"--scenes": "4", "--duration": "0.2"}
TRAINED = {**SCENES, "--rooms": "2"}
# Options in place of those written, and constants in place of the script's.
TINY = {
    "arrays": {
        **{"--scenes": "2", "--duration": "0.5", "--arrays": "square respeaker_4"},
        **{"--model": "trained", "--data": "FOLDER", "--out": "arrays.json"},
    },
    "bands": {
        **{"--classes": "twelve", "--forms": (["published", "gain-dropout"],), "--seeds": "1"},
        **{"--steps": "3", "--batch-size": "2", "--dim": "8", "--train-scenes": "4"},
        **{"--parts": (["full", "MB", "fine-alone"],), "--ablate": "", "--agree": ""},
        **{"--validation-rooms": "2", **TRAINED},
    },
    "builder": {"--clips": "20"},
    "built_in": {"--steps": "2", "--rooms": "2", "--scenes": "4"},
    "copies": {"--every": "8"},
    "decay": {"--positions": "2", "--t60": "0.2"},
    "encoder_probe": {},
    "export_table": {"--out": "export-table.md"},
    "exported_model": {
        **{"--model": "trained", "--runs": "1", "--seconds": "0.5", "--row": (["torch torch"],)}
    },
    "figures": {**TRAINED, "--duration": "0.5", "--out": "figures"},
    "fine_grid": {"--oversampling": "8 32", "--runs": "1"},
    "input_pipeline": {
        **{"--seconds": "0.5", "--rooms": "3", "--batch-size": "2", "--scenes": "4"},
        **{"--rounds": "1", "--budget": "0.1", "--warm-up": "1", "--json": "rates.json"},
    },
    "latency": {
        **{"--runs": "1", "--seconds": "0.3 0.5", "--threads": "1"},
        **{"--row": (["Keras, PyTorch"], ["ONNX Runtime"])},
    },
    "limits": {**TRAINED, "--batch-size": "3"},
    "live": {
        **{"--seconds": "1", "--threads": "1", "--network": "AVSSAN()"},
        **{"--row": (["Keras, PyTorch"], ["ONNX Runtime"]), "--json": "live.json"},
    },
    "memory": {"--row": "0.3:2:2"},
    "printed_loss": {"--scenes": "2", "--steps": "2"},
    "quantization": {"--model": "trained", "--scenes": "4", "--out": "int8.json"},
    "recipe": {
        **{"--steps": "2", "--batch-size": "2", "--dim": "8", "--train-scenes": "4"},
        **{"--validation-rooms": "2", "--variants": "baseline"},
        **TRAINED,
    },
    "robustness": {
        **{"--rows": (["as trained", "three sources", "absent"],)},
        **TRAINED,
    },
    "rooms": {"--smoke": "", "--threads": "1"},
    "several_prompts": {
        **{"--runs": "1", "--seconds": "0.5", "--prompts": "2", "--threads": "1"},
        **{"--backend": "torch", "--network": (["AVSSAN(), pictures"],)},
    },
    "start_up": {
        **{"--runs": "1", "--threads": "1", "--backend": "torch", "--out": "start_up.json"},
        **{"--row": (["import keras, keras_avssan"], ["import keras_hub"], ["localize"])},
    },
    "tracking": {
        **{"--scenes": "1", "--duration": "2", "--window": "0.5", "--hop": "0.5"},
        **{"--model": "trained", "--data": "FOLDER", "--out": "tracking.json"},
    },
    "training": {
        **{"--size": "quickstart", "--seconds": "0.5", "--batch-size": "2", "--dim": "8"},
        **{"--filters": "4"},
        **{"--threads": "1", "--repeats": "1"},
    },
}
CONSTANTS = {
    "builder": {
        **{"CLASSES": ("bird", "drum"), "DISTINCT": 2, "FRAME_RATE": 2, "SIZE": (64, 80)},
        **{"DURATION": 2.0, "ROWS_PER_PART": 5},
        **{"VISION": (32, 8, 1, 1, 8), "TEXT": (8, 8, 1, 1, 8)},
    },
    "copies": {
        "SyntheticClasses": lambda: SyntheticClasses(["bird", "drum"], instances_per_class=7)
    },
    "decay": {"ROOMS": ((3.0, 3.0, 2.5), (4.0, 3.5, 2.7))},
    "export_table": {"BACKENDS": {"torch": "PyTorch"}, "FORMATS": {"torch": "PyTorch"}},
    "quantization": {"_RUNS": 1},
    "rooms": {"GRID_T60": 0.15, "GRID_T60S": (0.1, 0.12, 0.15), "GRID_SOURCES": 2},
}
# Commands beside those in blocks: of marks of measured numbers, of the text, of a script's head.
BESIDE = [
    "python benchmarks/input_pipeline.py --profile",
    "python benchmarks/input_pipeline.py --decode",
    "python benchmarks/copies.py",
    "python benchmarks/rooms.py gpu --bandwidth 3350 --operations 67",
    "python benchmarks/export_table.py",
    "python benchmarks/built_in.py",
]
# A model that one command trains is what the next ones ask for.
IN_TURN = ("recipe", "limits", "robustness", "figures")


def script_of(command):
    return re.match(r"python benchmarks/(\w+)\.py", command)[1]


def tiny(command):
    """Name of a script, and its arguments at tiny size."""
    script = script_of(command)
    command = command.replace("$classes", "all").replace("$row", "Keras, TensorFlow")
    words = shlex.split(command.rstrip("& "), comments=True)[2:]
    if script == "built_in":
        words = runs_of_built_in()
    options = dict(TINY[script])
    if script == "figures":
        options["--model"] = "trained" if "built-in" in words else "results/models/baseline"
    if script == "training" and words.count("--row") > 2:
        options["--row"] = TWO_ROWS
    if script == "rooms" and "paper" in words:
        options["--row"] = (
            ["pyroomacoustics, images"],
            ["keras-avssan, PyTorch, images"],
        )
    for option, values in options.items():
        words = with_option(words, option, *(values if isinstance(values, tuple) else (values,)))
    return script, *words


def runs_of_built_in():
    """Options of the command in the head of the script, as the shell understands them."""
    head = (SCRIPTS / "built_in.py").read_text().split('"""')[1]
    shell = "python() { shift; printf '%s\\0' \"$@\"; }\n" + head[head.index("export") :]
    done = subprocess.run(["bash", "-euc", shell], capture_output=True, check=True, text=True)
    return done.stdout.split("\0")[:-1]


WRITTEN = [
    command
    for page in pages.PAGES
    for command in pages.commands_of(page)
    if command.startswith("python benchmarks/")
]
# What differs in sizes alone is run once.
RUNS = dict.fromkeys(
    tiny(command) for command in WRITTEN + BESIDE if TESTS.get(script_of(command)) == HERE
)
QUICK = ("arrays", "copies", "decay", "encoder_probe", "fine_grid", "printed_loss", "tracking")
ALONE = [
    pytest.param(run, marks=() if run[0] in QUICK else pytest.mark.extensive, id=" ".join(run))
    for run in RUNS
    if run[0] not in IN_TURN or "built-in" in run
]


# ---- What the commands read


@pytest.fixture(scope="module")
def base(tmp_path_factory, small_model):
    root = tmp_path_factory.mktemp("scripts")
    rng = np.random.default_rng(0)
    for name in promises.TWELVE:
        (root / "FOLDER" / name).mkdir(parents=True)
        for index in range(14):
            path = root / "FOLDER" / name / str(index)
            soundfile.write(f"{path}.wav", 0.1 * rng.standard_normal(6400), 16000)
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), "uint8")).save(f"{path}.png")
    pictures = keras_hub.models.VGGBackbone([1, 1], [2, 4], image_shape=(224, 224, 3))
    pictures.save_to_preset(str(root / "PRESET"))
    SoundEffectsCNN((2, 2, 4, 8)).save_to_preset(str(root / "sound_effects_cnn"))
    small_model().save_to_preset(root / "trained")
    return root


@pytest.fixture
def run(base, monkeypatch, capfd, cheap):
    """Runs a script's `main` in the folder of these files; returns what was printed."""
    monkeypatch.chdir(base)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(fine_grid, "OVERSAMPLING", fine_grid.OVERSAMPLING)  # put back

    def run(script, *words):
        capfd.readouterr()
        if script == "input_pipeline" and "--profile" not in words:
            # Sets TensorFlow's threads, which must be before anything has used them.
            return run_as_process(script, *words)
        module = importlib.import_module(script)
        for name, value in CONSTANTS.get(script, {}).items():
            monkeypatch.setattr(module, name, value)
        monkeypatch.setattr("sys.argv", [str(SCRIPTS / f"{script}.py"), *words])
        module.main()
        return capfd.readouterr().out

    yield run
    fine_grid._low_pass.cache_clear()


def run_as_process(script, *words):
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{script}.py"), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_and_check(run, script, words):
    out = run(script, *words)
    assert not re.search(r"\b(nan|inf)\b", out)
    getattr(promises, f"check_{script}")(words, out)


@pytest.mark.parametrize("command", ALONE)
def test_it_runs(run, command):
    script, *words = command
    run_and_check(run, script, words)


@pytest.mark.extensive
def test_a_trained_model_is_asked_by_further_commands(run):
    following = [one for script in IN_TURN for one in RUNS if one[0] == script]
    for script, *words in following:
        if "built-in" not in words:
            run_and_check(run, script, words)


# ---- Which scripts there are


def test_every_documented_script_has_a_test():
    named = set()
    for page in ("CONTRIBUTING.md", *pages.PAGES):
        text = pages.text_of(page)
        named.update(re.findall(r"python benchmarks/(\w+)\.py", text))
        for commands in re.findall(r'measured: command="([^"]*)"', text):
            named.update(re.findall(r"(?:^|, )benchmarks/(\w+)\.py", commands))
    with_main = {path.stem for path in SCRIPTS.glob("*.py") if "__main__" in path.read_text()}
    assert named == set(TESTS) == with_main


def test_the_tests_exist_and_run_them():
    for script, test in TESTS.items():
        assert script in (ROOT / test).read_text(), test
    assert {run[0] for run in RUNS} == {name for name, test in TESTS.items() if test == HERE}
    assert set(TINY) == {run[0] for run in RUNS}


@pytest.mark.parametrize("command", sorted(set(WRITTEN)))
def test_scripts_have_the_options_that_pages_name(command):
    script = SCRIPTS / f"{script_of(command)}.py"
    words = shlex.split(command.rstrip("& "), comments=True)
    source = script.read_text()
    for module in re.findall(r"^(?:from|import) (\w+)", source, re.M):
        beside = script.with_name(f"{module}.py")
        source += beside.read_text() if beside.exists() else ""
    for option in (word for word in words if word.startswith("--")):
        assert f'"{option}"' in source or option[2:].replace("-", "_") in source, option
