"""`listen`: raw samples in a pipe, a sound card, lines, JSON and the half circle."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import types

import keras
import numpy as np
import pytest

from keras_avssan import AVSSAN
from keras_avssan.cli.main import main
from keras_avssan.cli.tracking.half_circle import half_circle
from keras_avssan.tracking.block_queue import BlockQueue

pytestmark = pytest.mark.backend_agnostic

WINDOWS = ["--window", "0.5", "--hop", "0.5"]


@pytest.fixture(scope="module")
def sound():
    """Two seconds of four channels, as 16-bit numbers."""
    noise = 3000 * np.random.default_rng(0).standard_normal((32000, 4))
    return noise.astype("<i2")


@pytest.fixture(autouse=True)
def in_the_workspace(workspace, monkeypatch):
    monkeypatch.chdir(workspace)


class Pipe:
    """Standard input that has bytes: they arrive in odd pieces."""

    def __init__(self, content):
        self.source, self.sink = os.pipe()
        threading.Thread(target=self.write, args=(content,)).start()

    def write(self, content):
        with open(self.sink, "wb", buffering=0) as file:
            for start in range(0, len(content), 5555):
                file.write(content[start : start + 5555])

    def isatty(self):
        return False

    def fileno(self):
        return self.source


def listen(monkeypatch, content, *arguments):
    monkeypatch.setattr("sys.stdin", Pipe(content))
    command = ["listen", "--prompt", "dog.jpg", "--model", "model", *WINDOWS]
    return main([*command, *map(str, arguments)])


def track_of(samples, smoothing="online", prompt="dog.jpg"):
    model = AVSSAN.from_preset("model")
    return model.track(samples.astype("float32") / 32768, prompt, 0.5, 0.5, smoothing=smoothing)


def test_raw_samples_of_four_channels_as_json(monkeypatch, capsys, sound):
    more = ["--channels-in-stream", 4, "--channels", 2, 1, "--json", "--smoothing", "none"]
    assert listen(monkeypatch, sound.tobytes(), "--device", "-", *more) == 0
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    expected = track_of(sound[:, [2, 1]], smoothing=None)
    assert captured.err == "" and len(rows) == len(expected) == 4
    for row, at, azimuth, spread in zip(
        rows, expected.times, expected.azimuth, expected.spread, strict=True
    ):
        assert row["prompt"] == "dog.jpg" and row["time"] == at and row["gap"] == ""
        assert row["azimuth"] == azimuth and row["spread"] == pytest.approx(spread, abs=0.02)


def test_lines_of_text_for_two_prompts(monkeypatch, capsys, sound):
    """The dash behind the prompts is the input, not a prompt."""
    samples = sound[:, :2].copy()
    samples[8000:16000] = 0
    monkeypatch.setattr("sys.stdin", Pipe(samples.tobytes()[:-3]))  # the last sample is cut
    command = ["listen", "--model", "model", *WINDOWS, "--prompt", "dog.jpg", "mono.wav", "-"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [track_of(samples[:-1], prompt=name) for name in ("dog.jpg", "mono.wav")]
    assert len(lines) == 6 and [line.split()[2] for line in lines[:2]] == ["dog.jpg", "mono.wav"]
    for place, track in enumerate(found):
        words = lines[place].split()
        assert words[:2] == ["0.25", "s"] and words[3:5] == [f"{track.azimuth[0]:.0f}", "degrees,"]
    assert all("no direction (silent)" in line for line in lines[2:4])


def test_the_view_is_drawn_over_itself(monkeypatch, capsys, sound):
    assert listen(monkeypatch, sound[:, :2].tobytes(), "-", "--view") == 0
    out = capsys.readouterr().out
    assert out.count("dog.jpg: ") >= 1 and "degrees" in out
    assert out.rstrip().endswith("1.75 s")
    assert out.count("\x1b[") == 2 * (out.count("dog.jpg") - 1)  # but for the first one


@pytest.mark.extensive
def test_a_process_ends_with_its_input(sound):
    """As users run it, nothing but the estimates on standard output."""
    command = [sys.executable, "-m", "keras_avssan", "listen", "-", "--prompt", "dog.jpg"]
    done = subprocess.run(
        [*command, "--model", "model", *WINDOWS],
        input=sound[:16000, :2].tobytes(),
        capture_output=True,
        env=environment(),
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b"" and len(done.stdout.splitlines()) == 2


@pytest.mark.extensive
def test_ctrl_c_ends_a_process_cleanly(sound, interruptible):
    command = [sys.executable, "-m", "keras_avssan", "listen", "-", "--prompt", "dog.jpg"]
    process = subprocess.Popen(
        [*command, "--model", "model", *WINDOWS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    with contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        process.stdin.write(sound[:8000, :2].tobytes())
        process.stdin.flush()
        assert b"degrees" in process.stdout.readline()  # it waits for more
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr.read() == b"" and process.stdout.read() == b""


def environment():
    backend = keras.backend.backend()
    path = os.pathsep.join(sys.path)
    return {**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": backend}


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"RIFF\0\0\0\0WAVEfmt ", "WAV"),
        (b"fLaC\0\0\0\x22", "FLAC"),
        (b"OggS\0\x02\0\0", "Ogg"),
        (b"\0\0\0\x20ftypisom", "MP4"),
    ],
)
def test_a_sound_file_is_not_taken_as_raw_samples(monkeypatch, capsys, sound, start, kind):
    assert listen(monkeypatch, start + sound.tobytes(), "-") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert "must hold raw samples" in captured.err and f"of a {kind} file" in captured.err


@pytest.mark.parametrize(("length", "received"), [(0, "0.000 s"), (4000, "0.250 s")])
def test_input_without_a_window_is_an_error(monkeypatch, capsys, sound, length, received):
    """Such as that of a program before the pipe that failed."""
    assert listen(monkeypatch, sound[:length, :2].tobytes(), "-") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert f"one window of 0.5 s or more. Received: {received}" in captured.err


# ---- A sound card


class Card(types.ModuleType):
    """A stand-in for sounddevice: plays blocks to the callback in a thread, then ends."""

    class PortAudioError(Exception):
        pass

    def __init__(self, samples, block=3000, after=None):
        super().__init__("sounddevice")
        self.samples, self.block, self.after, self.opened = samples, block, after, {}
        card = self

        class InputStream:
            def __init__(self, **options):
                if options["channels"] > 8:
                    raise Card.PortAudioError("Invalid number of channels")
                card.opened, self.options = options, options

            def __enter__(self):
                self.thread = threading.Thread(target=self.play)
                self.thread.start()

            def __exit__(self, *_):
                self.thread.join()
                card.opened["closed"] = True

            def play(self):
                buffer = np.zeros((card.block, card.samples.shape[1]), "float32")
                for start in range(0, len(card.samples), card.block):
                    part = card.samples[start : start + card.block]
                    buffer[: len(part)] = part  # which the card uses again
                    self.options["callback"](buffer[: len(part)], len(part), None, None)
                if card.after is not None:
                    card.after()
                self.options["finished_callback"]()

        self.InputStream = InputStream


def test_a_sound_card(monkeypatch, capsys, sound):
    card = Card(sound[:, :2].astype("float32") / 32768)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    command = ["listen", "--prompt", "dog.jpg", "--model", "model", *WINDOWS, "--json"]
    assert main([*command, "--device", "3"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = track_of(sound[:, :2])
    assert [row["azimuth"] for row in rows] == expected.azimuth.tolist()
    chosen = {"samplerate": 16000, "device": 3, "channels": 2, "dtype": "float32", "closed": True}
    assert chosen.items() <= card.opened.items()
    assert main([*command, "--device", "USB Audio"]) == 0
    assert card.opened["device"] == "USB Audio"


def test_ctrl_c_ends_the_recording(monkeypatch, capsys, sound, interruptible):
    """It is the end of such a command, not an error."""

    shown = threading.Event()

    def line_of(*_):
        shown.set()
        return "a line"

    def interrupt():
        shown.wait(60)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)

    card = Card(sound[:, :2].astype("float32") / 32768, after=interrupt)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    monkeypatch.setattr("keras_avssan.cli.tracking.listen.line_of", line_of)
    assert main(["listen", "--prompt", "dog.jpg", "--model", "model", *WINDOWS]) == 0
    captured = capsys.readouterr()
    assert "a line" in captured.out and captured.err == "" and card.opened["closed"]


def test_a_slow_computer_drops_the_oldest_windows(monkeypatch, capsys, sound):
    card = Card(np.tile(sound[:, :2], (4, 1)).astype("float32") / 32768, block=128000)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    command = ["listen", "--prompt", "dog.jpg", "--model", "model", *WINDOWS, "--json"]
    assert main([*command, "--max-pending", "3"]) == 0
    captured = capsys.readouterr()
    assert [json.loads(line)["time"] for line in captured.out.splitlines()] == [6.75, 7.25, 7.75]
    assert captured.err == "13 windows were dropped\n"


def test_without_sounddevice_the_error_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["listen", "--prompt", "dog.jpg", "--model", "model"]) == 2
    error = capsys.readouterr().err
    assert "needs sounddevice: `pip install sounddevice`" in error and "extra `live`" in error
    assert len(error.splitlines()) == 1


def test_a_card_that_cannot_record_so(monkeypatch, capsys, sound):
    monkeypatch.setitem(sys.modules, "sounddevice", Card(sound[:, :2].astype("float32")))
    more = ["--channels-in-stream", "16", "--channels", "0", "15"]
    assert main(["listen", "--prompt", "dog.jpg", "--model", "model", *more]) == 2
    error = capsys.readouterr().err
    assert "must be a sound card that records 16 channels at 16000 Hz" in error
    assert "(Invalid number of channels)" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--channels-in-stream", "4"], "`--channels` must choose two of the channels"),
        (["--channels", "0", "2"], "`--channels` must be from 0 to 1"),
        (["--channels", "1", "1"], "`--channels` must be two different channels"),
        (["--rate", "0"], "`--rate` must be at least 1"),
        (["--max-pending", "0"], "`--max-pending` must be at least 1"),
        (["--hop", "0"], "`--hop` must be positive"),
        (["-", "--device", "2"], "`--device` must be left out where - is given"),
        (["--prompt", "nowhere.jpg"], "nowhere.jpg"),
    ],
)
def test_what_does_not_fit_is_reported(capsys, arguments, message):
    assert main(["listen", "--prompt", "dog.jpg", "--model", "model", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_terminal_is_no_pipe(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", Pipe(b""))
    monkeypatch.setattr(Pipe, "isatty", lambda self: True)
    assert main(["listen", "-", "--prompt", "dog.jpg", "--model", "model"]) == 2
    assert "must be used in a pipe, such as `arecord" in capsys.readouterr().err


# ---- The half circle


@pytest.mark.parametrize(("azimuth", "column", "row"), [(0, 52, 15), (90, 30, 4), (180, 8, 15)])
def test_marks_stand_at_their_azimuths(azimuth, column, row):
    """0 degrees on the right, as in the figures."""
    lines = half_circle(["dog"], [azimuth])
    found = [(place, line.index("●")) for place, line in enumerate(lines[:-1]) if "●" in line]
    assert found == [(row, column)]
    assert lines[-1] == f"● dog: {azimuth} degrees" and len(lines) == 17


def test_several_directions_and_none():
    lines = half_circle(["dog", "bell", "car"], [45.0, None, 135.0])
    assert lines[-3:] == ["● dog: 45 degrees", "◆ bell: no direction", "■ car: 135 degrees"]
    drawn = "\n".join(lines[:-3])
    assert "●" in drawn and "■" in drawn and "◆" not in drawn
    assert all(label in drawn for label in ("0", "90", "180"))


# ---- The queue


def blocks(*lengths):
    return [np.full((length, 2), value, "float32") for value, length in enumerate(lengths, 1)]


def test_the_queue_keeps_the_order():
    queue = BlockQueue(2, 100, drop=True)
    for block in blocks(10, 20):
        assert queue.put(block)
    assert queue.take()[:, 0].tolist() == 10 * [1.0] + 20 * [2.0]
    queue.close()
    assert queue.take() is None and not queue.put(blocks(3)[0])


def test_a_full_queue_loses_the_oldest_samples_and_keeps_the_time():
    queue = BlockQueue(2, 50, drop=True)
    for block in blocks(30, 30, 15):
        queue.put(block)
    assert queue.lost == 30
    lost = queue.take()
    assert lost.shape == (30, 2) and np.isnan(lost).all() and lost.base.size == 1
    assert queue.take()[:, 0].tolist() == 30 * [2.0] + 15 * [3.0]


def test_a_pipe_waits_instead():
    queue = BlockQueue(2, 50, drop=False)
    queue.put(blocks(40)[0])
    done = []
    thread = threading.Thread(target=lambda: done.append(queue.put(blocks(1, 40)[1])))
    thread.start()
    time.sleep(0.05)
    assert not done
    assert len(queue.take()) == 40
    thread.join(5)
    assert done == [True] and len(queue.take()) == 40 and queue.lost == 0


def test_an_error_of_the_reader_is_raised_at_the_end():
    queue = BlockQueue(2, 50, drop=False)
    queue.put(blocks(4)[0])
    queue.close(OSError("broken"))
    assert len(queue.take()) == 4
    with pytest.raises(OSError, match="broken"):
        queue.take()
