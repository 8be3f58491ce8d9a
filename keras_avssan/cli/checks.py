"""Checks of options that need nothing but the standard library, before Keras is imported."""

import argparse
import json
import math
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from keras_avssan._internal.atomic_files import check_file
from keras_avssan._internal.saved_files import (
    CHECKPOINT_PATTERN,
    DEFAULT_MODEL,
    MODEL_ENTRIES,
    MODEL_WEIGHTS,
    packaged_presets,
)
from keras_avssan.cli.options import BUILT_IN

# Least value of options that count something, and options that must be greater than zero.
_LEAST = dict.fromkeys(
    "steps epochs batch_size checkpoint_every scenes rooms workers image_size sources_per_room "
    "sampling_rate rooms_per_shard budget trials trial_steps validation_scenes test_rooms frames "
    "min_instances max_classes max_clips max_clips_per_class rows_per_part clips_per_shard "
    "max_pairs rate channels_in_stream max_pending".split(),
    1,
) | dict.fromkeys("seed first_index room unseen_classes spatialise scene_cache".split(), 0)
_POSITIVE = (
    *("duration", "learning_rate", "spacing", "max_duration", "segment_duration", "window", "hop"),
    *("image_std", "image_attenuation", "decay_time"),
)
# Arguments of the library that have another name than the option, and those of one meaning alone.
_ARGUMENTS = {
    "spacing": ("microphone_spacing",),
    "decay_time": ("t60",),
    "rooms": ("num_rooms",),
    "scenes": ("num_scenes",),
    "out": ("path", "folder"),
    "files": ("path", "file"),
    "systems": ("names",),
}
_ALWAYS = ("array", "prompt")
# Options that are finite numbers, or lists of them, and options with an upper bound in metres.
_FINITE = ("snr", "image_mean", "min_activity")
_MOST = {"spacing": 5.0}
# Largest seed of weights that Keras takes, and the commands that make such.
_MOST_SEED = 2**32 - 1
_WITH_WEIGHTS = ("train", "benchmark")
_CHOICES = {
    "configuration": ("base", "paper"),
    "prompts": ("picture", "text", "recording"),
    "engine": ("processes", "ray"),
    "pair": ("M1-M4", "M2-M3"),
    "baffle": ("rigid", "open"),
    "size": ("full", "small"),
    "table": ("2", "3", "4"),
    "prompt": ("picture", "text", "recording", "constant"),
}


def check_options(options: Any) -> None:
    """Checks numbers, choices and paths of a command, and calls its own check, `checked_by`.

    A mistyped path is reported at once: the import of Keras takes many seconds. The contents of
    files are checked when they are read.
    """
    free = ("prompt",) if getattr(options, "command", None) in ("localize", "listen") else ()
    for name, value in vars(options).items():
        if value is None or callable(value) or name == "arguments":
            continue
        option = option_of(options, name)
        _check_value(option, name, value)
        if name in free:
            continue
        if name in _LEAST and value < _LEAST[name]:
            raise ValueError(
                f"`{option}` must be at least {_LEAST[name]}. Received: {option}={value}"
            )
        weights = getattr(options, "command", None) in _WITH_WEIGHTS
        if name == "seed" and weights and value > _MOST_SEED:
            raise ValueError(f"`{option}` must be at most {_MOST_SEED}. Received: {option}={value}")
        if name in _POSITIVE and not 0 < value < float("inf"):
            raise ValueError(f"`{option}` must be positive. Received: {option}={value:g}")
        if name in _MOST and value > _MOST[name]:
            raise ValueError(
                f"`{option}` is in metres, and must be at most {_MOST[name]:g}. "
                f"Received: {option}={value:g}"
            )
        for choice in value if isinstance(value, list) else [value]:
            if name in _CHOICES and choice not in _CHOICES[name]:
                expected = ", ".join(_CHOICES[name])
                raise ValueError(
                    f"`{option}` must be one of {expected}. Received: {option}={choice}"
                )
        if name in _PATHS:
            _PATHS[name](option, value)
    _check_groups(options)
    getattr(options, "checked_by", lambda options: None)(options)


def _check_value(option: str, name: str, value: Any) -> None:
    """Refuses empty words and paths, values that are not numbers, and unreachable paths."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str) and not item.strip():
            raise ValueError(f"`{option}` must not be empty. Received: {option}={item!r}")
        if name in _FINITE or isinstance(item, float):
            _check_number(option, item, finite=name in _FINITE)
        if name in (*_PATHS, *_OWN_CHECKS) and isinstance(item, str) and os.path.lexists(item):
            _check_reachable(option, item)


def _check_number(option: str, value: Any, finite: bool) -> None:
    try:
        number = float(value)
    except ValueError:  # words, which the command checks itself
        return
    if math.isnan(number) or (finite and math.isinf(number)):
        raise ValueError(f"`{option}` must be a finite number. Received: {option}={value}")


def _check_reachable(option: str, path: str) -> None:
    """Refuses a path that exists and cannot be opened, such as a link that leads to itself."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ValueError(
            f"`{option}` must be a path that can be opened ({error.strerror}). "
            f"Received: {option}='{path}'"
        ) from error


def option_of(options: Any, name: str) -> str:
    """Name of an option as the user writes it, such as `--batch-size`; that of an argument."""
    actions: list[argparse.Action] = options.parser._actions
    for action in actions:
        if action.dest == name:
            return action.option_strings[0] if action.option_strings else name
    return name


def in_options(options: Any, message: str) -> str:
    """A message of the library in the words of the command line: `--room` in place of `room`.

    An argument is renamed where the value that the message has received is that of an option.
    """
    for name, value in vars(options).items():
        option = _name_of(options, name)
        forms = "|".join(map(re.escape, _forms(value)))
        for argument in (name, *_ARGUMENTS.get(name, ())):
            if argument == option:
                continue
            given = rf"(?<![\w.-]){argument}=(?=({forms})(?!\w|\.\d))"
            head, mark, received = message.partition("Received: ")
            if re.search(given, received) or argument in _ALWAYS:
                head = re.sub(rf"(?<!column )`{argument}`", f"`{option}`", head)
                message = head + mark + re.sub(given, f"{option}=", received)
    return message


def _name_of(options: Any, name: str) -> str:
    """Name of an option, or of a positional argument in the usage."""
    option = option_of(options, name)
    named = [one.metavar for one in options.parser._actions if one.dest == name and one.metavar]
    return str(named[0]) if option == name and named else option


def _forms(value: Any) -> set[str]:
    """How messages write a value of an option, or a part of it."""
    forms = {str(value), repr(value)}
    if isinstance(value, list):
        forms |= {repr(tuple(value)), *map(repr, value), *(repr([one]) for one in value)}
        if len(value) == 2 and all(isinstance(bound, int) for bound in value):
            forms.add(repr(list(range(*value))))
    if isinstance(value, (int, float)):
        forms |= {f"{value:g}", f"{value:.4f}"}
    return forms


def check_input(option: str, path: str) -> None:
    """Refuses a path that is missing, a directory or an empty file; `option` names it."""
    check_file(path, f"`{option}`: file '{path}'")


def check_folder(option: str, path: str) -> None:
    """Refuses a path that is missing or a file; `option` names it."""
    if not os.path.exists(path):
        raise ValueError(
            f"`{option}` must be an existing folder. Received: {option}='{path}', which does not "
            "exist"
        )
    if not os.path.isdir(path):
        raise ValueError(f"`{option}` must be a folder. Received: {option}='{path}', a file")


def check_output(option: str, path: str, kind: str = "file", make_parents: bool = False) -> None:
    """Refuses a path that cannot be written, or is of the other kind, `"file"` or `"folder"`.

    With `make_parents` the folders above it need not exist.
    """
    parent = os.path.dirname(os.path.abspath(path))
    if not make_parents and not os.path.isdir(parent):
        raise ValueError(f"`{option}` must lie in an existing folder. Received: {option}='{path}'")
    if kind == "file" and os.path.isdir(path):
        raise ValueError(f"`{option}` must be a file. Received: {option}='{path}', a folder")
    if kind == "folder" and os.path.exists(path) and not os.path.isdir(path):
        raise ValueError(f"`{option}` must be a folder. Received: {option}='{path}', a file")
    _check_writable(option, path)


def _check_writable(option: str, path: str) -> None:
    """Refuses a path that cannot be written, by a temporary file in the nearest folder."""
    folder = os.path.abspath(path)
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):  # permissions do not suffice, such as in /proc
            pass
    except OSError as error:
        raise ValueError(
            f"`{option}` must be in a folder that can be written, and '{folder}' cannot "
            f"({error.strerror}). Received: {option}='{path}'"
        ) from error


def hint_after(options: Any, message: str) -> str:
    """Advice about an error in the user's files, a sentence after a space; else empty."""
    if _is_too_long(options, message):
        return " `--track` takes longer ones, in windows."
    data = getattr(options, "data", None)
    if data and os.path.isdir(data) and re.search(r"(audio|image) file '", message):
        program = options.prog
        return (
            f" `{program} build folders {shlex.quote(data)} --write-metadata` lists unusable "
            "files, and writes a metadata.csv without them."
        )
    return ""


def _is_too_long(options: Any, message: str) -> bool:
    """Whether `localize` without `--track` or `--array` refuses a recording that is too long."""
    found = re.match(r"audio file '(.*)' must last .* ([\d.]+) seconds.* ([\d.]+) s$", message)
    if not found or getattr(options, "command", None) != "localize":
        return False
    name, most, duration = found.groups()
    takes_tracks = not (options.track or options.array or options.figure)
    return takes_tracks and name in options.audio and float(duration) > float(most)


def check_model(option: str, path: str) -> None:
    """A packaged or saved model, by its files; their contents are checked when they are loaded."""
    packaged = packaged_presets()
    hint = f"`{option}` must be the folder of a saved model{_or_one_of(packaged)}."
    received = f"{option}='{path}'"
    path = os.fspath(packaged.get(path, path))
    if path == DEFAULT_MODEL and not os.path.exists(path):
        raise ValueError(
            f"`{option}` must be given, the folder of a saved model{_or_one_of(packaged)}: this "
            f"installation does not hold the default, '{DEFAULT_MODEL}'. Received: {received}"
        )
    if not os.path.isdir(path):
        what = f"{received}, {'a file' if os.path.exists(path) else 'which does not exist'}"
        if os.path.isfile(path) and path.endswith(".keras"):
            what += f". This command converts it to a folder: {_make_folder(path)}"
        raise ValueError(f"{hint} Received: {what}")
    if not os.listdir(path):
        raise ValueError(f"{hint} Received: {received}, which is empty")
    if any(map(CHECKPOINT_PATTERN.fullmatch, os.listdir(path))):
        raise ValueError(
            f"{hint} Received: {received}, the checkpoints of a training that is not finished: the "
            "same `train` command again finishes it, and saves the model in its `--out`"
        )
    for name, entry in MODEL_ENTRIES.items():
        file = os.path.join(path, name)
        if not os.path.isfile(file):
            raise ValueError(f"{hint} Received: {received}, which has no {name}")
        try:
            with open(file, encoding="utf-8") as stream:
                content = json.load(stream)
        except ValueError as error:
            raise ValueError(f"'{file}' is damaged: {error}") from error
        if not isinstance(content, dict) or entry not in content:
            raise ValueError(
                f"{hint} Received: {received}, whose {name} is not that of a model: it has "
                f"no `{entry}`"
            )
    if not any(os.path.isfile(os.path.join(path, name)) for name in MODEL_WEIGHTS):
        raise ValueError(f"{hint} Received: {received}, which has no {MODEL_WEIGHTS[0]}")


def _or_one_of(names: Iterable[str]) -> str:
    """The rest of a sentence about what `--model` may be."""
    return f" or the name of a packaged one ({', '.join(names)})" if names else ""


def _make_folder(path: str) -> str:
    """The command that converts a `.keras` file to a preset folder."""
    folder = path.removesuffix(".keras")
    load = f"keras.models.load_model({path!r})"
    return f'python -c "import keras, keras_avssan; {load}.save_to_preset({folder!r})"'


def _bank(option: str, path: str) -> None:
    if os.path.isdir(path):
        if not os.path.isfile(os.path.join(path, "bank.json")):
            raise ValueError(
                f"`{option}` must be the file or folder of a bank. "
                f"Received: {option}='{path}', which has no bank.json"
            )
    else:
        check_input(option, path)


def _file_or_folder(option: str, path: str) -> None:
    if not os.path.isdir(path):
        check_input(option, path)


def _data(option: str, path: str) -> None:
    """A folder of classes, or a CSV, or the name of the built-in data."""
    if path == BUILT_IN or (option == "data" and os.path.isfile(path) and os.path.getsize(path)):
        return
    if option == "data" and os.path.exists(path) and not os.path.isdir(path):
        check_input(option, path)
    check_folder(option, path)


def _preset(option: str, path: str) -> None:
    """A folder, an address or the name of a CLIP preset, all of which begin with `clip_`."""
    if os.path.exists(path):
        check_folder(option, path)
    elif path != "none" and "://" not in path and not path.startswith("clip_"):
        raise ValueError(
            f"`{option}` must be an existing folder, an address (kaggle://, hf://) or the name of "
            f"a CLIP preset such as clip_vit_base_patch32. Received: {option}={path!r}"
        )


def _check_groups(options: Any) -> None:
    """Options that need one another."""
    if getattr(options, "starss23", None) and not options.prompts_from:
        raise ValueError(
            "`--prompts-from` must be a folder of pictures where `--starss23` is given. "
            "Received: no --prompts-from"
        )
    if getattr(options, "table", None) == "3" and not options.starss23:
        raise ValueError(
            "`--starss23` must be the folder of the data set for table 3. Received: no --starss23"
        )


_Check = Callable[[str, str], None]
_FOLDERS: dict[str, _Check] = {
    "model": check_model,
    **dict.fromkeys(
        ("root", "folder", "videos", "starss23", "prompts_from", "audio_encoder"), check_folder
    ),
    **dict.fromkeys(("image_encoder", "clip"), _preset),
    **dict.fromkeys(("checkpoints", "cache"), partial(check_output, kind="folder")),
    **dict.fromkeys(
        ("out", "tensorboard"), partial(check_output, kind="folder", make_parents=True)
    ),
}
_FILES: dict[str, _Check] = {
    "bank": _bank,
    "data": _data,
    "path": _file_or_folder,
    **dict.fromkeys(("class_map", "systems_from"), check_input),
    **dict.fromkeys(("json", "plot", "figure", "bank_file"), check_output),
}
_PATHS = {**_FOLDERS, **_FILES}
# Paths that the commands check themselves.
_OWN_CHECKS = ("audio", "prompt", "csv", "files", "array")
# Options that complete to folders, and to any path.
FOLDERS = tuple(_FOLDERS)
FILES = (*_FILES, *_OWN_CHECKS)
