"""Scores of a selective localiser, as Keras metrics.

All of them take the truth as azimuths in degrees and the prediction as a posterior over the
180 directions. The truth has shape (batch,) or (batch, 1) for the target alone, or (batch, 2) for
target and interferer; an interferer of NaN means that the scene has no interferer. Other shapes
raise a ValueError. A posterior that holds NaN makes the score NaN.

A metric over no scene is NaN: zero would be the best error and the worst share. Each metric says
whether more is better, so `keras.callbacks.EarlyStopping` and `ModelCheckpoint` need no `mode`.
"""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.types import Shape, Tensor
from keras_avssan.doa.grid import NUM_DIRECTIONS, decode_posterior


def _target(y_true: Tensor) -> Tensor:
    return y_true if len(y_true.shape) == 1 else y_true[:, 0]


def _check_shapes(truth: Shape, posterior: Shape) -> None:
    """Raises a ValueError for shapes that would be broadcast, as far as they are known."""
    if len(truth) != 1 and (len(truth) != 2 or truth[1] not in (1, 2)):
        raise ValueError(
            "`y_true` must hold azimuths in degrees, of shape (batch,), (batch, 1) or (batch, 2) "
            f"with the target first. Received: y_true.shape={truth}"
        )
    shaped = len(posterior) == 2 and posterior[1] in (None, NUM_DIRECTIONS)
    if not shaped or (None not in (truth[0], posterior[0]) and truth[0] != posterior[0]):
        raise ValueError(
            f"`y_pred` must be a posterior of shape (batch, {NUM_DIRECTIONS}), one for each entry "
            f"of `y_true`. Received: y_pred.shape={posterior}, y_true.shape={truth}"
        )


class _ScoreMetric(keras.metrics.Mean):
    """Weighted mean of one score per scene. Subclasses compute the score and its weight."""

    # Read by the callbacks of Keras: "up" where more is better, "down" where less is.
    _direction: str

    def score(self, y_true: Tensor, azimuth: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the scores (batch,) and their weights (batch,)."""
        raise NotImplementedError

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        y_true = ops.convert_to_tensor(y_true, dtype="float32")
        y_pred = ops.convert_to_tensor(y_pred)
        _check_shapes(tuple(y_true.shape), tuple(y_pred.shape))
        azimuth = decode_posterior(y_pred)
        score, weight = self.score(y_true, azimuth)
        # Every comparison with NaN is false, which would count as an ordinary error.
        score = ops.where(ops.isnan(azimuth), float("nan"), score)
        if sample_weight is not None:
            weight = weight * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        super().update_state(score, sample_weight=weight)

    def result(self) -> Tensor:
        """Returns the mean, NaN where no scene counted."""
        return ops.where(ops.equal(self.count, 0), float("nan"), super().result())


@keras.saving.register_keras_serializable(package="keras_avssan")
class AngularMAE(_ScoreMetric):
    """Computes the mean absolute error between estimated and true azimuth, in degrees.

    Args:
        name: Name of the metric.
        dtype: Data type of the metric's state.

    Call arguments:
        y_true: Azimuths in degrees, (batch,) or (batch, 2) with the target first.
        y_pred: Posterior, (batch, 180).

    Example:
        >>> metric = AngularMAE()
        >>> metric.update_state([90.0], encode_azimuth([93.0]))
        >>> float(metric.result())
        3.0

    Reference:
        AV-SSAN, "Training and Evaluation" (MAE).
    """

    _direction = "down"

    def __init__(self, name: str = "mae", dtype: str = "float32") -> None:
        super().__init__(name=name, dtype=dtype)

    def score(self, y_true: Tensor, azimuth: Tensor) -> tuple[Tensor, Tensor]:
        error = ops.abs(azimuth - _target(y_true))
        return error, ops.ones_like(error)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="keras_avssan")
class AngularAccuracy(_ScoreMetric):
    """Computes the share of scenes whose estimate lies within a tolerance of the true azimuth.

    Args:
        tolerance: Largest error that counts as correct, in degrees.
        name: Name of the metric; with the tolerance by default, `"acc_5deg"`.
        dtype: Data type of the metric's state.

    Call arguments:
        y_true: Azimuths in degrees, (batch,) or (batch, 2) with the target first.
        y_pred: Posterior, (batch, 180).

    Raises:
        ValueError: If `tolerance` is negative.

    Example:
        >>> metric = AngularAccuracy(tolerance=5)
        >>> metric.update_state([90.0, 20.0], encode_azimuth([93.0, 60.0]))
        >>> float(metric.result())
        0.5

    Reference:
        AV-SSAN, "Training and Evaluation" (ACC, 5°).
    """

    _direction = "up"

    def __init__(
        self, tolerance: float = 5.0, name: str | None = None, dtype: str = "float32"
    ) -> None:
        if not tolerance >= 0:
            raise ValueError(f"`tolerance` must not be negative. Received: tolerance={tolerance!r}")
        super().__init__(name=name or f"acc_{tolerance:g}deg", dtype=dtype)
        self.tolerance = tolerance

    def score(self, y_true: Tensor, azimuth: Tensor) -> tuple[Tensor, Tensor]:
        correct = ops.abs(azimuth - _target(y_true)) <= self.tolerance
        correct = ops.cast(correct, "float32")
        return correct, ops.ones_like(correct)

    def get_config(self) -> dict[str, Any]:
        return {"tolerance": self.tolerance, "name": self.name, "dtype": self.dtype}


def _selected(y_true: Tensor, azimuth: Tensor) -> tuple[Tensor, Tensor]:
    """Whether the estimate is nearer to the target, and whether there is an interferer."""
    if len(y_true.shape) == 1 or y_true.shape[1] == 1:
        raise ValueError(
            "`y_true` must have shape (batch, 2): this metric compares target and interferer. "
            f"Received: y_true.shape={tuple(y_true.shape)}"
        )
    present = ops.logical_not(ops.isnan(y_true[:, 1]))
    interferer = ops.where(present, y_true[:, 1], 0.0)
    nearer = ops.abs(azimuth - y_true[:, 0]) < ops.abs(azimuth - interferer)
    return ops.logical_and(nearer, present), present


@keras.saving.register_keras_serializable(package="keras_avssan")
class SelectionRate(_ScoreMetric):
    """Computes the share of scenes whose estimate is nearer to the target than to the interferer.

    Scenes without an interferer do not count; the rate is NaN if all scenes are without. A
    random-source baseline scores 0.5.

    Args:
        name: Name of the metric.
        dtype: Data type of the metric's state.

    Call arguments:
        y_true: Azimuths of target and interferer in degrees, (batch, 2).
        y_pred: Posterior, (batch, 180).

    Raises:
        ValueError: If `y_true` holds no interferer.

    Example:
        >>> metric = SelectionRate()
        >>> metric.update_state([[90.0, 30.0]], encode_azimuth([70.0]))
        >>> float(metric.result())
        1.0
    """

    _direction = "up"

    def __init__(self, name: str = "selection", dtype: str = "float32") -> None:
        super().__init__(name=name, dtype=dtype)

    def score(self, y_true: Tensor, azimuth: Tensor) -> tuple[Tensor, Tensor]:
        selected, present = _selected(y_true, azimuth)
        return ops.cast(selected, "float32"), ops.cast(present, "float32")

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="keras_avssan")
class SelectedAngularMAE(_ScoreMetric):
    """Computes the mean absolute error over scenes with the right source selected, in degrees.

    NaN if there is no such scene.

    Args:
        name: Name of the metric.
        dtype: Data type of the metric's state.

    Call arguments:
        y_true: Azimuths of target and interferer in degrees, (batch, 2).
        y_pred: Posterior, (batch, 180).

    Raises:
        ValueError: If `y_true` holds no interferer.

    Example:
        >>> metric = SelectedAngularMAE()
        >>> metric.update_state([[90.0, 30.0], [90.0, 30.0]], encode_azimuth([88.0, 30.0]))
        >>> float(metric.result())
        2.0
    """

    _direction = "down"

    def __init__(self, name: str = "selected_mae", dtype: str = "float32") -> None:
        super().__init__(name=name, dtype=dtype)

    def score(self, y_true: Tensor, azimuth: Tensor) -> tuple[Tensor, Tensor]:
        selected, _ = _selected(y_true, azimuth)
        return ops.abs(azimuth - y_true[:, 0]), ops.cast(selected, "float32")

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}
