"""Folder of the user's demo model, and the command that uses the model."""

import os
import shlex
import sys
from pathlib import Path

from keras_avssan._internal.types import PathLike

CACHE_VARIABLE = "KERAS_AVSSAN_CACHE"


def demo_folder() -> Path:
    """The folder that keeps the demo model of this user.

    The quickstart and `make demo` save their model there, and `keras-avssan app --demo` opens it:
    it is trained once. The environment variable `KERAS_AVSSAN_CACHE` names another place;
    otherwise it is where the platform keeps caches: `$XDG_CACHE_HOME` or `~/.cache` on Linux,
    `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.

    Returns:
        `pathlib.Path` of a folder, which need not exist. The model is the preset folder `model`
        in it.

    Example:
        >>> demo_folder().name
        'demo'
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
    """The command line that asks a saved model about a recording.

    Args:
        recording: Path of a two-channel recording.
        prompt: Path of a picture or a recording.
        model: Path of a preset folder.
        program: The program, as it is to be typed.

    Returns:
        String of one line, to be pasted into a shell.

    Example:
        >>> localize_command("mix.wav", "dog.png", "my_model").startswith("keras-avssan localize ")
        True
    """
    recording, prompt, model = map(as_typed, (recording, prompt, model))
    return f"{program} localize {recording} --prompt {prompt} --model {model}"
