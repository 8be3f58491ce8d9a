"""Checks of the files of a saved model."""

import json
import os
from typing import Any

import keras

from keras_avssan._internal.registered_names import import_registered
from keras_avssan._internal.saved_files import MODEL_ENTRIES, MODEL_WEIGHTS
from keras_avssan._internal.types import PathLike
from keras_avssan.encoders.presets import check_preset

# Version of the folders and files that models are saved in; rises when they change.
FORMAT_VERSION = 1

_TASK = "task.json"


def check_format(version: int) -> None:
    """Refuses models that a later version of this library has saved."""
    if isinstance(version, bool) or not isinstance(version, int):
        raise ValueError(
            f"`format_version` must be an integer. Received: format_version={version!r}"
        )
    if version > FORMAT_VERSION:
        raise ValueError(
            f"This version of keras-avssan reads models of `format_version` up to "
            f"{FORMAT_VERSION}, and a later version of it saved this one. "
            f"Received: format_version={version}"
        )


def check_preset_folder(preset: PathLike, with_weights: bool, owner: type[keras.Model]) -> None:
    """Refuses folders without a complete saved model of a class; imports that class.

    Hub handles pass unchecked: their files are not here yet.
    """
    preset = check_preset(preset, owner)
    if "://" in preset:
        return
    for name in MODEL_ENTRIES:
        config = _read_json(os.path.join(preset, name))
        if not isinstance(config.get("registered_name") or "", str):
            raise _damaged(
                os.path.join(preset, name),
                f"`registered_name` must be a string, and is {config['registered_name']!r}",
            )
        # KerasHub wants the class itself, where Keras is content with a stand-in.
        import_registered(config.get("registered_name") or "")
        if name == _TASK:
            _check_class(preset, config.get("registered_name"), owner)
    if with_weights and not any(
        os.path.isfile(os.path.join(preset, name)) for name in MODEL_WEIGHTS
    ):
        raise ValueError(
            f"`preset` must hold weights, and its file '{MODEL_WEIGHTS[0]}' is missing. "
            f"Received: preset={preset!r}"
        )


def _check_class(preset: str, registered_name: str | None, owner: type[keras.Model]) -> None:
    """Refuses models neither of a class nor of one with the same backbone."""
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


def _read_json(path: str) -> dict[str, Any]:
    folder = os.path.dirname(path)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError as error:
        raise ValueError(
            f"`preset` must be the folder of a saved model, and its file '{path}' is missing. "
            f"Received: preset={folder!r}"
        ) from error
    except ValueError as error:
        raise _damaged(path, error) from error
    if not isinstance(content, dict):
        raise _damaged(path, f"it holds no dict but {content!r:.80}")
    return content


def _damaged(path: str, reason: object) -> ValueError:
    return ValueError(
        f"`preset` must hold a readable model, and its file '{path}' is damaged: {reason}. "
        f"Received: preset={os.path.dirname(path)!r}"
    )
