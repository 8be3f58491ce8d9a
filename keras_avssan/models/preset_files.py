"""Checks on the files of a saved model."""

import json
import os

from keras_avssan._internal.registered_names import import_registered
from keras_avssan._internal.saved_files import MODEL_ENTRIES, MODEL_WEIGHTS

# Version of the folders and files that models are saved in; rises when they change.
FORMAT_VERSION = 1


def check_format(version):
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


def check_preset_folder(preset, with_weights=True, owner="AVSSAN"):
    """Names what is missing or damaged in the folder of a saved model; imports its class.

    Args:
        preset: Path of a folder. Hub handles pass unchecked: what they hold is known later.
        with_weights: Whether weights are needed.
        owner: Name of the class whose presets have names.

    Raises:
        ValueError: If there is no such folder, or a file of it is missing or no JSON.
    """
    preset = os.fspath(preset)
    if "://" in preset:
        return
    if not os.path.isdir(preset):
        raise ValueError(
            f"`preset` must be the folder of a saved model, a name of `{owner}.presets` or a hub "
            f"handle. Received: preset={preset!r}"
        )
    for name in MODEL_ENTRIES:
        config = _read_json(os.path.join(preset, name))
        # KerasHub wants the class itself, where Keras is content with a stand-in.
        import_registered(config.get("registered_name") or "")
    if with_weights and not any(
        os.path.isfile(os.path.join(preset, name)) for name in MODEL_WEIGHTS
    ):
        raise ValueError(f"'{preset}' has no weights: the file '{MODEL_WEIGHTS[0]}' is missing.")


def _read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError as error:
        raise ValueError(f"'{path}' is missing: this is no saved model.") from error
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged: {error}") from error
