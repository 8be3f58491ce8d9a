"""Scales embeddings to unit length."""

from keras import ops

from keras_avssan._internal.types import Tensor


def unit_length(x: Tensor) -> Tensor:
    """Scales vectors (..., d) to unit length, which is computed in float32.

    Unlike with `ops.normalize`, zeros keep a finite gradient.
    """
    power = ops.sum(ops.square(ops.cast(x, "float32")), axis=-1, keepdims=True)
    return x * ops.cast(ops.rsqrt(power + 1e-12), x.dtype)
