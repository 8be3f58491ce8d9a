"""Scales embeddings to unit length."""

from keras import ops

from keras_avssan._internal.types import Tensor


def unit_length(x: Tensor):
    """Scales vectors to unit length; unlike `ops.normalize`, zeros keep a finite gradient.

    Args:
        x: Vectors, shape (..., d). Their length is computed in float32.

    Returns:
        Tensor of the shape and data type of `x`.
    """
    power = ops.sum(ops.square(ops.cast(x, "float32")), axis=-1, keepdims=True)
    return x * ops.cast(ops.rsqrt(power + 1e-12), x.dtype)
