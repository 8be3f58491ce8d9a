"""Converters of the published checkpoints of VGGish, of TensorFlow and of torchvggish."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_avssan._internal.checks import path_of
from keras_avssan._internal.types import PathLike
from keras_avssan.encoders.converters.comparison import compare_shapes, listed
from keras_avssan.encoders.vggish.vggish import VGGish

_SCOPE = "vggish/"
_TENSORFLOW_NAMES = (
    "vggish/conv1",
    "vggish/conv2",
    "vggish/conv3/conv3_1",
    "vggish/conv3/conv3_2",
    "vggish/conv4/conv4_1",
    "vggish/conv4/conv4_2",
    "vggish/fc1/fc1_1",
    "vggish/fc1/fc1_2",
    "vggish/fc2",
)
_TORCH_NAMES = (
    "features.0",
    "features.3",
    "features.6",
    "features.8",
    "features.11",
    "features.13",
    "embeddings.0",
    "embeddings.2",
    "embeddings.4",
)
_EIGEN_VECTORS = "pca_eigen_vectors"
_MEANS = "pca_means"
_TORCH_PCA = "pproc."
_MOST_NAMES = 20  # of a kind, in a message
_Arrays: TypeAlias = dict[str, np.ndarray]
_Shape: TypeAlias = tuple[int, ...]


def convert_vggish_tensorflow(
    checkpoint_path: PathLike, pca_params_path: PathLike | None = None, **kwargs: Any
) -> VGGish:
    """Converts the TensorFlow checkpoint of the published network to a `VGGish`.

    Variables outside the scope `vggish/` and the state of an optimizer are ignored, so that the
    checkpoint of a network trained further converts too. With the defaults, embeddings are those
    of the current published code.

    Args:
        checkpoint_path: Path of the checkpoint, such as `vggish_model.ckpt`; of a checkpoint of
            several files, the common prefix of their names.
        pca_params_path: Path of the PCA parameters, `vggish_pca_params.npz`. If given, embeddings
            are whitened, see `VGGishPostprocessor`.
        **kwargs: Further arguments of `VGGish`.

    Returns:
        A `VGGish`, frozen unless `trainable=True` is given.

    Raises:
        TypeError: If a path is not one.
        FileNotFoundError: If a file does not exist.
        ValueError: If a file cannot be read, or holds other variables or shapes; the message
            names all of them. If `postprocess` is `True` without PCA parameters.
        ImportError: If TensorFlow is not installed.

    Example:
        >>> encoder = convert_vggish_tensorflow("vggish_model.ckpt", "vggish_pca_params.npz")
        >>> encoder.save_to_preset("vggish")
    """
    path = path_of("checkpoint_path", checkpoint_path)
    if not (os.path.exists(path) or os.path.exists(path + ".index")):
        raise FileNotFoundError(
            f"`checkpoint_path` must be an existing checkpoint. Received: checkpoint_path={path!r}"
        )
    pca = _read_pca(pca_params_path)
    model = _make_model(pca, kwargs)
    expected = _expected_shapes(model, _TENSORFLOW_NAMES, ("weights", "biases"), "/")
    found, arrays = _read_tensorflow(path, expected)
    _check_shapes("checkpoint_path", found, expected, tolerated=lambda n: not n.startswith(_SCOPE))
    for layer, name in zip(_weighted_layers(model), _TENSORFLOW_NAMES, strict=True):
        layer.kernel.assign(arrays[f"{name}/weights"])
        layer.bias.assign(arrays[f"{name}/biases"])
    _assign_pca(model, pca, "pca_params_path")
    return model


def convert_vggish_torch(
    path_or_state_dict: PathLike | Mapping[str, Any],
    pca_params_path: PathLike | None = None,
    activation: str | None = "relu",
    **kwargs: Any,
) -> VGGish:
    """Converts the weights of torchvggish to a `VGGish`.

    Args:
        path_or_state_dict: Path of a `.pth` file, or the state dict itself. PCA parameters in it
            (`pproc.pca_eigen_vectors`, `pproc.pca_means`) are converted too.
        pca_params_path: Path of the PCA parameters, `.npz` or `.pth`, in place of those in the
            weights, if any. With PCA parameters of either kind embeddings are whitened, see
            `VGGishPostprocessor`.
        activation: Activation of the embeddings, see `VGGish`; `"relu"` in torchvggish.
        **kwargs: Further arguments of `VGGish`.

    Returns:
        A `VGGish`, frozen unless `trainable=True` is given.

    Raises:
        FileNotFoundError: If a file does not exist.
        TypeError: If `path_or_state_dict` is neither a path nor a dict, or `pca_params_path` is not
            a path.
        ValueError: If a file cannot be read, or holds other names or shapes; the message names all
            of them. If `postprocess` is `True` without PCA parameters.
        ImportError: If a file is to be read and PyTorch is not installed.

    Example:
        >>> encoder = convert_vggish_torch("vggish-10086976.pth")
        >>> encoder.save_to_preset("vggish")
    """
    state = path_or_state_dict
    if isinstance(state, (str, os.PathLike)):
        state = _load_torch(state, "path_or_state_dict")
    if not isinstance(state, Mapping):
        raise TypeError(
            "`path_or_state_dict` must be a path or a state dict. "
            f"Received: path_or_state_dict of type {type(path_or_state_dict).__name__}"
        )
    state = {name: _to_numpy(value) for name, value in state.items()}
    own_pca = {
        name.removeprefix(_TORCH_PCA): state.pop(name)
        for name in list(state)
        if name.startswith(_TORCH_PCA)
    }
    pca, pca_source = _read_pca(pca_params_path), "pca_params_path"
    if pca is None and own_pca:
        pca, pca_source = own_pca, "path_or_state_dict"
    model = _make_model(pca, {"activation": activation, **kwargs})
    expected = _expected_shapes(model, _TORCH_NAMES, ("weight", "bias"), ".", torch=True)
    found = {name: value.shape for name, value in state.items()}
    _check_shapes("path_or_state_dict", found, expected)
    for layer, name in zip(_weighted_layers(model), _TORCH_NAMES, strict=True):
        kernel = state[f"{name}.weight"]
        layer.kernel.assign(kernel.transpose((2, 3, 1, 0) if kernel.ndim == 4 else (1, 0)))
        layer.bias.assign(state[f"{name}.bias"])
    _assign_pca(model, pca, pca_source)
    return model


def _make_model(pca: _Arrays | None, arguments: dict[str, Any]) -> VGGish:
    if pca is None and arguments.get("postprocess"):
        raise ValueError(
            "`postprocess=True` needs PCA parameters, whose file is `pca_params_path`. "
            "Received: pca_params_path=None"
        )
    return VGGish(**{"postprocess": pca is not None, **arguments})


def _weighted_layers(model: VGGish) -> list[keras.Layer]:
    return [*model.convolutions, *model.dense_layers]


def _expected_shapes(
    model: VGGish,
    names: Sequence[str],
    kinds: tuple[str, str],
    separator: str,
    torch: bool = False,
) -> dict[str, _Shape]:
    """Shapes of kernels and biases by their names in a checkpoint."""
    shapes = {}
    for layer, name in zip(_weighted_layers(model), names, strict=True):
        kernel = tuple(layer.kernel.shape)
        if torch:  # the other order: filters, inputs, height, width
            kernel = (kernel[-1], kernel[-2], *kernel[:-2])
        shapes[f"{name}{separator}{kinds[0]}"] = kernel
        shapes[f"{name}{separator}{kinds[1]}"] = tuple(layer.bias.shape)
    return shapes


def _check_shapes(
    argument: str,
    found: Mapping[str, _Shape],
    expected: Mapping[str, _Shape],
    tolerated: Callable[[str], bool] = lambda name: False,
) -> None:
    """Raises a ValueError that names all missing, unexpected and wrongly shaped variables."""
    missing, extra, wrong = compare_shapes(found, expected)
    wrong = [f"{name} {tuple(found[name])} in place of {expected[name]}" for name in wrong]
    if missing or wrong or not all(tolerated(name) for name in extra):
        lists = {"Missing": missing, "Unexpected": extra, "Wrong shapes": wrong}
        details = [
            f"{title}: {listed(names, _MOST_NAMES)}." for title, names in lists.items() if names
        ]
        raise ValueError(
            f"`{argument}` must hold the variables of the network in their shapes. "
            f"Received: {argument} with differences. {' '.join(details)}"
        )


def _read_tensorflow(path: str, names: Iterable[str]) -> tuple[dict[str, _Shape], _Arrays]:
    """Reads a checkpoint: the shapes of all its variables, and the arrays that are named."""
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "Reading a TensorFlow checkpoint needs TensorFlow: `pip install tensorflow`."
        ) from error
    try:
        reader = tf.train.load_checkpoint(path)
        shapes = {
            name: tuple(shape)
            for name, shape in reader.get_variable_to_shape_map().items()
            if not any(name.startswith(f"{known}/") for known in names)  # of an optimizer
        }
        arrays = {name: reader.get_tensor(name) for name in names if name in shapes}
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(
            f"`checkpoint_path` must be a TensorFlow checkpoint. Received: checkpoint_path={path!r}"
        ) from error
    return shapes, arrays


def _read_pca(path: PathLike | None) -> _Arrays | None:
    """PCA parameters by name; `None` without a path."""
    if path is None:
        return None
    name = path_of("pca_params_path", path)
    if name.endswith(".pth"):
        arrays = _load_torch(path, "pca_params_path")
        return {key: _to_numpy(value) for key, value in arrays.items()}
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"`pca_params_path` must be an existing file. Received: pca_params_path={name!r}"
        )
    try:
        with np.load(path) as archive:
            return dict(archive)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"`pca_params_path` must be an .npz file. Received: pca_params_path={name!r}"
        ) from error


def _assign_pca(model: VGGish, pca: _Arrays | None, argument: str) -> None:
    if model.postprocessor is None:
        return
    assert pca is not None
    dim = model.settings["embedding_dim"]
    pca = {name: value.reshape(-1) if name == _MEANS else value for name, value in pca.items()}
    found = {name: value.shape for name, value in pca.items()}
    _check_shapes(argument, found, {_EIGEN_VECTORS: (dim, dim), _MEANS: (dim,)})
    model.postprocessor.eigen_vectors.assign(pca[_EIGEN_VECTORS])
    model.postprocessor.means.assign(pca[_MEANS])


def _load_torch(path: PathLike, argument: str) -> Mapping[str, Any]:
    """Reads a dict of tensors that `torch.save` wrote."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("Reading a .pth file needs PyTorch: `pip install torch`.") from error
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"`{argument}` must be an existing file. Received: {argument}={os.fspath(path)!r}"
        )
    try:
        # Tensors alone: other pickled objects could run code.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds: pickle, zipfile, RuntimeError
        raise ValueError(
            f"`{argument}` must be a file of PyTorch tensors. "
            f"Received: {argument}={os.fspath(path)!r}"
        ) from error
    if not isinstance(state, Mapping):
        raise ValueError(
            f"`{argument}` must hold a dict of tensors. "
            f"Received: {argument}={os.fspath(path)!r} with a {type(state).__name__}"
        )
    return state


def _to_numpy(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy()
    return np.asarray(value)
