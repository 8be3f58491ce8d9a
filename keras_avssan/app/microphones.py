"""The microphones that a recording on the page is of: two, or an array."""

import os
from collections.abc import Mapping

from keras_avssan._internal.types import PathLike
from keras_avssan.arrays import MicrophoneArray

TWO = "two"
# An uploaded file of positions: its size in bytes, and its microphones, whose pairs are one batch.
_MOST_BYTES, _MOST_MICROPHONES = 4096, 8


def known_arrays(default: MicrophoneArray | None = None) -> dict[str, MicrophoneArray]:
    """The arrays that can be chosen by name: the presets, and `default`."""
    arrays = {name: MicrophoneArray.from_preset(name) for name in MicrophoneArray.presets()}
    if default is not None:
        arrays[name_of(default)] = default
    return arrays


def name_of(array: MicrophoneArray | None) -> str:
    """The name that the page has for an array, or for two microphones."""
    if array is None:
        return TWO
    name = str(array.name or "array")
    presets = MicrophoneArray.presets()
    if name == TWO or (name in presets and array != MicrophoneArray.from_preset(name)):
        return f"{name} (given)"
    return name


def choose_array(
    arrays: Mapping[str, MicrophoneArray], name: str | None, positions: PathLike | None
) -> MicrophoneArray | None:
    """The array of an uploaded file of positions, else that of the name; `None` for two."""
    if positions:
        return _read(positions)
    return None if name in (None, TWO) else arrays[name]


def _read(path: PathLike) -> MicrophoneArray:
    """The array of an uploaded file; errors name it without its folder."""
    path = os.fspath(path)
    name = os.path.basename(path)
    size = os.path.getsize(path)
    if size > _MOST_BYTES:
        raise ValueError(
            f"'{name}' must have at most {_MOST_BYTES} bytes, a row x, y, z for each microphone. "
            f"Received: {size} bytes"
        )
    try:
        array = MicrophoneArray.from_file(path)
    except RecursionError as error:
        raise ValueError(f"'{name}' must hold positions. Received: nested lists") from error
    except ValueError as error:
        raise ValueError(str(error).replace(path, name)) from error
    if len(array) > _MOST_MICROPHONES:
        raise ValueError(
            f"'{name}' must have at most {_MOST_MICROPHONES} microphones. Received: {len(array)}"
        )
    return array
