"""Labels and sample weights of a batch, checked and brought to one form."""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import numpy as np
from keras import ops

from keras_avssan._internal.types import Tensor

_ANGLES = ("azimuth", "interferer_azimuth")
_EXPECTED = (
    "Labels must be a dict with `azimuth` (batch,) in degrees and, optionally, `target` "
    "(batch, samples, 2), the target alone, and `interferer_azimuth` (batch,) in degrees; or the "
    "azimuths alone, (batch,) or (batch, 1)."
)


def as_labels(y: Any) -> dict[str, Tensor]:
    """Labels of a batch as a dict, with angles in float32 (batch,); azimuths alone become one."""
    if y is None or isinstance(y, list | tuple):
        kind = "None" if y is None else f"a {type(y).__name__} of {len(y)}"
        raise ValueError(f"{_EXPECTED} Received: y={kind}")
    if not isinstance(y, dict):
        y = {"azimuth": y}
    if "azimuth" not in y or not set(y) <= {*_ANGLES, "target"}:
        raise ValueError(f"{_EXPECTED} Received: y with keys {sorted(y)}")
    return {name: _angles(name, part) if name in _ANGLES else part for name, part in y.items()}


def _angles(name: str, angles: Tensor) -> Tensor:
    """Angles as float32 of shape (batch,)."""
    shape = tuple(angles.shape)
    if len(shape) == 2 and shape[1] == 1:
        angles = ops.reshape(angles, (-1,))
    elif len(shape) != 1:
        raise ValueError(
            f"`{name}` must have shape (batch,) or (batch, 1), in degrees. "
            f"Received: {name}.shape={shape}"
        )
    return ops.cast(angles, "float32")


def check_azimuths(y: Any) -> None:
    """Refuses azimuths in arrays that are not from 0 to 180 degrees; other labels pass.

    Azimuths of interferers may be NaN.
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
                "180 beside microphone 2. Convert angles of another convention first. "
                f"Received: {name}={angles[first]} at index {first}"
            )


def scene_weights(sample_weight: Any) -> Tensor:
    """Weights of scenes as one array or `None`; of a dict by label, those of the azimuth."""
    if not isinstance(sample_weight, dict):
        return sample_weight
    if "azimuth" not in sample_weight:
        _refuse_weights(sample_weight, "")
    return sample_weight["azimuth"]


def output_weights(sample_weight: Any, outputs: Iterable[str]) -> Any:
    """Weights of scenes as Keras takes them for a dict of outputs: dicts get an entry for each."""
    if not isinstance(sample_weight, dict):
        return sample_weight
    if "azimuth" in sample_weight:
        azimuth = sample_weight["azimuth"]
        target = sample_weight.get("target", azimuth)
        return {name: azimuth if name == "doa" else target for name in outputs}
    if not set(sample_weight) <= set(outputs):
        _refuse_weights(sample_weight, f", or by output of {sorted(outputs)}")
    return {name: sample_weight.get(name) for name in outputs}


def _refuse_weights(sample_weight: Mapping[str, Any], or_else: str) -> NoReturn:
    raise ValueError(
        "`sample_weight` must be an array (batch,), or a dict of such arrays by label, with "
        f"`azimuth`{or_else}. Received: sample_weight with keys {sorted(sample_weight)}"
    )
