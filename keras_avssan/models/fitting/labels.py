"""Labels of a batch in one form, whatever form they come in."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_avssan._internal.types import Tensor

_ANGLES = ("azimuth", "interferer_azimuth")
_EXPECTED = (
    "Labels must be a dict with `azimuth` (batch,) in degrees and, optionally, `target` "
    "(batch, samples, 2), the target alone, and `interferer_azimuth` (batch,) in degrees; or the "
    "azimuths alone, (batch,) or (batch, 1)."
)


def as_labels(y: Tensor):
    """Labels of a batch as a dict of what is known; labels in that form stay as they are.

    Args:
        y: Dict of labels, or azimuths alone.

    Returns:
        Dict with `azimuth` and, where given, `interferer_azimuth`, float32 tensors of shape
        (batch,), and `target`.

    Raises:
        ValueError: If `azimuth` is missing, a name is unknown, or angles have another shape.
    """
    if y is None or isinstance(y, list | tuple):
        kind = "None" if y is None else f"a {type(y).__name__} of {len(y)}"
        raise ValueError(f"{_EXPECTED} Received: y={kind}")
    if not isinstance(y, dict):
        y = {"azimuth": y}
    if "azimuth" not in y or not set(y) <= {*_ANGLES, "target"}:
        raise ValueError(f"{_EXPECTED} Received: a dict of {sorted(y)}")
    return {name: _angles(name, part) if name in _ANGLES else part for name, part in y.items()}


def _angles(name: str, angles: Sequence[float]):
    """Angles as float32 of shape (batch,)."""
    shape = tuple(angles.shape)
    if len(shape) == 2 and shape[1] == 1:
        angles = ops.reshape(angles, (-1,))
    elif len(shape) != 1:
        raise ValueError(
            f"`{name}` must have shape (batch,) or (batch, 1), in degrees. Received: shape {shape}"
        )
    return ops.cast(angles, "float32")


def check_azimuths(y: Tensor):
    """Refuses azimuths of no direction, where labels are arrays; other labels pass.

    Args:
        y: Labels as `fit` takes them, or `None`.

    Raises:
        ValueError: If an azimuth is not from 0 to 180 degrees; an interferer's may be NaN.

    Example:
        >>> check_azimuths({"azimuth": np.array([0.0, 180.0])})
    """
    for name, angles in (y if isinstance(y, dict) else {"azimuth": y}).items():
        if name not in _ANGLES or not hasattr(angles, "shape"):
            continue
        if len(angles.shape) > 1 and tuple(angles.shape[1:]) != (1,):
            continue  # of a wrong shape, which `as_labels` refuses
        angles = np.ravel(ops.convert_to_numpy(angles))
        if angles.dtype.kind not in "fiu":
            continue
        right = (angles >= 0) & (angles <= 180)
        right |= np.isnan(angles) & (name == "interferer_azimuth")
        if not right.all():
            first = int(np.argmin(right))
            raise ValueError(
                f"`{name}` must be from 0 to 180 degrees: 0 is beside microphone 1, 90 in front, "
                "180 beside microphone 2. Angles of another convention are to be converted first. "
                f"Received: {name}={angles[first]} at index {first}"
            )


def scene_weights(sample_weight: Tensor):
    """Weights of scenes as one array, for a loss or for metrics of all that a scene holds.

    Args:
        sample_weight: An array, a dict of them by label, as Keras makes of an array, or `None`.

    Returns:
        An array or `None`; of a dict, the weights of the azimuth.

    Raises:
        ValueError: If a dict has other keys.
    """
    if not isinstance(sample_weight, dict):
        return sample_weight
    if "azimuth" not in sample_weight:
        _refuse_weights(sample_weight, "")
    return sample_weight["azimuth"]


def output_weights(sample_weight: Tensor, outputs: Tensor):
    """Weights of scenes as Keras takes them for a dict of outputs.

    Args:
        sample_weight: An array, a dict of them by label or by output, or `None`.
        outputs: Names of the outputs.

    Returns:
        The same; of a dict, an entry for each of the outputs.

    Raises:
        ValueError: If a dict has other keys.
    """
    if not isinstance(sample_weight, dict):
        return sample_weight
    if "azimuth" in sample_weight:
        azimuth = sample_weight["azimuth"]
        target = sample_weight.get("target", azimuth)
        return {name: azimuth if name == "doa" else target for name in outputs}
    if not set(sample_weight) <= set(outputs):
        _refuse_weights(sample_weight, f", or by output of {sorted(outputs)}")
    return {name: sample_weight.get(name) for name in outputs}


def _refuse_weights(sample_weight: Tensor, or_else):
    raise ValueError(
        "`sample_weight` must be an array (batch,), or a dict of such arrays by label, with "
        f"`azimuth`{or_else}. Received: a dict of {sorted(sample_weight)}"
    )
