"""Selective sound source localisation in Keras: the direction of the sound that a prompt shows."""

import importlib
from typing import TYPE_CHECKING, Any

from keras_avssan._internal.registered_names import register

if TYPE_CHECKING:
    from keras_avssan.models.av_ssan.av_ssan import AVSSAN
    from keras_avssan.models.av_ssan.av_ssan_backbone import AVSSANBackbone
    from keras_avssan.models.av_ssan.av_ssan_preprocessor import AVSSANPreprocessor
    from keras_avssan.models.prompts import Prompt

__version__ = "0.1.0"

__all__ = ["AVSSAN", "AVSSANBackbone", "AVSSANPreprocessor", "Prompt", "__version__"]

# Modules of the names above, imported on first use: a process that prepares data or simulates
# rooms need not load KerasHub, which takes seconds and half a gigabyte.
_MODULES = {
    "AVSSAN": "keras_avssan.models.av_ssan.av_ssan",
    "AVSSANBackbone": "keras_avssan.models.av_ssan.av_ssan_backbone",
    "AVSSANPreprocessor": "keras_avssan.models.av_ssan.av_ssan_preprocessor",
    "Prompt": "keras_avssan.models.prompts",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return globals()[name]


# A `.keras` file loads in a process that has imported no more than this.
register()
