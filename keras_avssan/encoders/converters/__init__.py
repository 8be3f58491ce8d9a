"""Encoders from the checkpoint files that others have published."""

from keras_avssan.encoders.converters.vggish import (
    convert_vggish_tensorflow,
    convert_vggish_torch,
)

__all__ = ["convert_vggish_tensorflow", "convert_vggish_torch"]
