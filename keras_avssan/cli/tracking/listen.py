"""The command `listen`: directions of prompted sounds while they are recorded."""

import argparse
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from keras_avssan._internal.atomic_files import is_meant_as_file
from keras_avssan._internal.saved_files import DEFAULT_MODEL
from keras_avssan.cli.checks import check_input
from keras_avssan.cli.options import MODEL_HELP, Commands, check_model_spacing, load_model
from keras_avssan.cli.tracking.half_circle import half_circle
from keras_avssan.cli.tracking.track_files import (
    add_window_options,
    check_channel_pair,
    line_of,
    row_of,
)

if TYPE_CHECKING:
    import numpy as np

    from keras_avssan.tracking.block_queue import BlockQueue

STANDARD_INPUT = "-"
_RATE = 16000
# Bytes of raw samples that are read at a time, at most, and seconds of sound that may wait.
_CHUNK, _WAITING = 65536, 10.0
_SAMPLE = 2  # bytes
# First bytes of sound files, which are no raw samples.
_HEADERS = {
    b"RIFF": "WAV",
    b"RF64": "WAV",
    b"FORM": "AIFF",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
}
_UP = "\x1b[{}F\x1b[J"  # to the beginning of a line above, and clear all below
_EXTRA = "keras-avssan's extra `live` installs it"


def add_listen(commands: Commands) -> None:
    """Adds `listen`."""
    parser = commands.add_parser(
        "listen",
        help="find prompted sounds while they are recorded, by a sound card or a pipe",
        description="Find prompted sounds in what a sound card records, or in raw samples from "
        "standard input, signed 16-bit numbers, low byte first, the channels in turn: prints a "
        "line for each window and prompt, until the recording ends or Ctrl-C.",
        epilog="keras-avssan listen --prompt dog.jpg --view\n"
        "keras-avssan listen --prompt dog.jpg bark.wav --device 3 --channels-in-stream 4 "
        "--channels 0 2 --json\n"
        "keras-avssan listen --prompt dog.jpg --device - --rate 48000",
    )
    parser.add_argument(
        "input",
        nargs="?",
        choices=(STANDARD_INPUT,),
        help="raw samples from standard input, as `--device -`",
    )
    parser.add_argument(
        "--prompt",
        action="extend",
        nargs="+",
        required=True,
        help="a picture, a recording of such a sound, or words",
    )
    parser.add_argument("--model", metavar="MODEL", default=DEFAULT_MODEL, help=MODEL_HELP)
    parser.add_argument(
        "--device",
        metavar="N",
        help="number or name of a sound card, or - for standard input; default: that of the system",
    )
    parser.add_argument("--rate", type=int, default=_RATE, help="sampling rate in hertz")
    parser.add_argument(
        "--channels-in-stream", type=int, metavar="N", default=2, help="channels that are recorded"
    )
    parser.add_argument(
        "--channels",
        type=int,
        nargs=2,
        metavar=("FIRST", "SECOND"),
        help="channels of the two microphones, from 0, where more are recorded",
    )
    parser.add_argument(
        "--spacing",
        type=float,
        metavar="METRES",
        help="distance between the two microphones; default: that of the model's training",
    )
    add_window_options(parser, "online", ("none", "online"))
    parser.add_argument(
        "--max-pending",
        type=int,
        metavar="N",
        help="windows that may wait where the computer is too slow: of more, the oldest are "
        "dropped; default: 8 for a sound card, all for standard input",
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--json", action="store_true", help="a line of JSON for each window", dest="as_json"
    )
    shown.add_argument("--view", action="store_true", help="a half circle in the terminal")
    parser.set_defaults(run=_run, checked_by=_check)


def _check(options: argparse.Namespace) -> None:
    # `--prompt` takes a word that follows it.
    if STANDARD_INPUT in options.prompt and len(options.prompt) > 1:
        options.prompt.remove(STANDARD_INPUT)
        options.input = STANDARD_INPUT
    if options.input:
        if options.device not in (None, STANDARD_INPUT):
            raise ValueError(
                f"`--device` must be left out where - is given. Received: --device={options.device}"
            )
        options.device = STANDARD_INPUT
    options.prompt = list(dict.fromkeys(options.prompt))
    for prompt in options.prompt:
        if os.path.exists(prompt) or is_meant_as_file(prompt):
            check_input("--prompt", prompt)
    check_channel_pair(options.channels)
    count = options.channels_in_stream
    if options.channels is None and count != 2:
        raise ValueError(
            "`--channels` must choose two of the channels, such as `--channels 0 1`. "
            f"Received: --channels-in-stream={count} without --channels"
        )
    if options.channels is not None and max(options.channels) >= count:
        raise ValueError(
            f"`--channels` must be from 0 to {count - 1} with --channels-in-stream={count}. "
            f"Received: --channels={options.channels}"
        )
    if options.device == STANDARD_INPUT and sys.stdin is not None and sys.stdin.isatty():
        raise ValueError(
            "`--device -` must be used in a pipe, such as `arecord -f S16_LE -c 2 -r 16000 -t raw "
            "| keras-avssan listen --device - --prompt dog.jpg`. Received: a terminal as standard "
            "input"
        )


def _run(options: argparse.Namespace) -> None:
    piped = options.device == STANDARD_INPUT
    sounddevice = None if piped else import_sounddevice()
    model: Any = load_model(options.model)
    check_model_spacing(options, model)

    from keras_avssan.models.prompting import check_readable
    from keras_avssan.tracking import LocalizerStream
    from keras_avssan.tracking.block_queue import BlockQueue

    check_readable(model, options.prompt)
    stream = LocalizerStream(
        model,
        dict(zip(options.prompt, options.prompt, strict=True)),
        options.window,
        options.hop,
        sampling_rate=options.rate,
        channels=None if options.channels is None else tuple(options.channels),
        microphone_spacing=options.spacing,
        smoothing=None if options.smoothing == "none" else options.smoothing,
        max_pending=options.max_pending or (None if piped else 8),
    )
    queue = BlockQueue(options.channels_in_stream, round(_WAITING * options.rate), drop=not piped)
    show = _Shown(options)
    try:
        if piped:
            _read_in_background(sys.stdin.fileno(), queue, options.channels_in_stream)
            _localize(stream, queue, show, options.window)
        else:
            with _record(sounddevice, options, queue):
                _localize(stream, queue, show, options.window)
    except KeyboardInterrupt:
        pass  # how such a command ends
    except BrokenPipeError:
        # Nobody reads any more, such as after `| head`; Python would report it again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        queue.close()
    if stream.dropped:
        print(f"{stream.dropped} windows were dropped", file=sys.stderr)
    if queue.lost:
        print(f"{queue.lost / options.rate:.1f} s of sound were lost", file=sys.stderr)


def _localize(stream: Any, queue: "BlockQueue", show: "_Shown", window: float) -> None:
    """Shows estimates until the recording ends; refuses one without a window."""
    samples, has_window = 0, False
    while (block := queue.take()) is not None:
        samples += len(block)
        estimates = stream.push(block)
        has_window = has_window or bool(estimates)
        show(estimates)
    if not has_window:
        raise ValueError(
            f"The recording must last for one window of {window:g} s or more. "
            f"Received: {samples / stream.sampling_rate:.3f} s"
        )


class _Shown:
    """Prints estimates as lines of text or JSON, or as a half circle that moves."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._width = max(map(len, options.prompt)) if len(options.prompt) > 1 else 0
        self._lines = 0  # that the half circle has

    def __call__(self, estimates: Sequence[Any]) -> None:
        rows = [row_of(estimate) for estimate in estimates]
        if self._options.view:
            if rows:
                self._draw(rows[-len(self._options.prompt) :])
            return
        for row in rows:
            name = row["prompt"].ljust(self._width) if self._width else ""
            print(json.dumps(row) if self._options.as_json else line_of(row, name), flush=True)

    def _draw(self, rows: Sequence[dict[str, Any]]) -> None:
        """The newest window, in place of the one before."""
        lines = half_circle(
            [f"{row['prompt']}{_presence(row)}" for row in rows], [row["azimuth"] for row in rows]
        )
        above = _UP.format(self._lines) if self._lines else ""
        print(above + "\n".join([*lines, f"{rows[-1]['time']:.2f} s"]), flush=True)
        self._lines = len(lines) + 1


def _presence(row: dict[str, Any]) -> str:
    return "" if row["presence"] is None else f" (presence {row['presence']:.2f})"


def import_sounddevice() -> Any:
    """Imports sounddevice, which only sound cards need."""
    try:
        import sounddevice
    except ImportError as error:
        raise ImportError(
            f"A sound card needs sounddevice: `pip install sounddevice`; {_EXTRA}."
        ) from error
    except OSError as error:  # PortAudio
        raise ImportError(
            f"A sound card needs the library PortAudio, which sounddevice cannot load: {error}"
        ) from error
    return sounddevice


def _record(sounddevice: Any, options: argparse.Namespace, queue: "BlockQueue") -> Any:
    """An input stream of a sound card, whose blocks go to a queue."""

    def receive(samples: "np.ndarray", frames: int, time: Any, status: Any) -> None:
        queue.put(samples.copy())

    device = options.device
    if device is not None and device.lstrip("-").isdigit():
        device = int(device)
    try:
        return sounddevice.InputStream(
            samplerate=options.rate,
            device=device,
            channels=options.channels_in_stream,
            dtype="float32",
            callback=receive,
            finished_callback=queue.close,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise ValueError(
            f"`--device` must be a sound card that records {options.channels_in_stream} channels "
            f"at {options.rate} Hz; `python -m sounddevice` lists them. "
            f"Received: --device={options.device} ({error})"
        ) from error


def _read_in_background(file: int, queue: "BlockQueue", channels: int) -> None:
    """Reads raw samples of a file descriptor in a thread, which ends with the process."""

    def read() -> None:
        try:
            for block in _raw_blocks(file, channels):
                if not queue.put(block):
                    return
        except Exception as error:
            queue.close(error)
        else:
            queue.close()

    threading.Thread(target=read, name="raw samples", daemon=True).start()


def _check_raw(content: bytes) -> None:
    """Refuses the beginning of a sound file, whose header and coded samples sound as noise."""
    kinds = [kind for mark, kind in _HEADERS.items() if content.startswith(mark)]
    if content[4:8] == b"ftyp":
        kinds = ["MP4"]
    if kinds:
        raise ValueError(
            "Standard input must hold raw samples, without a header, such as those of "
            "`ffmpeg -loglevel error -i FILE -ac 2 -ar 16000 -f s16le -`. "
            f"Received: the beginning of a {kinds[0]} file"
        )


def _raw_blocks(file: int, channels: int) -> Iterator["np.ndarray"]:
    """Blocks (samples, channels) in [-1, 1) of signed 16-bit numbers, as they arrive."""
    import numpy as np

    size, rest = _SAMPLE * channels, b""
    # Not by `sys.stdin.buffer`, whose lock a waiting thread holds: the end of Python would abort.
    is_first = True
    while chunk := os.read(file, _CHUNK):
        content = rest + chunk
        if is_first:
            _check_raw(content)
            is_first = False
        whole = len(content) - len(content) % size
        rest = content[whole:]
        numbers = np.frombuffer(content[:whole], "<i2").reshape(-1, channels)
        if len(numbers):
            yield numbers.astype("float32") / 32768.0
