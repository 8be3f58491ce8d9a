"""A bank in one npz file."""

import os
import zipfile
from collections.abc import Collection
from typing import Any

import numpy as np

from keras_avssan._internal.types import PathLike

FORMAT = "keras-avssan RIR bank 1"


def read_fields(path: PathLike, names: Collection[str]) -> dict[str, Any]:
    """Reads the fields of these names that a file of `RIRBank.save` holds.

    Damaged files raise a dozen kinds of errors.
    """
    with open(path, "rb") as opened:
        if not zipfile.is_zipfile(opened):
            raise ValueError("it is no npz file, or is truncated")
    with np.load(path, allow_pickle=False) as file:
        if file["format"] != FORMAT:
            raise ValueError(f"its format is {file['format']}")
        fields = {name: file[name] for name in set(names) & set(file.files)}
    return fields | {name: value.item() for name, value in fields.items() if value.ndim == 0}


def missing_file(path: PathLike) -> FileNotFoundError:
    """The error for a path where no bank is."""
    return FileNotFoundError(
        "`path` must be a file of `RIRBank.save` or a folder of `build_bank`. "
        f"Received: path={os.fspath(path)!r}, which does not exist"
    )


def no_bank(path: PathLike, error: Exception) -> ValueError:
    """The error for a file that is no bank, or is damaged."""
    return ValueError(
        f"`path` must be a whole bank of `RIRBank.save`: {str(error).rstrip('.')}. "
        f"Received: path={os.fspath(path)!r}"
    )
