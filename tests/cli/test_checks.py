"""Options and paths are checked before anything heavy is imported, each with words of its own."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from keras_avssan._internal.saved_files import CHECKPOINT_PATTERN
from keras_avssan.cli import main as cli
from keras_avssan.cli.checks import FILES, FOLDERS
from keras_avssan.training.checkpoint_folder import checkpoint_path

pytestmark = pytest.mark.backend_agnostic

# Required options of each command, and its options that name files to read or write.
LOCALIZE = "localize mix.wav --prompt dog.jpg --model model"
LISTEN = "listen --prompt dog.jpg --model model"
EVALUATE = "evaluate --model model"
BENCHMARK = "benchmark --table 2 --out results"
VGGSOUND = "build vggsound-ssl --csv table.csv --videos folder --clip none --out new"
READ = {
    "train --out new": ["--data", "--bank", "--image-encoder", "--audio-encoder"],
    EVALUATE: ["--model", "--data", "--bank", "--starss23"],
    f"{EVALUATE} --starss23 folder --prompts-from folder": ["--prompts-from", "--class-map"],
    LOCALIZE: ["--model", "--prompt"],
    LISTEN: ["--model", "--prompt"],
    BENCHMARK: ["--data", "--bank", "--image-encoder", "--audio-encoder", "--systems-from"],
    VGGSOUND: ["--csv", "--videos", "--clip"],
    f"{VGGSOUND} --spatialise 1": ["--bank"],
    "build check-splits table.csv": ["--root"],
    "app": ["--model"],
}
NAMED = ["localize nowhere/it --prompt a --model model", "rooms show nowhere/it"]
NAMED += ["build folders nowhere/it", "build check-splits nowhere/it"]
WRITTEN = {
    "train": ["--out"],
    "train --out new": ["--checkpoints"],
    EVALUATE: ["--json"],
    LOCALIZE: ["--json", "--csv", "--figure"],
    BENCHMARK: ["--out"],
    "rooms show bank": ["--plot"],
    "build folders folder": ["--json"],
    "build check-splits folder": ["--json"],
    "app --demo": ["--cache"],
}
NUMBERS = {
    "train --out new": ["--steps", "--batch-size", "--epochs", "--duration", "--rooms"],
    EVALUATE: ["--scenes", "--duration", "--rooms", "--segment-duration"],
    LOCALIZE: ["--spacing"],
    f"{LOCALIZE} --track": ["--window", "--hop"],
    LISTEN: ["--window", "--hop", "--rate", "--channels-in-stream", "--max-pending", "--spacing"],
    BENCHMARK: ["--budget", "--scenes", "--duration", "--rooms", "--spacing"],
    "rooms build --out new": ["--rooms"],
    "rooms build --out new --rooms 2": ["--workers", "--spacing", "--sampling-rate"],
    VGGSOUND: ["--workers", "--duration", "--max-clips"],
}

PROGRAM = """
import io, json, sys, time, contextlib
started = time.process_time()
from keras_avssan.cli.main import main
answers = []
for line in json.load(sys.stdin):
    error, started = io.StringIO(), time.process_time()
    with contextlib.redirect_stderr(error):
        code = main(line)
    heavy = sorted({"keras", "torch", "tensorflow", "jax", "numpy"} & set(sys.modules))
    answers.append([code, error.getvalue(), time.process_time() - started, heavy])
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with files of each kind, by their names."""
    root = tmp_path_factory.mktemp("checks")
    for name in ("model", "bank", "folder"):
        (root / name).mkdir()
    for name in ("config.json", "task.json"):
        (root / "model" / name).write_text('{"registered_name": "keras_avssan>AVSSAN"}')
    (root / "model/metadata.json").write_text('{"keras_version": "3"}')
    (root / "model/model.weights.h5").write_text("something")
    (root / "bank/bank.json").write_text("{}")
    for name in ("table.csv", "dog.jpg", "mix.wav"):
        (root / name).write_text("something")
    (root / "nothing").write_bytes(b"")
    return root


def run(folder, lines):
    """Exit code, standard error, seconds and heavy modules after each command line."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([shlex.split(line) for line in lines]),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return list(zip(lines, json.loads(done.stdout), strict=True))


def words(commands, *more):
    return [
        f"{line} {option} {word}" for line in commands for option in commands[line] for word in more
    ]


def test_a_wrong_path_is_reported_at_once(folder):
    """Of every command and every option, by the name of the option or the path."""
    lines = words(READ, "nowhere/it") + words(WRITTEN, "nowhere/it.png") + NAMED
    # Without an ending it would be words.
    lines = [f"{line}.png" if "--prompt nowhere" in line else line for line in lines]
    for line, (code, error, seconds, heavy) in run(folder, lines):
        assert code == 2 and "nowhere/it" in error, (line, error)
        assert len(error.splitlines()) == 1 and error.startswith("keras-avssan "), (line, error)
        assert "`--" not in error or f"`{line.split()[-2]}`" in error, (line, error)
        assert seconds < 1 and not heavy, (line, seconds, heavy)


def test_wrong_numbers_and_choices_are_reported_at_once(folder):
    lines = words(NUMBERS, "0") + [
        "train --out new --prompts picture song",
        "train --out new --configuration large",
        "build folders folder --engine steam",
        "evaluate --model model --pair M1-M2",
        "localize mix.wav --prompt a --model model --channels 1 1",
        "localize mix.wav --prompt a --model model --channels 0 -1",
        "localize mix.wav --prompt a --model model --figure answer.doc",
        "localize mix.wav --prompt a --model model --figure answer",
        "localize mix.wav --prompt a b --model model --figure answer.png",
        "benchmark --table 3 --out new",
        "benchmark --table 5 --out new",
    ]
    for line, (code, error, seconds, heavy) in run(folder, lines):
        option = [word for word in line.split() if word.startswith("--")][-1]
        assert code == 2 and (f"`{option}`" in error or "`--" in error), (line, error)
        assert seconds < 1 and not heavy, (line, seconds, heavy)


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("localize {} --prompt a --model model", ""),
        ("localize mix.wav --prompt {} --model model", "--prompt"),
        ("evaluate --model model --bank {}", "--bank"),
        ("benchmark --table 2 --out new --systems-from {}", "--systems-from"),
        ("build vggsound-ssl --csv {} --videos folder --clip none --out new", "--csv"),
        ("evaluate --model model --starss23 folder --prompts-from folder --class-map {}", ""),
    ],
)
def test_a_directory_an_empty_and_a_missing_file_are_three_messages(folder, line, option):
    names = ["./folder", "nothing", "missing.wav"]  # as a prompt "folder" is a word
    answers = run(folder, [line.format(name) for name in names])
    for name, what, (_, (code, error, *_)) in zip(
        names,
        ("director|folder", "is empty. Received: 0 bytes", "does not exist"),
        answers,
        strict=True,
    ):
        assert code == 2 and name in error and option in error
        assert any(word in error for word in what.split("|")), error


def test_other_paths_than_model_folders_are_refused(folder):
    (folder / "model" / "broken").mkdir(exist_ok=True)
    (folder / "model" / "broken" / "config.json").write_text("{")
    lines = ["folder", "nothing", "missing", "bank", "model/broken"]
    errors = [error for _, (_, error, *_) in run(folder, [f"evaluate --model {m}" for m in lines])]
    for error, what in zip(
        errors,
        ("which is empty", ", a file", "does not exist", "has no config.json", "is damaged"),
        strict=True,
    ):
        assert what in error


def test_a_checkpoints_folder_and_a_keras_file_are_not_saved_models(folder):
    (folder / "started").mkdir()
    (folder / "started/config.json").write_text('{"steps": 2}')
    checkpoint_path(folder / "started", 100).write_text("something")
    assert CHECKPOINT_PATTERN.fullmatch(checkpoint_path(folder, 100).name)
    (folder / "best.keras").write_text("something")
    started, file = run(folder, ["app --model started", "app --model best.keras"])
    assert "not finished: the same `train` command again finishes it" in started[1][1]
    assert "load_model('best.keras').save_to_preset('best')" in file[1][1]
    for _, (code, error, seconds, heavy) in (started, file):
        assert code == 2 and len(error.splitlines()) == 1 and seconds < 1 and not heavy


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("config.json", "registered_name"),
        ("task.json", "registered_name"),
        ("metadata.json", "keras_version"),
    ],
)
@pytest.mark.parametrize("content", ["{}", "[]"])
def test_the_files_of_a_model_are_those_of_a_model(folder, name, entry, content):
    before = (folder / "model" / name).read_text()
    (folder / "model" / name).write_text(content)
    ((_, (code, error, seconds, heavy)),) = run(folder, [EVALUATE])
    (folder / "model" / name).write_text(before)
    assert code == 2 and f"whose {name} is not that of a model: it has no `{entry}`" in error
    assert error.startswith("keras-avssan evaluate: error: `--model`") and not heavy


def test_empty_words_and_paths_are_reported_at_once(folder):
    lines = words(READ, "''") + words(WRITTEN, "''")
    lines += ["train --out new --split ''", f"{EVALUATE} --classes ''"]
    for line, (code, error, seconds, heavy) in run(folder, lines):
        option = shlex.split(line)[-2]
        assert code == 2 and error.endswith(
            f"`{option}` must not be empty. Received: {option}=''\n"
        ), line
        assert seconds < 1 and not heavy


def test_a_link_that_leads_to_itself_is_reported_at_once(folder):
    if not os.path.lexists(folder / "loop"):
        os.symlink("loop", folder / "loop")
    lines = words(READ, "loop") + words({k: v for k, v in WRITTEN.items() if k != LOCALIZE}, "loop")
    lines += [f"{LOCALIZE} --csv loop", f"{EVALUATE} --json loop/scores.json"]
    for line, (code, error, seconds, heavy) in run(folder, lines):
        assert code == 2 and f"`{line.split()[-2]}`" in error, (line, error)
        assert seconds < 1 and not heavy
        assert "Too many levels" in error or "existing folder" in error, (line, error)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder without files of ours")
def test_what_cannot_be_written_is_reported_at_once(folder):
    lines = words(WRITTEN, "/proc/new.png") + ["rooms build --rooms 2 --out /proc/new/rooms"]
    for line, (code, error, seconds, heavy) in run(folder, lines):
        assert code == 2 and f"`{line.split()[-2]}` must be in a folder that can be" in error, (
            line,
            error,
        )
        assert "'/proc'" in error and len(error.splitlines()) == 1
        assert seconds < 1 and not heavy


def test_values_that_are_not_numbers_and_spacings_in_centimetres_are_reported_at_once(folder):
    lines = {
        f"{EVALUATE} --snr nan": "must be a finite number. Received: --snr=nan",
        f"{EVALUATE} --snr inf": "must be a finite number. Received: --snr=inf",
        f"{BENCHMARK} --snr 0 nan": "must be a finite number. Received: --snr=nan",
        "train --out new --image-mean nan": "must be a finite number. Received: --image-mean=nan",
        "train --out new --snr=-inf": "must be a finite number. Received: --snr=-inf",
        f"{EVALUATE} --max-motion nan": "must be a finite number. Received: --max-motion=nan",
    }
    for command in ("train --out new", EVALUATE, LOCALIZE, BENCHMARK, "rooms build --out new"):
        more = " --rooms 2" if command.startswith("rooms") else ""
        lines[f"{command}{more} --spacing 20"] = (
            "in metres, and must be at most 5. Received: --spacing=20"
        )
    for line, (code, error, seconds, heavy) in run(folder, lines):
        option = [word for word in line.split() if word.startswith("--")][-1].split("=")[0]
        assert code == 2 and f"`{option}`" in error and lines[line] in error, (line, error)
        assert seconds < 1 and not heavy


def leaves(parser, name=""):
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for key, command in action.choices.items():
                yield from leaves(command, f"{name} {key}".strip())
            return
    yield name, parser


def test_every_option_that_takes_a_path_is_known():
    """By its placeholder or its help: then it is checked, and completes to paths."""
    for name, parser in leaves(cli._parser()):
        for action in parser._actions:
            named = str(action.metavar) in ("DIR", "FOLDER", "FILE", "ROOT", "CSV", "FILE.py")
            described = any(word in (action.help or "") for word in ("folder of ", "file for "))
            if named or described:
                assert action.dest in FOLDERS + FILES, (name, action.dest)


class InvalidArgumentError(Exception):
    """As TensorFlow raises it."""

    __module__ = "tensorflow.python.framework.errors_impl"


def test_an_error_within_a_tensorflow_pipeline_is_one_line(folder, capsys, monkeypatch):
    text = "{{function_node __wrapped__IteratorGetNext}} ValueError: audio file 'a.wav' is empty.\n"

    def fail(error):
        def run(_):
            raise error

        monkeypatch.setattr("keras_avssan.cli.rooms._show", run)
        return cli.main(["rooms", "show", str(folder)])

    assert fail(InvalidArgumentError(f"{text}Traceback (most recent call last):\n\n  File")) == 2
    error = capsys.readouterr().err
    assert error == "keras-avssan rooms show: error: audio file 'a.wav' is empty.\n"
    with pytest.raises(InvalidArgumentError):
        fail(InvalidArgumentError("shapes do not match"))
    with pytest.raises(KeyError):
        fail(KeyError("ValueError: no\nTraceback"))
