"""Saving a model whole or not at all."""

import os
import shutil
import tempfile
from typing import Any

from keras_avssan._internal.types import PathLike


def save_whole(model: Any, folder: PathLike):
    """Saves a preset folder that appears whole or not at all.

    Args:
        model: A model with `save_to_preset`.
        folder: Path of the folder, in one that exists; a preset that is there is replaced.

    Example:
        >>> save_whole(model, "my_model")
    """
    parent = os.path.dirname(os.path.abspath(folder))
    temporary = tempfile.mkdtemp(dir=parent)
    try:
        model.save_to_preset(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
