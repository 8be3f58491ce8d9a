"""Operations that are only fast in a form specific to each backend."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Tensor


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of tensors on JAX, where single operations are slow to start.

    Outside of compiled functions JAX compiles each operation for each shape separately.
    """
    if keras.config.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


def static_size(count: int, limit: int) -> int:
    """Number of elements to pad an array to, so that few shapes are compiled.

    On JAX `limit` or a quarter, a sixteenth, ... of it; elsewhere `count` itself.
    """
    if keras.config.backend() != "jax":
        return count
    while limit // 4 >= count:
        limit //= 4
    return limit


def scatter_add(totals: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """Adds `values` (n,) to `totals` (bins,) at int32 `indices` (n,), some of which are the same.

    `totals` must not be used afterwards. Torch's own operation is ten times faster there.
    """
    if keras.config.backend() == "torch":
        return totals.index_add_(0, indices, values)
    return totals + ops.segment_sum(values, indices, totals.shape[0])
