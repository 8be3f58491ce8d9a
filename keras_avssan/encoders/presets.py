"""Loading of encoders from presets, whose damaged files are named by the argument."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from keras_avssan._internal.checks import path_of, unknown_argument
from keras_avssan._internal.start_up.loaded_weights import weights_to_be_loaded
from keras_avssan._internal.types import PathLike

if TYPE_CHECKING:
    from keras_avssan._internal.start_up.hub import keras_hub

    _Backbone: Any = keras_hub.models.Backbone
else:
    _Backbone = object

# As Keras words it; in other words it would be passed on as it is.
_UNKNOWN_ARGUMENT = re.compile(r"Unrecognized keyword arguments passed to (\w+): \{'(\w+)': (.*)\}")


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
            TypeError: If `preset` is not a string or a path, or the class has no such argument.
            ValueError: If there is no such preset, or a file of it is missing or damaged.

        Example:
            >>> encoder = YAMNet(stage=6)
            >>> encoder.save_to_preset("yamnet")
            >>> encoder = YAMNet.from_preset("yamnet")
        """
        preset = check_preset(preset, cls)
        with reading_preset(preset, kwargs):
            return super().from_preset(preset, load_weights=load_weights, **kwargs)


def check_preset(preset: PathLike, owner: Any) -> str:
    """A preset as a string; a ValueError unless a folder, an address or of `owner.presets`."""
    path = path_of("preset", preset, "name, an address or a path")
    if "://" in path or os.path.isdir(path) or path in owner.presets:
        return path
    names = ", ".join(sorted(owner.presets)) or "none yet"
    raise ValueError(
        "`preset` must be the folder of a saved model, a name of "
        f"`{owner.__name__}.presets` or a hub handle (kaggle://, hf://). The names are: {names}. "
        f"Received: preset={path!r}"
    )


@contextlib.contextmanager
def reading_preset(
    preset: PathLike, arguments: Mapping[str, Any] | None = None, name: str = "preset"
) -> Iterator[None]:
    """Loads weights at once, and turns what goes wrong with a preset's files into a ValueError.

    It names the argument `name`. Errors that may be of the `arguments` that override the
    preset's pass as they are, without the whole configuration that Keras puts before some.
    """
    try:
        with weights_to_be_loaded():
            yield
    except (ImportError, MemoryError):
        raise
    except Exception as caught:
        error = _without_configuration(caught)
        is_of_values = isinstance(error, TypeError | AttributeError | ValueError)
        if arguments and is_of_values:
            raise error from None
        damaged = "" if isinstance(error, ValueError) else ", a file of it is missing or damaged"
        raise ValueError(
            f"`{name}` cannot be loaded{damaged}: {str(error).rstrip('.')}. "
            f"Received: {name}={str(preset)!r}"
        ) from error


def _without_configuration(error: Exception) -> Exception:
    """The error that Keras repeats at the end of a message with a whole configuration."""
    inner = error.__context__
    while isinstance(error, TypeError) and isinstance(inner, Exception) and str(inner):
        if not str(error).endswith(str(inner)):
            break
        error, inner = inner, inner.__context__
    unknown = _UNKNOWN_ARGUMENT.match(str(error))
    return unknown_argument(*unknown.groups()) if unknown else error
