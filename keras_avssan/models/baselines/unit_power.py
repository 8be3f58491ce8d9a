"""Scales features to a root mean square of one."""

from keras_avssan._internal.unit_length import unit_length


def unit_power(x):
    """Scales vectors to a root mean square of one; zeros stay zeros.

    Where a correlation and a prompt meet in one layer, both have to come with the same power: the
    prompt is not heard otherwise, or learnt by heart in place of the correlation. The scaling is
    ours, see `SemanticBridge` for AV-SSAN's own.

    Args:
        x: Vectors, shape (..., d).

    Returns:
        Tensor of the shape and data type of `x`.

    Example:
        >>> unit_power(keras.ops.convert_to_tensor([[3.0, 0.0, 0.0, 4.0]]))  # 1.2, 0, 0, 1.6
    """
    return x.shape[-1] ** 0.5 * unit_length(x)
