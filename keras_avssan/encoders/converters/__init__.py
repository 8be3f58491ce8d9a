"""Readers of published checkpoints, one module a source."""

from keras_avssan.encoders.converters.aisfx import convert_aisfx

__all__ = ["convert_aisfx"]
