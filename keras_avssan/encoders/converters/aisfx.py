"""Converter of the checkpoint of the PyPI package aisfx to a `SoundEffectsCNN`."""

import importlib.util
import io
import pathlib
import pickle
import zipfile
from typing import Any

import keras
import numpy as np

from keras_avssan._internal.checks import path_of
from keras_avssan._internal.types import PathLike
from keras_avssan.encoders.converters.comparison import compare_shapes
from keras_avssan.encoders.sound_effects_cnn import SoundEffectsCNN

_CHECKPOINT = "aisfx/models/checkpoint.pth"
_NETWORK = "embedding_net."
_HEADS = "fc."  # classifiers of the training data sets, which the embedding does not need
_COUNTER = ".num_batches_tracked"


def convert_aisfx(source: PathLike | None = None, **kwargs: Any) -> SoundEffectsCNN:
    """Converts the weights of the package aisfx to a `SoundEffectsCNN`.

    The package is on PyPI (version 0.1.2, weights under CC BY 4.0). It pins old versions of other
    packages that are not needed here: install it by `pip install --no-deps aisfx`, or only run
    `pip download --no-deps aisfx` and give the path of the wheel. PyTorch reads the checkpoint,
    whatever the Keras backend is; no code in the checkpoint is run.

    Args:
        source: Path of the wheel or of its `checkpoint.pth`. The installed package if not given.
        **kwargs: Arguments of `SoundEffectsCNN`.

    Returns:
        A `SoundEffectsCNN`, frozen unless `trainable=True` is given.

    Raises:
        ImportError: If `source` is not given and the package is not installed, or if PyTorch is
            not.
        TypeError: If `source` is not a path.
        ValueError: If `source` is not such a file, or entries are missing, unknown or of a wrong
            shape; the message names all of them.

    Example:
        >>> encoder = convert_aisfx("aisfx-0.1.2-py2.py3-none-any.whl")
        >>> encoder.save_to_preset("sound_effects_cnn")

    Reference:
        Ma and Lerch, "Representation Learning for the Automatic Indexing of Sound Effects
        Libraries", ISMIR 2022.
    """
    path = _installed_checkpoint() if source is None else pathlib.Path(path_of("source", source))
    if not path.is_file():
        raise ValueError(
            "`source` must be the path of an existing file, a wheel of aisfx or its "
            f"checkpoint.pth. Received: source='{path}'"
        )
    entries = _read_entries(path)
    encoder = SoundEffectsCNN(**kwargs)
    variables = _variables(encoder)
    _check_entries(entries, variables, path)
    for name, variable in variables.items():
        variable.assign(_to_keras(entries[name]))
    return encoder


def _installed_checkpoint() -> pathlib.Path:
    package = importlib.util.find_spec("aisfx")
    if package is None or not package.submodule_search_locations:
        raise ImportError(
            "The package aisfx is not installed: `pip install --no-deps aisfx`, or give the path "
            "of its wheel or checkpoint as `source`."
        )
    return pathlib.Path(package.submodule_search_locations[0]).parent / _CHECKPOINT


def _read_entries(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Entries of the embedding network by name, as NumPy arrays."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("Reading a PyTorch checkpoint needs PyTorch: `pip install torch`.") from (
            error
        )
    try:
        with torch.serialization.safe_globals(_integers()):
            content = torch.load(_open(path), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"`source` must be a checkpoint that PyTorch reads. Received: source='{path}'"
        ) from error
    state = content[0] if isinstance(content, (list, tuple)) and content else content
    if not isinstance(state, dict):
        raise ValueError(
            "`source` must hold a state dict. "
            f"Received: source='{path}' with a {type(state).__name__}"
        )
    return {
        name: np.asarray(value)
        for name, value in state.items()
        if not name.startswith(_HEADS) and not name.endswith(_COUNTER)
    }


def _integers() -> list[Any]:
    """Types in the checkpoint beside tensors: it numbers its data sets by NumPy integers."""
    scalar = np.int64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")  # NumPy 1 and 2
    return [np.dtype, type(np.dtype("int64")), *((scalar, name) for name in names)]


def _open(path: pathlib.Path) -> pathlib.Path | io.BytesIO:
    """The checkpoint itself, or the one inside a wheel."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            if _CHECKPOINT in wheel.namelist():
                return io.BytesIO(wheel.read(_CHECKPOINT))
    return path


def _variables(encoder: SoundEffectsCNN) -> dict[str, keras.Variable]:
    """Variables of the network by the names of their entries."""
    variables = {}
    for i, (convolution, norm) in enumerate(zip(encoder.convolutions, encoder.norms, strict=True)):
        block, number = f"{_NETWORK}conv_block{i // 2 + 1}.", i % 2 + 1
        variables[f"{block}conv{number}.weight"] = convolution.kernel
        variables[f"{block}bn{number}.weight"] = norm.gamma
        variables[f"{block}bn{number}.bias"] = norm.beta
        variables[f"{block}bn{number}.running_mean"] = norm.moving_mean
        variables[f"{block}bn{number}.running_var"] = norm.moving_variance
    return variables


def _to_keras(entry: np.ndarray) -> np.ndarray:
    """Kernels from (outputs, inputs, height, width) to (height, width, inputs, outputs)."""
    return entry.transpose(2, 3, 1, 0) if entry.ndim == 4 else entry


def _check_entries(
    entries: dict[str, np.ndarray], variables: dict[str, keras.Variable], path: pathlib.Path
) -> None:
    missing, extra, wrong = compare_shapes(
        {name: _to_keras(entry).shape for name, entry in entries.items()},
        {name: tuple(variable.shape) for name, variable in variables.items()},
    )
    problems = {
        "missing": missing,
        "extra": extra,
        "of a wrong shape": [f"{name} {entries[name].shape}" for name in wrong],
    }
    found = [f"{kind}: {', '.join(names)}" for kind, names in problems.items() if names]
    if found:
        raise ValueError(
            "`source` must hold the network of aisfx 0.1.2. "
            f"Received: source='{path}' with tensors {'; '.join(found)}"
        )
