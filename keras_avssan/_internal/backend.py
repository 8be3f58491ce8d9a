"""What needs a backend's own form to be fast; all else is `keras.ops` alone."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of tensors on JAX, where single operations are slow to start.

    Outside of compiled functions JAX compiles each operation for each shape by itself. The other
    backends run operations as they come.
    """
    if keras.config.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


def static_size(count: int, limit: int) -> int:
    """Number of elements up to which an array is filled up, so that few shapes are compiled.

    Args:
        count: number of elements.
        limit: largest number.

    Returns:
        On JAX the limit or a quarter, a sixteenth, ... of it; elsewhere `count` itself.
    """
    if keras.config.backend() != "jax":
        return count
    while limit // 4 >= count:
        limit //= 4
    return limit


def scatter_add(totals: Any, indices: Any, values: Any) -> Any:
    """Adds values at indices, of which some are the same.

    `keras.ops.segment_sum` does the same. On torch it takes ten times as long to prepare the
    indices as to sum, so torch's own operation stands in for it.

    Args:
        totals: float tensor of shape `(bins,)`, which is not to be used afterwards.
        indices: int32 tensor of shape `(n,)`, each from 0 to `bins - 1`.
        values: float tensor of shape `(n,)`.

    Returns:
        Tensor of shape `(bins,)`.
    """
    if keras.config.backend() == "torch":
        return totals.index_add_(0, indices, values)
    return totals + ops.segment_sum(values, indices, totals.shape[0])
