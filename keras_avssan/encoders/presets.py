"""Loading of encoders from presets, whose damaged files are named by the argument."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from keras_avssan._internal.checks import path_of
from keras_avssan._internal.types import PathLike

if TYPE_CHECKING:
    import keras_hub

    _Backbone: Any = keras_hub.models.Backbone
else:
    _Backbone = object


class LoadsBackbonePresets(_Backbone):
    """Adds to a `keras_hub.models.Backbone` errors that name the preset.

    A mixin, before it among the bases.
    """

    @classmethod
    def from_preset(cls, preset: PathLike, load_weights: bool = True, **kwargs: Any) -> Self:
        """Loads what `save_to_preset` has written.

        Args:
            preset: Path of the folder, or the address of one (`hf://…`, `kaggle://…`).
            load_weights: Whether weights are loaded; they are random if `False`.
            **kwargs: Arguments of the class that override those of the preset.

        Returns:
            An object of this class.

        Raises:
            TypeError: If `preset` is not a string or a path.
            ValueError: If there is no such preset, or a file of it is missing or damaged.

        Example:
            >>> encoder = YAMNet(stage=6)
            >>> encoder.save_to_preset("yamnet")
            >>> encoder = YAMNet.from_preset("yamnet")
        """
        preset = check_preset(preset, cls.presets)
        with reading_preset(preset, kwargs):
            return super().from_preset(preset, load_weights=load_weights, **kwargs)


def check_preset(preset: PathLike, names: Mapping[str, Any]) -> str:
    """A preset as a string; a ValueError unless it is a name, an address or a folder."""
    path = path_of("preset", preset, "name, an address or a path")
    if path not in names and "://" not in path and not os.path.isdir(path):
        some = f" or one of {sorted(names)}" if names else ""
        raise ValueError(
            f"`preset` must be an existing folder, an address (kaggle://, hf://){some}. "
            f"Received: preset={path!r}"
        )
    return path


@contextlib.contextmanager
def reading_preset(
    preset: PathLike, arguments: Mapping[str, Any] | None = None, name: str = "preset"
) -> Iterator[None]:
    """Turns what goes wrong with the files of a preset, the argument `name`, into a ValueError.

    Errors that may be of the `arguments` that override the preset's pass as they are.
    """
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except Exception as error:
        is_of_values = isinstance(error, TypeError | AttributeError | ValueError)
        if arguments and is_of_values:
            raise
        damaged = "" if isinstance(error, ValueError) else ", a file of it is missing or damaged"
        raise ValueError(
            f"`{name}` cannot be loaded{damaged}: {str(error).rstrip('.')}. "
            f"Received: {name}={str(preset)!r}"
        ) from error
