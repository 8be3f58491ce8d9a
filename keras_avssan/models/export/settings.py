"""What an exported file says of its model, as a JSON text inside of the file."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from keras_avssan.models.export.signature import Signature

# Key of the text in the metadata of ONNX and OpenVINO files.
KEY = "keras_avssan"
# Name of the text where files hold files: SavedModels, PyTorch, LiteRT.
FILE = "keras_avssan.json"
# Folder of a SavedModel for files that TensorFlow does not read.
FOLDER = "assets.extra"
# Of the preprocessor of a model, where it has one.
_READING = ("min_duration", "max_duration", "resample")
# All settings, and the types of some.
_KINDS = {"sampling_rate": int, "inputs": dict, "outputs": list, "reading": dict}
_NAMES = (*_KINDS, "microphone_spacing", "image_size", "prompt_dim")


def describe(model: Any, signature: Signature, outputs: Sequence[str]) -> str:
    """The settings of an export as a JSON text."""
    backbone = model.backbone
    reading = {name: getattr(model.preprocessor, name) for name in _READING if model.preprocessor}
    settings = {
        "sampling_rate": backbone.sampling_rate,
        "microphone_spacing": backbone.microphone_spacing,
        "image_size": backbone.image_size,
        "prompt_dim": backbone.prompt_dim if backbone.visual_prompt else None,
        "inputs": {name: spec.shape for name, spec in signature.items()},
        "outputs": list(outputs),
        "reading": reading,
    }
    return json.dumps(settings)


def parse(text: str | None) -> Mapping[str, Any]:
    """The settings of a file; empty for one that has none, as files of earlier versions.

    Raises a ValueError for what `describe` does not write, such as that of a later version.
    """
    if not text:
        return {}
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise ValueError(f"its settings are not JSON ({error})") from error
    kinds = {name: type(settings.get(name)) for name in _KINDS} if type(settings) is dict else {}
    if kinds != _KINDS or set(settings) != set(_NAMES):
        found = sorted(settings) if isinstance(settings, dict) else settings
        raise ValueError(f"its settings are {found!r} in place of {sorted(_NAMES)}")
    if not set(settings["reading"]) <= set(_READING):
        raise ValueError(f"its setting `reading` has the names {sorted(settings['reading'])}")
    return settings
