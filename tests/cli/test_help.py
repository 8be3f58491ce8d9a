"""`--help`, `--version`, usage and completion."""

import shlex
import shutil
import subprocess

import pytest

from keras_avssan import __version__
from keras_avssan.cli import main as cli
from keras_avssan.cli.main import main
from keras_avssan.simulation import RoomRanges

pytestmark = pytest.mark.backend_agnostic


def leaves(parser, name=""):
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for key, command in action.choices.items():
                yield from leaves(command, f"{name} {key}".strip())
            return
    yield name, parser


COMMANDS = dict(leaves(cli._parser()))


def ended(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code, capsys.readouterr()


def test_version(capsys):
    code, captured = ended(["--version"], capsys)
    assert code == 0 and captured.out == f"keras-avssan {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_defaults_and_examples_that_parse(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # breaks no word
    code, captured = ended([*command.split(), "--help"], capsys)
    shown = " ".join(captured.out.split())
    assert code == 0 and f"usage: keras-avssan {command} [-h]" in shown
    for action in COMMANDS[command]._actions:
        default = action.default
        if not action.option_strings or default in (None, "==SUPPRESS==") or default is False:
            continue
        if isinstance(default, (list, tuple)):
            default = " ".join(map(str, default))
        default = f"{default:g}" if isinstance(default, float) else default
        assert f"{action.help} (default: {default})" in shown
    assert "default: None" not in shown
    examples = captured.out.split("example:\n")[1].splitlines()
    for line in examples:
        program, *words = shlex.split(line.split(" > ")[0])
        assert program == "keras-avssan" and callable(cli._parser().parse_args(words).run)
        assert words[: len(command.split())] == command.split()


@pytest.mark.parametrize("command", COMMANDS)
def test_options_without_a_default_say_what_happens(command):
    """Except flags, options that switch something on, and names of files to write."""
    switches = "image_attenuation shards systems_from tensorboard bank starss23 prompts_from"
    switches += " json csv figure plot channels cache"
    for action in COMMANDS[command]._actions:
        if action.required or action.nargs == 0 or not action.option_strings:
            continue
        if action.default is None and action.dest not in switches.split():
            assert "default: " in action.help, (action.dest, action.help)


def test_defaults_written_by_hand_are_those_of_the_library():
    ranges = RoomRanges()
    for action in COMMANDS["rooms build"]._actions:
        if hasattr(ranges, action.dest):
            values = getattr(ranges, action.dest)
            values = values if isinstance(values, tuple) else (values,)
            words = [v if isinstance(v, str) else f"{v:g}" for v in values]
            assert action.help.endswith(f"default: {' '.join(words)}")


def test_the_builder_has_the_defaults_that_its_help_says():
    from keras_avssan.data.vggsound_ssl.settings import BuildSettings

    for action in COMMANDS["build vggsound-ssl"]._actions:
        expected = (action.help or "").rpartition("; default: ")[2]
        value = getattr(BuildSettings, action.dest, None)
        if isinstance(value, (int, float)) and "default: " in action.help and expected != "all":
            assert float(expected) == value, action.dest


def test_usage_is_that_of_the_command(capsys):
    for arguments in (["localize", "mix.wav", "--prompt", "a", "--model", "m", "--promt", "b"],):
        code, captured = ended(arguments, capsys)
        assert code == 2 and captured.err.startswith("usage: keras-avssan localize [-h]")
        assert "keras-avssan localize: error: unrecognized arguments: --promt b" in captured.err
    code, captured = ended(["rooms", "build", "--out", "rooms", "--romms", "3"], capsys)
    assert code == 2 and captured.err.startswith("usage: keras-avssan rooms build")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("train --out new --snr x", "train: error: `--snr` must be a number. Received: --snr=x"),
        (
            "train --out new --steps 1.5",
            "train: error: `--steps` must be a whole number. Received: --steps=1.5",
        ),
        (
            "evaluate --model m --on-overlap no",
            "evaluate: error: `--on-overlap` must be one of mark, error. Received: --on-overlap=no",
        ),
    ],
)
def test_a_wrong_value_is_reported_in_one_line(arguments, expected, capsys):
    code, captured = ended(arguments.split(), capsys)
    assert code == 2 and captured.err == f"keras-avssan {expected}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, capsys, tmp_path):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "localize" in script and "write-metadata" in script
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(script)
    subprocess.run([shell, "-n", tmp_path / "script"], check=True)


def test_bash_completes_commands_and_options(capsys, tmp_path):
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    main(["completion", "bash"])
    (tmp_path / "script").write_text(capsys.readouterr().out)
    lines = {"keras-avssan lo": ["localize"], "keras-avssan localize mix.wav --fi": ["--figure"]}
    for line, expected in lines.items():
        words = " ".join(map(shlex.quote, line.split()))
        count = len(line.split()) - 1
        program = (
            f"source {tmp_path}/script; COMP_WORDS=({words}); COMP_CWORD={count}; "
            "eval \"$(complete -p keras-avssan | sed -E 's/.*-F ([^ ]+).*/\\1/')\"; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
        assert [word.strip() for word in done.stdout.split()] == expected, done.stderr
