"""What a training writes down and shows."""

import importlib.util
import os
import struct
import subprocess
import sys

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


def test_tensorboard_gets_the_numbers_and_forgets_what_is_done_again(tmp_path):
    pytest.importorskip("tensorboard")
    log = TensorBoardLog(tmp_path / "new/log", done=4)
    log.step({"step": 5, "epoch": 1, "loss": 2.0})
    log.epoch({"step": 6, "epoch": 1, "val_loss": 3.0})
    log.sync()
    other = TensorBoardLog(tmp_path / "new/log", done=0)  # of the same process and second
    other.close()
    (path, empty) = sorted((tmp_path / "new/log").iterdir())
    version, start, step, epoch = read_events(path)
    log.close()
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (5, start.session_log.START)
    assert [(v.tag, v.simple_value) for v in step.summary.value] == [("step/loss", 2.0)]
    assert [(v.tag, v.simple_value) for v in epoch.summary.value] == [("epoch/val_loss", 3.0)]
    assert (step.step, epoch.step) == (5, 6)
    assert [event.file_version for event in read_events(empty)] == ["brain.Event:2"]


@pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="reads with TensorFlow")
def test_tensorflow_reads_the_file(tmp_path):
    pytest.importorskip("tensorboard")
    import tensorflow as tf

    log = TensorBoardLog(tmp_path, done=0)
    log.step({"step": 1, "epoch": 0, "loss": 0.5})
    log.close()
    (path,) = tmp_path.iterdir()
    records = list(tf.data.TFRecordDataset(str(path)))  # which checks the checksums
    assert len(records) == len(read_events(path)) == 2


def test_a_log_for_tensorboard_does_not_import_tensorflow(tmp_path):
    pytest.importorskip("tensorboard")
    program = (
        "import sys; from keras_avssan.training.logs import TensorBoardLog\n"
        f"log = TensorBoardLog({str(tmp_path)!r}, 0); log.step({{'step': 1, 'loss': 1.0}})\n"
        "log.close(); print('tensorflow' in sys.modules)"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    if not importlib.util.find_spec("jax"):
        environment["KERAS_BACKEND"] = "torch"
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert result.stdout.strip() == "False", result.stderr


def read_events(path):
    """The events of a file: each a length, its checksum, the event and its checksum."""
    from tensorboard.compat.proto.event_pb2 import Event

    content, events = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return events
