"""Packaged models by name, for tasks, backbones and preprocessors."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import keras

from keras_avssan._internal.atomic_files import read_json
from keras_avssan._internal.checks import path_of, preset_string
from keras_avssan._internal.registered_names import import_registered
from keras_avssan._internal.saved_files import (
    card_entries,
    find_preset,
    packaged_presets,
)
from keras_avssan._internal.types import PathLike
from keras_avssan.encoders.presets import check_preset, reading_preset

if TYPE_CHECKING:
    Mixin: Any  # a task, backbone or preprocessor of KerasHub, which stands beside it
else:
    Mixin = object

# Arguments of KerasHub's `from_preset`; all others are those of the class.
_OF_LOADING = frozenset({"load_weights", "config_file"})


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
            TypeError: If `preset` is not a string or a path, or the class has no such argument.
            ValueError: If there is no such preset, or a file of it is missing or damaged.
        """
        found = check_preset(find_preset(preset_string(preset)), cls)
        overrides = {name: kwargs[name] for name in kwargs if name not in _OF_LOADING}
        with reading_preset(found, overrides):
            return super().from_preset(found, *args, **kwargs)

    def save_to_preset(self, preset_dir: PathLike, *args: Any, **kwargs: Any) -> None:
        """Saves this part of a model into a folder.

        A `UserWarning` says where `from_preset` would load a preset of the folder's name instead.

        Args:
            preset_dir: Path of the folder; made if it does not exist.
            *args: Further arguments of KerasHub's `save_to_preset`.
            **kwargs: Likewise.

        Raises:
            TypeError: If `preset_dir` is not a string or a path.
        """
        warn_of_name(type(self), preset_dir)
        # As a path, which is no name, it warns once for all parts.
        super().save_to_preset(Path(preset_dir), *args, **kwargs)


def warn_of_name(owner: Any, folder: PathLike) -> None:
    """Warns where a string as folder is a name, which `from_preset` of `owner` loads instead."""
    path = path_of("preset_dir", folder)
    if isinstance(folder, str) and (find_preset(path) != path or path in owner.presets):
        inside = os.path.join(os.curdir, path)
        warnings.warn(
            f"{path!r} is the name of a preset, which `from_preset({path!r})` loads in place of "
            f"the folder `preset_dir`: load the folder as {inside!r}. "
            f"Received: preset_dir={path!r}",
            stacklevel=4,
        )


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
