"""Weights of the Keras model in the layout of the PyTorch network."""

import numpy as np
import torch

_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
_NORM["moving_variance"] = "running_var"


def state_dict_from_keras(arrays):
    """Brings weights, or gradients of them, to the layout of the PyTorch network.

    Args:
        arrays: Dict from the path of a weight of the Keras model, such as
            `bridge/lp/kernel`, to a NumPy array.

    Returns:
        Dict for `AVSSAN.load_state_dict`.
    """
    state = {}
    _bridge(state, _below(arrays, "bridge"))
    _audio_encoder(state, _below(arrays, "log_mel_encoder"))
    for band in ("fine", "mid", "full"):
        _alignment(state, f"alignments.{band}", _below(arrays, f"alignment_{band}"))
    refiner = _below(arrays, "refiner")
    for name, part in (("weights", "weight"), ("mask", "mask")):
        _layer(state, f"refiner.{name}.0", refiner, f"{part}_hidden")
        _layer(state, f"refiner.{name}.2", refiner, f"{part}_logits")
    head = _below(arrays, "doa_head")
    for number, name in enumerate(("hidden_0", "hidden_1", "logits")):
        _layer(state, f"doa_head.correction.{2 * number}", head, name)
    state["doa_head.sharpness"] = head["sharpness"]
    return {
        name: torch.from_numpy(np.array(array, dtype="float32")) for name, array in state.items()
    }


def _below(arrays, prefix):
    """Those of one layer, by the rest of their path."""
    return {
        path.removeprefix(prefix + "/"): array
        for path, array in arrays.items()
        if path.startswith(prefix + "/")
    }


def _layer(state, name, arrays, path):
    """A dense or convolutional layer: PyTorch has outputs first, then inputs, then the kernel."""
    kernel = arrays[f"{path}/kernel"]
    state[f"{name}.weight"] = np.moveaxis(kernel, (-1, -2), (0, 1))
    if f"{path}/bias" in arrays:
        state[f"{name}.bias"] = arrays[f"{path}/bias"]


def _norm(state, name, arrays, path):
    for keras_name, array in _below(arrays, path).items():
        state[f"{name}.{_NORM[keras_name]}"] = array


def _mlp(state, name, arrays):
    _layer(state, f"{name}.0", arrays, "hidden")
    _layer(state, f"{name}.2", arrays, "projection")


def _bridge(state, arrays):
    for name in ("prompt", "audio", "lp"):
        _layer(state, f"bridge.{name}", arrays, name)
    _norm(state, "bridge.norm", arrays, "norm")
    for number in range(sum(path.endswith("/attention_norm/gamma") for path in arrays)):
        name, block = f"bridge.blocks.{number}", _below(arrays, f"block_{number}")
        _norm(state, f"{name}.attention_norm", block, "attention_norm")
        _norm(state, f"{name}.mlp_norm", block, "mlp_norm")
        _mlp(state, f"{name}.mlp", block)
        _attention(state, name, _below(block, "attention"))


def _attention(state, name, arrays):
    """Keras keeps the heads apart, and query, key and value."""
    parts = ("query", "key", "value")
    kernels = [arrays[f"{part}/kernel"] for part in parts]
    packed = [kernel.reshape(kernel.shape[0], -1).T for kernel in kernels]
    state[f"{name}.query_key_value.weight"] = np.concatenate(packed)
    biases = [arrays[f"{part}/bias"].reshape(-1) for part in parts]
    state[f"{name}.query_key_value.bias"] = np.concatenate(biases)
    kernel = arrays["attention_output/kernel"]
    state[f"{name}.output.weight"] = kernel.reshape(-1, kernel.shape[-1]).T
    state[f"{name}.output.bias"] = arrays["attention_output/bias"]


def _alignment(state, name, arrays):
    for number in range(2):
        _layer(state, f"{name}.convolutions.{2 * number}", arrays, f"convolution_{number}")
    state[f"{name}.query"] = arrays["query_kernel"]
    pair = [arrays["key_kernel"], arrays["value_kernel"]]
    state[f"{name}.key_value"] = np.concatenate(pair, axis=-1)
    _norm(state, f"{name}.attention_norm", arrays, "attention_norm")
    _norm(state, f"{name}.output_norm", arrays, "output_norm")
    _mlp(state, f"{name}.mlp", arrays)


def _audio_encoder(state, arrays):
    _norm(state, "audio_encoder.input_norm", arrays, "input_norm")
    channels = 1
    for number in range(sum(path.startswith("conv_") for path in arrays)):
        block = f"audio_encoder.blocks.{number}"
        _layer(state, f"{block}.0", arrays, f"conv_{number}")
        _norm(state, f"{block}.1", arrays, f"norm_{number}")
        channels = arrays[f"conv_{number}/kernel"].shape[-1]
    # Keras flattens (mel bins, channels), PyTorch (channels, mel bins).
    kernel = arrays["projection/kernel"]
    kernel = kernel.reshape(-1, channels, kernel.shape[-1]).swapaxes(0, 1)
    state["audio_encoder.projection.weight"] = kernel.reshape(-1, kernel.shape[-1]).T
    state["audio_encoder.projection.bias"] = arrays["projection/bias"]
