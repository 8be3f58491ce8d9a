"""VGGish from its published checkpoints, of TensorFlow and of torchvggish."""

import collections.abc
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_avssan._internal.types import PathLike
from keras_avssan.encoders.converters.comparison import compare_shapes, listed
from keras_avssan.encoders.vggish import VGGish

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


def convert_vggish_tensorflow(checkpoint_path, pca_params_path=None, **kwargs: Any):
    """Makes a `VGGish` from the TensorFlow checkpoint of the published network.

    Variables outside the scope `vggish/` and the state of an optimizer are left aside, so that
    the checkpoint of a network trained further converts too. With its defaults the result gives
    what today's published code gives.

    Args:
        checkpoint_path: Path of the checkpoint, such as `vggish_model.ckpt`; of a checkpoint of
            several files, what their names have in common.
        pca_params_path: Path of the PCA parameters, `vggish_pca_params.npz`. If given, embeddings
            are whitened, see `VGGishPostprocessor`.
        **kwargs: Further arguments of `VGGish`.

    Returns:
        A `VGGish`, frozen unless `trainable=True` is given.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, or holds other variables or shapes; the message
            names all of them. If `postprocess` is asked for without PCA parameters.
        ImportError: If TensorFlow is not installed.

    Example:
        >>> encoder = convert_vggish_tensorflow("vggish_model.ckpt", "vggish_pca_params.npz")
        >>> encoder.save_to_preset("vggish")
    """
    path = os.fspath(checkpoint_path)
    if not (os.path.exists(path) or os.path.exists(path + ".index")):
        raise FileNotFoundError(f"`checkpoint_path` does not exist. Received: {path}")
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
    path_or_state_dict, pca_params_path=None, activation: str = "relu", **kwargs: Any
):
    """Makes a `VGGish` from the weights of torchvggish.

    Args:
        path_or_state_dict: Path of a `.pth` file, or the state dict itself. PCA parameters in it
            (`pproc.pca_eigen_vectors`, `pproc.pca_means`) are taken over.
        pca_params_path: Path of the PCA parameters, `.npz` or `.pth`, where the weights hold none.
            With PCA parameters of either kind embeddings are whitened, see `VGGishPostprocessor`.
        activation: Activation of the embeddings, see `VGGish`. torchvggish has `"relu"`.
        **kwargs: Further arguments of `VGGish`.

    Returns:
        A `VGGish`, frozen unless `trainable=True` is given.

    Raises:
        FileNotFoundError: If a file is not there.
        TypeError: If `path_or_state_dict` is neither a path nor a dict.
        ValueError: If a file cannot be read, or holds other names or shapes; the message names all
            of them. If `postprocess` is asked for without PCA parameters.
        ImportError: If a file is to be read and PyTorch is not installed.

    Example:
        >>> encoder = convert_vggish_torch("vggish-10086976.pth")
        >>> encoder.save_to_preset("vggish")
    """
    state = path_or_state_dict
    if isinstance(state, (str, os.PathLike)):
        state = _load_torch(state, "path_or_state_dict")
    if not isinstance(state, collections.abc.Mapping):
        raise TypeError(
            "`path_or_state_dict` must be a path or a state dict. "
            f"Received: {type(path_or_state_dict).__name__}"
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


def _make_model(pca, arguments: Mapping[str, Any]):
    if pca is None and arguments.get("postprocess"):
        raise ValueError(
            "`postprocess=True` needs PCA parameters: give their file as `pca_params_path`. "
            "Received: pca_params_path=None"
        )
    return VGGish(**{"postprocess": pca is not None, **arguments})


def _weighted_layers(model: Any):
    return [*model.convolutions, *model.dense_layers]


def _expected_shapes(model: Any, names: Sequence[str], kinds, separator, torch: bool = False):
    """Shapes of kernels and biases by their names in a checkpoint."""
    shapes = {}
    for layer, name in zip(_weighted_layers(model), names, strict=True):
        kernel = tuple(layer.kernel.shape)
        if torch:  # the other order: filters, inputs, height, width
            kernel = (kernel[-1], kernel[-2], *kernel[:-2])
        shapes[f"{name}{separator}{kinds[0]}"] = kernel
        shapes[f"{name}{separator}{kinds[1]}"] = tuple(layer.bias.shape)
    return shapes


def _check_shapes(argument: str, found, expected, tolerated=lambda name: False):
    """Refuses a checkpoint with other variables or shapes, and says which."""
    missing, extra, wrong = compare_shapes(found, expected)
    wrong = [f"{name} {tuple(found[name])} in place of {expected[name]}" for name in wrong]
    if missing or wrong or not all(tolerated(name) for name in extra):
        lists = {"Missing": missing, "Unexpected": extra, "Wrong shapes": wrong}
        details = [
            f"{title}: {listed(names, _MOST_NAMES)}." for title, names in lists.items() if names
        ]
        raise ValueError(f"`{argument}` does not hold what is expected. {' '.join(details)}")


def _read_tensorflow(path: PathLike, names: Sequence[str]):
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
            f"`checkpoint_path` is not a TensorFlow checkpoint. Received: {path}"
        ) from error
    return shapes, arrays


def _read_pca(path: PathLike):
    """Reads PCA parameters, a dict of arrays; `None` without a path."""
    if path is None:
        return None
    if os.fspath(path).endswith(".pth"):
        arrays = _load_torch(path, "pca_params_path")
        return {name: _to_numpy(value) for name, value in arrays.items()}
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`pca_params_path` does not exist. Received: {os.fspath(path)}")
    try:
        with np.load(path) as archive:
            return dict(archive)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"`pca_params_path` is not an .npz file. Received: {os.fspath(path)}"
        ) from error


def _assign_pca(model: Any, pca, argument: str) -> None:
    if model.postprocessor is None:
        return
    dim = model.settings["embedding_dim"]
    pca = {name: value.reshape(-1) if name == _MEANS else value for name, value in pca.items()}
    found = {name: value.shape for name, value in pca.items()}
    _check_shapes(argument, found, {_EIGEN_VECTORS: (dim, dim), _MEANS: (dim,)})
    model.postprocessor.eigen_vectors.assign(pca[_EIGEN_VECTORS])
    model.postprocessor.means.assign(pca[_MEANS])


def _load_torch(path: PathLike, argument: str):
    """Reads a dict of tensors that `torch.save` has written."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("Reading a .pth file needs PyTorch: `pip install torch`.") from error
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`{argument}` does not exist. Received: {os.fspath(path)}")
    try:
        # Tensors alone: other pickled objects could run code.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds: pickle, zipfile, RuntimeError
        raise ValueError(
            f"`{argument}` is not a file of PyTorch tensors. Received: {os.fspath(path)}"
        ) from error
    if not isinstance(state, collections.abc.Mapping):
        raise ValueError(
            f"`{argument}` must hold a dict of tensors. "
            f"Received: {type(state).__name__} in {os.fspath(path)}"
        )
    return state


def _to_numpy(value: Any):
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy()
    return np.asarray(value)
