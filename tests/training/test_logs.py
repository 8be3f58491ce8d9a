"""What a training writes down and shows."""

import sys
import types

import pytest

from keras_avssan.training.logs import TensorBoardLog, TrainingLog
from keras_avssan.training.resumable_fit import choose_verbose

pytestmark = pytest.mark.backend_agnostic


def write(folder, done, steps):
    log = TrainingLog(folder, done)
    for step in steps:
        log.step({"step": step, "loss": step / 2})
    log.close()
    return (folder / "log.csv").read_text().split()


def test_lines_after_the_checkpoint_are_written_again(tmp_path):
    write(tmp_path, 0, range(1, 6))
    with open(tmp_path / "log.csv", "a") as file:
        file.write("6,")  # killed while it wrote
    assert write(tmp_path, 4, range(5, 7)) == ["step,loss", *(f"{s},{s / 2}" for s in range(1, 7))]
    # A training that starts again has no earlier lines.
    assert write(tmp_path, 0, [1]) == ["step,loss", "1,0.5"]


def test_a_line_an_epoch_where_there_is_no_terminal(tiny, tmp_path, capsys):
    tiny.train(tmp_path / "new", steps=4, epochs=2, verbose="auto")
    output = capsys.readouterr().out
    assert "\b" not in output
    assert output.count("scenes/s") == 2
    assert "step_loss" not in output
    assert choose_verbose(0) == 0


def test_tensorboard_gets_the_numbers_and_forgets_what_is_done_again(monkeypatch, tmp_path):
    events = []

    class Writer:
        def __init__(self, folder):
            self.add_event = events.append

        def flush(self):
            events.append("flush")

        def close(self):
            events.append("close")

    def record(**content):
        return content

    modules = {
        "compat.proto.event_pb2": {"Event": record, "SessionLog": _SessionLog},
        "compat.proto.summary_pb2": {"Summary": _Summary},
        "summary.writer.event_file_writer": {"EventFileWriter": Writer},
    }
    for path, content in modules.items():
        parts = ["tensorboard", *path.split(".")]
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            module = sys.modules.get(name) or types.ModuleType(name)
            monkeypatch.setitem(sys.modules, name, module)
        vars(module).update(content)
    log = TensorBoardLog(tmp_path, done=4)
    log.step({"step": 5, "epoch": 1, "loss": 2.0})
    log.close()
    start, step, last = events
    assert (start["step"], start["session_log"]) == (5, {"status": 1})
    assert (step["step"], step["summary"]) == (5, [{"tag": "step/loss", "simple_value": 2.0}])
    assert last == "close"


class _SessionLog(dict):
    START = 1

    def __init__(self, status):
        super().__init__(status=status)


class _Summary(list):
    Value = dict

    def __init__(self, value):
        super().__init__(value)
