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


def scatter_add(values: Any, indices: Any, num_bins: int) -> Any:
    """Sums values that share an index.

    `keras.ops.segment_sum` does the same. On torch it takes ten times as long to prepare the
    indices as to sum, so torch's own operation stands in for it.

    Args:
        values: float tensor of shape `(n,)`.
        indices: int32 tensor of shape `(n,)`, each from 0 to `num_bins - 1`.
        num_bins: length of the result.

    Returns:
        Tensor of shape `(num_bins,)`.
    """
    if keras.config.backend() == "torch":
        return values.new_zeros(num_bins).index_add(0, indices, values)
    return ops.segment_sum(values, indices, num_bins)
