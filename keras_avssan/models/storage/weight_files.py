"""The HDF5 files of a preset's weights: half precision, and fingerprints of frozen encoders."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_avssan._internal.atomic_files import read_json, whole_file, write_json
from keras_avssan._internal.saved_files import MODEL_WEIGHTS
from keras_avssan._internal.types import PathLike

METADATA = "metadata.json"
# Entry of the metadata; presets of before have none.
FINGERPRINTS = "encoder_fingerprints"
_ENCODERS = {"image_encoder": "image", "audio_encoder": "audio"}
# Largest relative error of rounding a number to float16, whose least normal number is 6.1e-5.
_ROUNDING = float(np.finfo("float16").eps) / 2


def check_weights_dtype(weights_dtype: str | None) -> None:
    """Refuses a data type that weights cannot be stored in."""
    if weights_dtype not in (None, "float16"):
        raise ValueError(
            "`weights_dtype` must be 'float16', or None for the data type of each weight. "
            f"Received: weights_dtype={weights_dtype!r}"
        )


def halve_weights(folder: PathLike, backbone: Any) -> None:
    """Rewrites the weights of a preset in float16, each file atomically."""
    _remove_fingerprints(folder)  # so that it can be loaded whenever the process is stopped
    for path in Path(folder).glob("*.weights.h5"):
        with whole_file(path) as part, h5py.File(path) as source, h5py.File(part, "w") as target:
            _copy_halved(source, target)
    write_fingerprints(folder, backbone)


def _copy_halved(source: h5py.File, target: h5py.File) -> None:
    def copy(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            # Uncompressed: gzip makes weights 4 % smaller, and reading them slower.
            copied = target.create_dataset(name, data=as_stored(item[()]))
        else:
            copied = target.require_group(name)
        copied.attrs.update(item.attrs)

    target.attrs.update(source.attrs)
    source.visititems(copy)


def as_stored(values: np.ndarray) -> np.ndarray:
    """An array in float16, or unchanged where it is no float32 or float16 does not suffice.

    Vectors, such as variances, need the precision of float16 in each number, arrays as a whole.
    """
    if values.dtype != np.float32:
        return values
    with np.errstate(over="ignore"):
        halved = values.astype(np.float16)
    exact = values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.abs(halved - exact)
    if values.ndim < 2:
        suffices = np.all(error <= _ROUNDING * np.abs(exact))
    else:  # near zero, single weights of a kernel may round to it
        suffices = np.linalg.norm(error) <= _ROUNDING * np.linalg.norm(exact)
    return halved if suffices else values


def write_fingerprints(folder: PathLike, backbone: Any) -> None:
    """Stores the fingerprints of a backbone's frozen encoders in the metadata of its preset."""
    parts = [name for name in _ENCODERS if _is_frozen(getattr(backbone, name, None))]
    found = _fingerprints(folder, parts)
    metadata = read_json(Path(folder) / METADATA)
    if found:
        write_json(Path(folder) / METADATA, {**metadata, FINGERPRINTS: found}, indent=4)


def _remove_fingerprints(folder: PathLike) -> None:
    metadata = read_json(Path(folder) / METADATA)
    if metadata.pop(FINGERPRINTS, None) is not None:
        write_json(Path(folder) / METADATA, metadata, indent=4)


def local_folder(preset: PathLike, file: str) -> str | None:
    """The folder with a file of a preset; `None` where a hub's preset has no such file."""
    preset = os.fspath(preset)
    if "://" not in preset:
        return preset
    from keras_hub.src.utils.preset_utils import check_file_exists, get_file

    return os.path.dirname(get_file(preset, file)) if check_file_exists(preset, file) else None


def check_stored_encoders(preset: PathLike) -> None:
    """Refuses a preset whose frozen encoders have other weights than when it was saved."""
    folder = local_folder(preset, METADATA)
    metadata = None if folder is None else read_json(Path(folder) / METADATA)
    stored = metadata.get(FINGERPRINTS) if isinstance(metadata, Mapping) else None
    if folder is None or stored is None:  # of an earlier version
        return
    if not isinstance(stored, Mapping) or not set(stored) <= set(_ENCODERS):
        raise ValueError(
            f"`preset` must hold a readable model, and its file '{Path(folder) / METADATA}' is "
            f"damaged: its `{FINGERPRINTS}` are {json.dumps(stored):.80}. "
            f"Received: preset={os.fspath(preset)!r}"
        )
    found = _fingerprints(folder, stored)
    others = [_ENCODERS[part] for part in stored if found.get(part) != stored[part]]
    if others:
        raise ValueError(
            f"`preset` must hold the frozen encoders that it was saved with, and the weights of "
            f"its {' and '.join(others)} encoder are others: its weights file was exchanged. "
            f"Received: preset={os.fspath(preset)!r}"
        )


def _is_frozen(encoder: Any) -> bool:
    return encoder is not None and not encoder.trainable


def _fingerprints(folder: PathLike, parts: Any) -> dict[str, str]:
    """SHA-256 of the values below each part of the weights, by part; without those of no values.

    Half and single precision of the same values have the same fingerprint.
    """
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(h5py.File(path)) for path in _weight_files(folder)]
        found = {part: sorted(_datasets(files, part), key=itemgetter(0)) for part in parts}
        return {part: _digest(dict(found[part])) for part in parts if found[part]}


def _weight_files(folder: PathLike) -> list[Path]:
    """The weights of the backbone, in one file or several."""
    whole, index = (Path(folder) / name for name in MODEL_WEIGHTS)
    if whole.is_file():
        return [whole]
    names = (read_json(index) or {}).get("weight_map", {}).values()
    each = {one for name in names for one in (name if isinstance(name, list) else [name])}
    return [Path(folder) / name for name in sorted(each)]


def _datasets(files: list[h5py.File], part: str) -> Iterator[tuple[str, Any]]:
    for file in files:
        names: list[str] = []
        if part in file:
            file[part].visit(names.append)
        groups = {name.rpartition("/")[0] for name in names}  # opening them takes half of the time
        pairs = [(name, file[part][name]) for name in names if name not in groups]
        yield from (pair for pair in pairs if isinstance(pair[1], h5py.Dataset))


def _digest(datasets: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, dataset in datasets.items():
        values = dataset[()]
        if values.dtype == np.float16:
            values = values.astype(np.float32)
        digest.update(f"{name} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values))
    return digest.hexdigest()
