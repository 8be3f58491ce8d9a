"""What the count of noticed changes calls noticed."""

import importlib.util
import json
import os
import pathlib
import signal
import sys
import time

import pytest

pytestmark = pytest.mark.backend_agnostic

SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "mutants.py"


@pytest.fixture(scope="module")
def mutants():
    spec = importlib.util.spec_from_file_location("mutants", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def process(do):
    """A process of its own group that does something, and ends with what that returns."""
    child = os.fork()
    if child:
        return child
    os.setpgrp()
    try:
        os._exit(do())
    finally:
        os._exit(99)


def fake(do):
    """Stands for the process of a mutant, which runs tests."""
    return lambda mutant: process(lambda: do(mutant))


def outcome_of(mutant):
    if mutant["now"] == "waits":
        time.sleep(60)
    if mutant["now"] == "crashes":
        os.kill(os.getpid(), signal.SIGKILL)
    return int(mutant["now"] == "fails")


def test_the_three_outcomes_are_told_apart(mutants, tmp_path, monkeypatch, capsys):
    kinds = ("fails", "passes", "crashes", "waits")
    state = {
        "mutants": [
            {"module": f"{kind}.py", "line": 3, "was": "x = 1", "now": kind} for kind in kinds
        ]
    }
    file = tmp_path / "mutants.json"
    file.write_text(json.dumps(state))
    monkeypatch.setattr(mutants, "_fork", fake(outcome_of))
    monkeypatch.setattr(mutants, "SECONDS", 1.0)
    monkeypatch.chdir(tmp_path)  # `run` goes to the project's folder
    monkeypatch.setattr("sys.path", list(sys.path))
    mutants._run(type("Options", (), {"file": str(file), "jobs": 4}))
    found = [mutant["outcome"] for mutant in json.loads(file.read_text())["mutants"]]
    assert found == ["killed", "survived", "killed", "timed out"]
    printed = capsys.readouterr().out
    assert printed.endswith("2 killed, 1 survived, 1 timed out of 4\n")
    listed = printed.split("\n\n", 1)[1]
    assert "passes.py:3 (survived)" in listed and "waits.py:3 (timed out)" in listed
    assert "fails.py" not in listed and "crashes.py" not in listed
