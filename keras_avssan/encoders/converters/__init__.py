"""Converters of published checkpoints to encoders."""

from keras_avssan.encoders.converters.aisfx import convert_aisfx
from keras_avssan.encoders.converters.clip import convert_clip_huggingface
from keras_avssan.encoders.converters.vggish import (
    convert_vggish_tensorflow,
    convert_vggish_torch,
)
from keras_avssan.encoders.converters.yamnet import convert_yamnet

__all__ = [
    "convert_aisfx",
    "convert_clip_huggingface",
    "convert_vggish_tensorflow",
    "convert_vggish_torch",
    "convert_yamnet",
]
