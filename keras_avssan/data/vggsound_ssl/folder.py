"""A folder in which a dataset is built."""

import json
from pathlib import Path
from typing import Any

from keras_avssan._internal.atomic_files import remove_parts, write_json

BUILD_FILE = "build.json"
MANIFEST_FILE = "manifest.json"
STAGING = "staging"


def begin_folder(path: Path, layout: dict[str, Any]) -> None:
    """Begin a dataset, or go on with one of the same settings.

    `build.json` holds the settings. Half-written files are removed.

    Args:
        path: Path: a folder that is new, empty or holds the begun dataset.
        layout: Dict of all settings, as JSON has them.

    Raises:
        ValueError: The folder holds other files, or a dataset of other settings.
    """
    begun = path / BUILD_FILE
    if begun.exists():
        _check_layout(path, _read_layout(begun), layout)
    elif path.exists() and not path.is_dir():
        raise ValueError(f"`out` must be a folder, '{path}' is none.")
    elif path.exists():
        others = [file.name for file in path.iterdir() if not file.name.startswith(BUILD_FILE)]
        if others:
            raise ValueError(
                f"`out` must be new, empty or hold a begun dataset; '{path}' holds "
                f"{min(others)} and no {BUILD_FILE}."
            )
    path.mkdir(parents=True, exist_ok=True)
    remove_parts(path)
    if not (path / MANIFEST_FILE).exists():
        write_json(begun, layout)


def _read_layout(path: Path) -> dict[str, Any]:
    try:
        layout = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged: {error}.") from error
    if not isinstance(layout, dict):
        raise ValueError(f"'{path}' is damaged: it holds no settings.")
    return layout


def _check_layout(path: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    differences = [
        f"`{name}` is {there.get(name)!r} there, but {wanted.get(name)!r} is asked for"
        for name in sorted(there | wanted)
        if there.get(name) != wanted.get(name)
    ]
    # Where nothing is done yet, nothing contradicts.
    done = any(path.glob(f"{STAGING}/*.json")) or any(path.glob("*-*.json"))
    if differences and (done or (path / MANIFEST_FILE).exists()):
        raise ValueError(
            f"'{path}' holds a dataset of other settings: {'; '.join(differences)}. Name another "
            "folder."
        )
