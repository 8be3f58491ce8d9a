"""Lets a quantised backbone be saved and loaded."""

import keras


def quantized_layers(model: keras.Model) -> dict[str, list[str]]:
    """Tells which layers of a model are quantised.

    Args:
        model: A Keras model.

    Returns:
        Dict from mode (`"int8"`, …) to the paths of the layers; empty for a model of floats.
    """
    paths: dict[str, list[str]] = {}
    for layer in model._flatten_layers():
        if layer.quantization_mode is not None:
            paths.setdefault(layer.quantization_mode, []).append(layer.path)
    return paths


def quantize_layers(model: keras.Model, modes: dict[str, list[str]]) -> None:
    """Quantises the layers that `quantized_layers` named, as far as they are not yet.

    Args:
        model: A Keras model with its weights built.
        modes: Dict from mode to the paths of the layers.
    """
    for mode, paths in modes.items():
        wanted = {
            layer.path
            for layer in model._flatten_layers()
            if layer.path in paths and layer.quantization_mode is None
        }
        model.quantize(mode, filters=lambda layer, wanted=wanted: layer.path in wanted)
