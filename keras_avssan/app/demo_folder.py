"""Folder of the user's demo model, and the command that uses the model."""

import os
import shlex
import sys
from pathlib import Path

from keras_avssan._internal.types import PathLike

CACHE_VARIABLE = "KERAS_AVSSAN_CACHE"


def demo_folder() -> Path:
    """Path of the folder that keeps the demo model of this user, as the preset `model` in it.

    `$KERAS_AVSSAN_CACHE/demo`, else `keras-avssan/demo` in the platform's folder for caches.
    """
    named = os.environ.get(CACHE_VARIABLE)
    return (Path(named).expanduser() if named else _user_caches() / "keras-avssan") / "demo"


def _user_caches() -> Path:
    """The platform's folder for caches of this user."""
    if sys.platform == "win32":
        named, other = "LOCALAPPDATA", Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    else:
        named, other = "XDG_CACHE_HOME", Path.home() / ".cache"
    return Path(os.environ.get(named) or other)


def as_typed(path: PathLike) -> str:
    """A path as one types it in a shell, quoted if needed; `~` stands for the home folder."""
    path = Path(path).absolute()
    if sys.platform == "win32":
        return f'"{path}"' if " " in str(path) else str(path)
    home = Path.home()
    if path != home and path.is_relative_to(home):
        return f"~/{shlex.quote(path.relative_to(home).as_posix())}"
    return shlex.quote(str(path))


def localize_command(
    recording: PathLike, prompt: PathLike, model: PathLike, program: str = "keras-avssan"
) -> str:
    """The command line that localises a prompted sound with a saved model.

    `prompt` is the path of a picture or a recording, `model` that of a preset folder.
    """
    recording, prompt, model = map(as_typed, (recording, prompt, model))
    return f"{program} localize {recording} --prompt {prompt} --model {model}"
