"""Files of a training that appear whole or not at all."""

import json
import os
import shutil
import tempfile
from pathlib import Path


def save_whole(model, folder):
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


def write_whole(path, write):
    """Writes a file that appears whole or not at all, even if the machine loses its power.

    Args:
        path: Path of the file; one that is there is replaced.
        write: Function that is called with the open binary file.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def write_json_whole(path, content):
    """Writes JSON with `write_whole`.

    Args:
        path: Path of the file.
        content: What JSON can hold.
    """
    text = json.dumps(content, indent=2)
    write_whole(path, lambda file: file.write(text.encode()))


def _sync_folder(folder):
    """Brings the names of a folder to the disk, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
