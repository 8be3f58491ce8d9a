"""Atomic saving of models."""

import os
import shutil
import tempfile

import keras

from keras_avssan._internal.types import PathLike
from keras_avssan.models.storage.named_presets import FindsPackaged, warn_of_name


def save_atomically(model: keras.Model, folder: PathLike) -> None:
    """Saves a preset folder atomically.

    A `UserWarning` says where `from_preset` would load a preset of the folder's name instead.

    Args:
        model: A model with `save_to_preset`.
        folder: Path of the folder, in an existing one; an existing preset is replaced.

    Example:
        >>> save_atomically(model, "my_model")
    """
    if isinstance(model, FindsPackaged):
        warn_of_name(type(model), folder)
    parent = os.path.dirname(os.path.abspath(folder))
    temporary = tempfile.mkdtemp(dir=parent)
    try:
        model.save_to_preset(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
