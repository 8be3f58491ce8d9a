"""Arithmetic with sizes of axes that stay symbolic where a graph is exported."""

import keras
from keras import ops

from keras_avssan._internal.types import Tensor


def divide_up(count: Tensor, step: int) -> Tensor:
    """A quotient rounded up, of an int or an integer tensor."""
    # Not `-(-count // step)`: ONNX rounds quotients of negative integers towards zero.
    return (count + step - 1) // step


def at_least(size: Tensor, least: int) -> Tensor:
    """The greater of a size, an int or an integer tensor, and an int."""
    if isinstance(size, int):
        return max(size, least)
    if ops.is_tensor(size):
        return ops.maximum(size, least)
    # A size of a program that is traced: `max` would decide once, for all recordings.
    if keras.config.backend() == "torch":
        import torch

        # Where the size is the greater one already, programs with `sym_max` take minutes to write:
        # those without are right for recordings of half a second or more.
        return size if size > least else torch.sym_max(size, least)
    if keras.config.backend() == "jax":
        import jax

        return jax.core.max_dim(size, least)
    return max(size, least)


def size_as_float(size: Tensor) -> Tensor:
    """The size of an axis as a float32 scalar, symbolic where a graph is exported."""
    # A cast of the size itself would be a constant in PyTorch's exports.
    return ops.arange(size, dtype="float32")[-1] + 1.0
