"""The command `localize`: directions of prompted sounds in recordings."""

import argparse
import csv
import io
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any, cast

from keras_avssan._internal.atomic_files import check_file, is_meant_as_file, write_json, write_text
from keras_avssan._internal.saved_files import DEFAULT_MODEL
from keras_avssan._internal.types import PathLike
from keras_avssan.cli.array_options import (
    add_array_options,
    array_arguments,
    check_array_options,
    open_array,
)
from keras_avssan.cli.checks import check_input, check_output
from keras_avssan.cli.options import MODEL_HELP, Commands, check_model_spacing, load_model
from keras_avssan.cli.tracking.track_files import (
    COLUMNS as TRACK_COLUMNS,
)
from keras_avssan.cli.tracking.track_files import (
    add_track_options,
    check_channel_pair,
    check_track_options,
    draw_track,
    track_all,
)

# Endings of a figure, each a format that Matplotlib writes without other programs.
_FIGURES = (".jpeg", ".jpg", ".pdf", ".png", ".svg", ".tif", ".tiff", ".webp")
_NUMBERS = {2: "two"}
_COLUMNS = ("recording", "prompt", "azimuth", "confidence")


def add_localize(commands: Commands) -> None:
    """Adds `localize`."""
    parser = commands.add_parser(
        "localize",
        help="find prompted sounds in recordings",
        description="Find every prompted sound in every recording: prints the azimuth, 0 degrees "
        "beside the first microphone and 180 beside the second, and the posterior probability "
        "within 5 degrees of it, which says how sharp the answer is, not whether the prompted "
        "sound is present. A model with candidates also gives the presence, the probability that "
        "the prompted sound is in the recording; below 0.5 it is probably not there.",
        epilog="keras-avssan localize mix.wav --prompt dog.jpg\n"
        "keras-avssan localize mix.wav street.wav --prompt dog.jpg bark.wav --model my_model "
        "--csv answers.csv\n"
        "keras-avssan localize array.wav --channels 0 2 --spacing 0.08 --prompt dog.jpg "
        "--model my_model\n"
        "keras-avssan localize long.wav --prompt dog.jpg --track --smoothing offline "
        "--csv track.csv --figure track.png\n"
        "keras-avssan localize four.wav --prompt dog.jpg --array respeaker_4",
    )
    parser.add_argument(
        "audio", nargs="+", help="recording of two microphones, or of those of --array"
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
        "--channels",
        type=int,
        nargs=2,
        metavar=("FIRST", "SECOND"),
        help="channels of the two microphones, from 0, in recordings of several",
    )
    parser.add_argument(
        "--spacing",
        type=float,
        metavar="METRES",
        help="distance between the two microphones; default: that of the model's training",
    )
    parser.add_argument("--json", metavar="FILE", help="file for the answers, a list of objects")
    parser.add_argument("--csv", metavar="FILE", help="file for the answers, a row each")
    parser.add_argument(
        "--figure",
        metavar="FILE",
        help="file for a figure of one recording and one prompt, of posterior, mask and bands, or "
        "with --track of the direction over time: " + ", ".join(_FIGURES),
    )
    add_array_options(parser)
    add_track_options(parser)
    parser.set_defaults(run=_localize, checked_by=_check)


def _check(options: argparse.Namespace) -> None:
    for path in options.audio:
        check_file(path, f"audio file '{path}'")
    for prompt in options.prompt:
        if is_meant_as_file(prompt):
            check_input("--prompt", prompt)
    check_track_options(options)
    if options.csv:
        check_output("--csv", options.csv)
    if options.figure:
        _check_figure(options)
    _check_outputs(options)
    check_channel_pair(options.channels)
    check_array_options(options)
    for path in options.audio:
        _check_header(path, options)


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuses two files of answers that are one, and one that would replace what is read."""
    taken = {os.path.realpath(path): f"the recording '{path}'" for path in options.audio}
    for prompt in options.prompt:
        if os.path.isfile(prompt):
            taken[os.path.realpath(prompt)] = f"the prompt '{prompt}'"
    for name in ("json", "csv", "figure"):
        path = getattr(options, name)
        if path is None or (os.path.exists(path) and not os.path.isfile(path)):  # such as /dev/null
            continue
        other = taken.setdefault(os.path.realpath(path), f"the file of `--{name}`")
        if other != f"the file of `--{name}`":
            raise ValueError(
                f"`--{name}` must be a file of its own. Received: --{name}={path!r}, {other}"
            )


def _check_figure(options: argparse.Namespace) -> None:
    if os.path.splitext(options.figure)[1].lower() not in _FIGURES:
        raise ValueError(
            f"`--figure` must end in one of {', '.join(_FIGURES)}. "
            f"Received: --figure={options.figure!r}"
        )
    if len(options.audio) > 1 or len(options.prompt) > 1:
        raise ValueError(
            "`--figure` needs exactly one recording and one prompt. "
            f"Received: {len(options.audio)} recordings and {len(options.prompt)} prompts"
        )


def _check_header(path: PathLike, options: argparse.Namespace) -> None:
    """Channels and length; files that soundfile cannot open are left to the reader."""
    import soundfile

    try:
        header = soundfile.info(path)
    except soundfile.SoundFileError:
        return
    count = header.channels
    wanted, option, channels = 2, "--channels", options.channels
    if options.array:
        wanted, option = len(open_array(options)), "--array-channels"
        channels = options.array_channels
    if channels is None and count != wanted:
        example = " ".join(map(str, range(wanted)))
        hint = (
            f" (`{option}`, such as `{option} {example}`, chooses {_NUMBERS.get(wanted, wanted)})"
        )
        hint = hint if count > wanted else ""
        raise ValueError(
            f"audio file '{path}' must have {wanted} channels{hint}. "
            f"Received: {count} channel{'s'[: count > 1]}"
        )
    if channels is not None and max(channels) >= count:
        raise ValueError(
            f"`{option}` must be from 0 to {count - 1} for audio file '{path}'. "
            f"Received: {option}={list(channels)}"
        )
    if options.track and header.frames < round(options.window * header.samplerate):
        raise ValueError(
            f"audio file '{path}' must last for one window of {options.window:g} s or more. "
            f"Received: {header.duration:.3f} s"
        )


def _localize(options: argparse.Namespace) -> None:
    from keras_avssan._internal.checks import gives_presence
    from keras_avssan.models.prompting import check_readable

    model: Any = load_model(options.model)
    check_readable(model, options.prompt)
    if options.figure and not options.track and not hasattr(model, "explain"):
        raise ValueError(
            "`--figure` needs an AVSSAN as `--model`, which explains its answers. "
            f"Received: --model={options.model!r}, a {type(model).__name__}"
        )
    check_model_spacing(options, model)
    pair: dict[str, Any] = array_arguments(options) if options.array else {}
    if options.channels:
        pair["channels"] = tuple(options.channels)
    if options.spacing:
        pair["microphone_spacing"] = options.spacing
    if options.track:
        rows, track = track_all(model, options, pair)
        _write(options, rows, TRACK_COLUMNS)
        if options.figure:
            names = map(_short, (options.audio[0], options.prompt[0]))
            draw_track(track, ", ".join(names), options.figure)
        return
    with_presence = gives_presence(model)
    columns = (*_COLUMNS, "presence") if with_presence else _COLUMNS
    answers: list[dict[str, Any]] = []
    explanation: dict[str, Any] = {}
    for recording in options.audio:
        if options.figure:
            explanation = model.explain(recording, options.prompt[0], **pair)
            found = [[explanation[name] for name in columns[2:]]]
        else:
            found = _localize_all(model, recording, options.prompt, pair, with_presence)
        for prompt, numbers in zip(options.prompt, found, strict=True):
            values = (recording, prompt, *map(_number, numbers))
            answers.append(dict(zip(columns, values, strict=True)))
            print(_line(answers[-1], options), flush=True)
    _write(options, answers, columns)
    if options.figure:
        _draw(explanation, options.prompt[0], options.figure)


def _short(name: str) -> str:
    """A file without its folder; words as they are."""
    return os.path.basename(name) if os.path.isfile(name) else name


def _write(
    options: argparse.Namespace, answers: Sequence[dict[str, Any]], columns: Sequence[str]
) -> None:
    """The files of answers that are named."""
    if options.json:
        write_json(options.json, answers)
    if options.csv:
        write_text(options.csv, _table(answers, columns))


def _localize_all(
    model: Any,
    recording: str,
    prompts: Sequence[str],
    pair: dict[str, Any],
    with_presence: bool,
) -> list[list[float]]:
    """Azimuth, confidence and, if it is wanted, presence for each prompt."""
    if with_presence:
        pair = {**pair, "return_presence": True}
    # One prompt as such: baselines take it as it is, and networks on the same path as ever.
    prompt = list(prompts) if len(prompts) > 1 else prompts[0]
    values = model.localize(recording, prompt, return_confidence=True, **pair)
    found = [list(numbers) for numbers in zip(*values, strict=True)]
    return found if len(found) == len(prompts) else found * len(prompts)  # of a promptless network


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _line(answer: dict[str, Any], options: argparse.Namespace) -> str:
    """An answer; with recording and prompt, in columns, if there are several."""
    near = "unknown" if answer["confidence"] is None else f"{answer['confidence']:.2f}"
    text = (
        f"{answer['azimuth']:3.0f} degrees, probability within 5 degrees: {near}{_presence(answer)}"
    )
    if len(options.audio) == len(options.prompt) == 1:
        return text.lstrip()
    recording = answer["recording"].ljust(max(map(len, options.audio)))
    return f"{recording}  {answer['prompt'].ljust(max(map(len, options.prompt)))}  {text}"


def _presence(answer: dict[str, Any]) -> str:
    """What an answer's line says of the presence, which not every model gives."""
    presence = answer.get("presence")
    if presence is None:
        return ""
    warning = "" if presence >= 0.5 else ", the prompted sound is probably not there"
    return f", presence: {presence:.2f}{warning}"


def _table(answers: Iterable[dict[str, Any]], columns: Sequence[str]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(answers)
    return stream.getvalue()


def _draw(explanation: dict[str, Any], prompt: str, path: PathLike) -> None:
    """The figure, with the prompt in it if that is a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    from keras_avssan._internal.atomic_files import whole_file
    from keras_avssan.models.prompts import split_prompts
    from keras_avssan.visualization import plot_explanation

    picture = prompt if split_prompts(prompt)[1] == ["picture"] else None
    figure = cast(Figure, plot_explanation(explanation, prompt=picture))
    with whole_file(path) as part:
        figure.savefig(part, dpi=150, format=os.path.splitext(path)[1][1:].lower())
