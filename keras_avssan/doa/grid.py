"""Encoding of directions as a distribution over 180 classes, and decoding.

Class j (1 ≤ j ≤ 180) of the paper is the direction of j degrees from the axis that runs from
microphone 2 to microphone 1. It is stored at index k = j - 1.
"""

from collections.abc import Sequence

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_choice, check_positive_number
from keras_avssan._internal.types import Tensor

NUM_DIRECTIONS = 180
GRID_DEGREES = np.arange(1, NUM_DIRECTIONS + 1, dtype="float32")

CONFIDENCE_TOLERANCE = 5.0  # degrees to either side of the estimate
_NAMED = 5  # posteriors that are not finite, named in a message
_SHAPES = ("laplacian", "gaussian")


def check_label_shape(sigma: float, kind: str) -> None:
    """Raises a ValueError if `sigma` (degrees) is not positive or `kind` is unknown."""
    check_positive_number("sigma", sigma, "angle in degrees")
    check_choice("kind", kind, _SHAPES)


def encode_azimuth(
    azimuth: Tensor, sigma: float = 5.0, kind: str = "laplacian", normalize: bool = False
) -> Tensor:
    """Spreads an azimuth over the grid: p(θ) = exp(-|θ' - θ| / σ).

    The paper calls this label Gaussian-like but has the absolute difference in the exponent; that
    form is the default here (`"laplacian"`). `"gaussian"` has half the squared ratio there.

    Args:
        azimuth: Azimuths in degrees, shape (batch,) or (batch, 1).
        sigma: Width of the label in degrees.
        kind: `"laplacian"` or `"gaussian"`.
        normalize: If `True`, each label sums to one, as the output of a softmax does.

    Returns:
        float32 tensor of shape (batch, 180). Index k is the direction of k + 1 degrees.

    Raises:
        ValueError: If `sigma` is not positive or `kind` is unknown.

    Example:
        >>> label = encode_azimuth([90.0])
        >>> int(label[0].argmax()) + 1
        90

    Reference:
        AV-SSAN, "Problem Formulation".
    """
    check_label_shape(sigma, kind)
    azimuth = ops.reshape(ops.convert_to_tensor(azimuth, dtype="float32"), (-1, 1))
    deviation = ops.abs(ops.convert_to_tensor(GRID_DEGREES)[None, :] - azimuth) / sigma
    exponent = deviation if kind == "laplacian" else 0.5 * ops.square(deviation)
    label = ops.exp(-exponent)
    if normalize:
        label = label / ops.sum(label, axis=-1, keepdims=True)
    return label


def decode_posterior(posterior: Tensor) -> Tensor:
    """Computes the direction of the highest probability.

    Args:
        posterior: Posterior over directions, shape (batch, 180).

    Returns:
        float32 tensor of azimuths in degrees, shape (batch,), from 1 to 180; NaN where a posterior
        holds NaN.

    Example:
        >>> decode_posterior(encode_azimuth([42.0, 137.0]))  # 42 and 137 degrees

    Reference:
        AV-SSAN, "Problem Formulation": θ̂ is the argument of the maximum.
    """
    posterior = ops.cast(posterior, "float32")
    azimuth = ops.cast(ops.argmax(posterior, axis=-1), "float32") + 1.0
    return ops.where(ops.any(ops.isnan(posterior), axis=-1), float("nan"), azimuth)


def check_finite(posterior: ArrayLike, names: Sequence[object] | None = None) -> np.ndarray:
    """Returns posteriors (batch, 180) as an array; raises a ValueError for NaN or infinity.

    `names` are those of the inputs in the message; their numbers from 0 if not given.
    """
    posterior = np.asarray(posterior)
    broken = np.flatnonzero(~np.isfinite(posterior).all(axis=-1))
    if broken.size:
        names = range(len(posterior)) if names is None else names
        found = ", ".join(str(names[index]) for index in broken[:_NAMED])
        more = ", …" if len(broken) > _NAMED else ""
        raise ValueError(
            "`posterior` must be finite; check that the weights of the network and its inputs are. "
            f"Received: posterior with NaN or infinity for {found}{more}"
        )
    return posterior


def posterior_confidence(posterior: np.ndarray, azimuths: np.ndarray | None = None) -> np.ndarray:
    """Probability (batch,) that the source lies within 5° of the estimate.

    In place of the estimate, `azimuths` in degrees, (batch,) or (batch, n); zero for NaN.
    """
    if azimuths is None:
        azimuths = GRID_DEGREES[np.argmax(posterior, axis=-1)]
    near = np.abs(GRID_DEGREES - azimuths[..., None]) <= CONFIDENCE_TOLERANCE
    if azimuths.ndim > 1:
        posterior = posterior[:, None]
    return np.sum(posterior * near, axis=-1)
