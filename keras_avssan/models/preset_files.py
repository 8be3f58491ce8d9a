"""Checks on the files of a saved model."""

import json
import os

import keras

from keras_avssan._internal.registered_names import import_registered
from keras_avssan._internal.saved_files import MODEL_ENTRIES, MODEL_WEIGHTS

# Version of the folders and files that models are saved in; rises when they change.
FORMAT_VERSION = 1

_TASK = "task.json"


def check_format(version: int) -> None:
    """Refuses what a later version of this library has written.

    Args:
        version: Format version of a saved model.

    Raises:
        ValueError: If it is a later one.
    """
    if version > FORMAT_VERSION:
        raise ValueError(
            f"This model was saved in format {version}, and this version of keras-avssan reads "
            f"formats up to {FORMAT_VERSION}. A later version of it reads this model."
        )


def check_preset_folder(
    preset: str | os.PathLike, with_weights: bool, owner: type[keras.Model]
) -> None:
    """Names what is missing or damaged in the folder of a saved model; imports its class.

    Args:
        preset: Path of a folder. Hub handles pass unchecked: what they hold is known later.
        with_weights: Whether weights are needed.
        owner: Class of which the model should be.

    Raises:
        ValueError: If there is no such folder, a file of it is missing or not JSON, or it holds a
            model of another class.

    Example:
        >>> check_preset_folder("seldnet", True, SELDNet)
    """
    preset = os.fspath(preset)
    if "://" in preset:
        return
    if not os.path.isdir(preset):
        raise ValueError(
            "`preset` must be the folder of a saved model, a name of "
            f"`{owner.__name__}.presets` or a hub handle. Received: preset={preset!r}"
        )
    for name in MODEL_ENTRIES:
        config = _read_json(os.path.join(preset, name))
        # KerasHub wants the class itself, where Keras is content with a stand-in.
        import_registered(config.get("registered_name") or "")
        if name == _TASK:
            _check_class(preset, config.get("registered_name"), owner)
    if with_weights and not any(
        os.path.isfile(os.path.join(preset, name)) for name in MODEL_WEIGHTS
    ):
        raise ValueError(f"'{preset}' has no weights: the file '{MODEL_WEIGHTS[0]}' is missing.")


def _check_class(preset: str, registered_name: str | None, owner: type[keras.Model]) -> None:
    """Refuses a model that is not of a class, nor of one with the same backbone."""
    stored = keras.saving.get_registered_object(registered_name or "")
    if not isinstance(stored, type) or issubclass(stored, owner) or issubclass(owner, stored):
        return
    if getattr(stored, "backbone_cls", None) is owner.backbone_cls:
        return
    raise ValueError(
        f"`preset` must hold a model of the class {owner.__name__}, and holds one of the class "
        f"{stored.__name__}: load it with `{stored.__name__}.from_preset`, or with "
        f"`keras_avssan.models.Localizer.from_preset`, which takes any. Received: preset={preset!r}"
    )


def _read_json(path: str) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError as error:
        raise ValueError(f"'{path}' is missing: this is no saved model.") from error
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged: {error}") from error
