"""Saving and loading of quantised backbones."""

import keras


def quantized_layers(model: keras.Model) -> dict[str, list[str]]:
    """Paths of a model's quantised layers by mode (`"int8"`, …); empty for a model of floats."""
    paths: dict[str, list[str]] = {}
    for layer in model._flatten_layers():
        if layer.quantization_mode is not None:
            paths.setdefault(layer.quantization_mode, []).append(layer.path)
    return paths


def quantize_layers(model: keras.Model, modes: dict[str, list[str]]) -> None:
    """Quantises the layers of a built model that `quantized_layers` has listed, if not yet done."""
    for mode, paths in modes.items():
        wanted = {
            layer.path
            for layer in model._flatten_layers()
            if layer.path in paths and layer.quantization_mode is None
        }
        model.quantize(mode, filters=lambda layer, wanted=wanted: layer.path in wanted)
