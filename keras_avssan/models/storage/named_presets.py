"""Packaged models by name, for tasks, backbones and preprocessors."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import keras

from keras_avssan._internal.atomic_files import read_json
from keras_avssan._internal.checks import preset_string
from keras_avssan._internal.registered_names import import_registered
from keras_avssan._internal.saved_files import (
    card_entries,
    find_preset,
    packaged_presets,
)
from keras_avssan._internal.types import PathLike

if TYPE_CHECKING:
    Mixin: Any  # a task, backbone or preprocessor of KerasHub, which stands beside it
else:
    Mixin = object


class _Presets:
    """The attribute `presets` of a class: what `from_preset` takes by name.

    Read at each access: a dict from name to a dict with `description`.
    """

    def __get__(self, instance: Any, owner: Any) -> dict[str, dict[str, Any]]:
        return {**owner.untrained, **packaged_for(owner)}


class FindsPackaged(Mixin):
    """Loads packaged models by name.

    A mixin for classes of KerasHub. `presets` lists the names: those of packaged models, and those
    of `untrained`, networks without weights. `preset_file` is the JSON file that names the class.
    """

    preset_file: str
    untrained: Mapping[str, dict[str, Any]] = {}
    presets = _Presets()

    @classmethod
    def from_preset(cls, preset: PathLike, *args: Any, **kwargs: Any) -> Self:
        """Loads a part of a saved model.

        Args:
            preset: A name of the class's `presets`, the folder of a saved model, or a hub handle.
                Names come first: a folder of the same name is `"./name"`, or a `pathlib.Path`.
            *args: Further arguments of KerasHub's `from_preset`.
            **kwargs: Arguments of the class that override those of the preset.

        Returns:
            An object of this class.

        Raises:
            TypeError: If `preset` is not a string or a path.
            ValueError: If there is no such preset.
        """
        found = os.fspath(find_preset(preset_string(preset)))
        if "://" not in found and not os.path.isdir(found):
            raise unknown_preset(cls, preset)
        return super().from_preset(found, *args, **kwargs)


def packaged_for(owner: Any) -> dict[str, dict[str, Any]]:
    """Packaged models that a class loads, by name: dicts with `description` and `folder`."""
    found: dict[str, dict[str, Any]] = {}
    for name, folder in packaged_presets().items():
        config = read_json(folder / owner.preset_file) or {}
        import_registered(str(config.get("registered_name")))
        stored = keras.saving.get_registered_object(str(config.get("registered_name")))
        if isinstance(stored, type) and (issubclass(stored, owner) or issubclass(owner, stored)):
            description = card_entries(folder).get("description", "")
            found[name] = {"description": description, "folder": str(folder)}
    return found


def unknown_preset(owner: Any, preset: PathLike) -> ValueError:
    """The error about a preset that is no folder, handle or name of `owner.presets`."""
    names = ", ".join(owner.presets) or "none yet"
    return ValueError(
        "`preset` must be the folder of a saved model, a name of "
        f"`{owner.__name__}.presets` or a hub handle. The names are: {names}. "
        f"Received: preset={os.fspath(preset)!r}"
    )
