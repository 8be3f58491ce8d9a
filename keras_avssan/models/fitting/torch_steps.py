"""Steps of training, evaluation and prediction under PyTorch, repeated as recorded graphs."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from keras_avssan._internal.types import Tensor
from keras_avssan.models.fitting.task_mixin import TaskMixin


class TorchSteps(TaskMixin):
    """Repeats the steps of a `keras.Model` as graphs under PyTorch, see `RecordedSteps`.

    They replace the steps as Keras has them: where a class or an instance has its own, or the model
    is compiled with `run_eagerly=True`, nothing changes. With `jit_compile=True`, TorchInductor
    compiles the graphs, separately for each shape of inputs.
    """

    def make_train_function(self, force: bool = False) -> Any:
        """Makes the training step; graphs of an earlier one are forgotten."""
        if force or self.train_function is None:
            self._forget_graphs("train")
        return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        """Makes the scoring step; graphs of an earlier one are forgotten."""
        if force or self.test_function is None:
            self._forget_graphs("test")
        return super().make_test_function(force)

    def make_predict_function(self, force: bool = False) -> Any:
        """Makes the prediction step; graphs of an earlier one are forgotten."""
        if force or self.predict_function is None:
            self._forget_graphs("predict")
        return super().make_predict_function(force)

    def train_step(self, *arguments: Any) -> Any:
        """Trains one step, see `keras.Model.train_step`."""
        steps = self._graphs("train")
        if not isinstance(steps, _ScoredGraphs) or not steps.is_trusted():
            return super().train_step(*arguments)
        return steps.train(self, *arguments)

    def test_step(self, *arguments: Any) -> Any:
        """Scores one batch, see `keras.Model.test_step`."""
        return self._repeated("test", super().test_step, arguments)

    def predict_step(self, *arguments: Any) -> Any:
        """Runs one batch, see `keras.Model.predict_step`."""
        return self._repeated("predict", super().predict_step, arguments)

    def _repeated(self, kind: str, step: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Result of a step with the batch as its only argument."""
        steps = self._graphs(kind)
        return step(*arguments) if steps is None else steps.run(self, kind, step, arguments[0])

    def _forget_graphs(self, kind: str) -> None:
        self.__dict__.setdefault("_graphs_of_steps", {}).pop(kind, None)

    def _graphs(self, kind: str) -> "_Graphs | None":
        """Graphs of a kind of step; `None` where the steps of Keras apply."""
        if keras.backend.backend() != "torch" or self.run_eagerly:
            return None
        # Not an attribute that Keras tracks.
        graphs: dict[str, _Graphs] = self.__dict__.setdefault("_graphs_of_steps", {})
        if kind not in graphs or not graphs[kind].is_of(self):
            graphs[kind] = _Graphs(self) if kind == "predict" else _ScoredGraphs(self)
        return graphs[kind]

    def _should_torch_compile(self) -> bool:
        """Keras's steps themselves are not compiled: TorchInductor fails on their shapes."""
        return False


class _Graphs:
    """Recorded predictions of one model."""

    def __init__(self, model: Any, *further: Any) -> None:
        from keras_avssan._internal.torch_graphs.recorded_steps import RecordedSteps, parts_of

        self._steps = RecordedSteps(parts_of(model, *further), model.jit_compile)
        self._is_reported = False

    def is_of(self, model: Any) -> bool:
        """Whether the model still has the parts that were looked at and may be replaced."""
        return True

    def is_trusted(self) -> bool:
        """Whether no part of the model is code from outside."""
        return self._steps.is_trusted()

    def run(self, model: Any, name: str, function: Callable[[Any], Any], data: Any) -> Any:
        """Runs a function of a batch."""
        result = self._steps(name, function, data, lambda: _variables(model))
        if model.jit_compile and self._steps.problems and not self._is_reported:
            self._is_reported = True
            reason = next(iter(self._steps.problems.values()))
            warnings.warn(
                "`jit_compile=True` has no effect on this model under PyTorch, whose steps cannot "
                f"be recorded: {reason}. They run uncompiled.",
                stacklevel=2,
            )
        return result


class _ScoredGraphs(_Graphs):
    """Recorded steps of one model with losses and scores, and updates in training."""

    def __init__(self, model: Any) -> None:
        from keras_avssan._internal.torch_graphs.recorded_steps import RecordedSteps, parts_of

        losses = (getattr(model, "loss", None), getattr(model, "_compile_loss", None))
        given = getattr(model, "_compile_metrics", None)  # which has metrics and functions in lists
        scores = (model.metrics, getattr(given, "metrics", None), _given_scores(given))
        super().__init__(model, scores, *losses)
        self._replaceable = _replaceable(model)
        constraints = [weight.constraint for weight in model.trainable_weights]
        self._update = RecordedSteps(parts_of(getattr(model, "optimizer", None), constraints))

    def is_of(self, model: Any) -> bool:
        now = _replaceable(model)
        return len(now) == len(self._replaceable) and all(
            one is other for one, other in zip(now, self._replaceable, strict=True)
        )

    def train(self, model: Any, data: Any) -> dict[str, Tensor]:
        """A step of training as in `keras.Model`, except that scores come before the update."""
        import torch

        loss, logs = self.run(model, "train", partial(_loss_and_scores, model), data)
        model.zero_grad()
        if model.optimizer is not None:
            loss = model.optimizer.scale_loss(loss)
        weights = model.trainable_weights
        if not weights:
            warnings.warn("The model does not have any trainable weights.", stacklevel=2)
            return logs
        loss.backward()
        gradients = [weight.value.grad for weight in weights]
        with torch.no_grad():
            self._update(
                "update",
                lambda values: _apply(model.optimizer, weights, *values),
                (gradients, _scheduled_rate(model.optimizer)),
                lambda: [*model.variables, *model.optimizer.variables],
            )
        return logs


def _replaceable(model: Any) -> list[Any]:
    """What a user may replace between steps, and metrics, which Keras makes in the first one."""
    names = ("optimizer", "loss", "_compile_loss", "_compile_metrics")
    made = getattr(getattr(model, "_compile_metrics", None), "metrics", ())
    return [*(getattr(model, name, None) for name in names), *model.metrics, *made]


def _given_scores(metrics: Any) -> list[Any]:
    """Metrics and functions as `compile` was given them."""
    names = ("_user_metrics", "_user_weighted_metrics")
    return [getattr(metrics, name, None) for name in names]


def _loss_and_scores(model: Any, data: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and scores of a batch, whose metrics are updated."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    outputs = model(x, training=True)
    loss = model.compute_loss(x, y, outputs, sample_weight, training=True)
    size = next(one for one in keras.tree.flatten(x) if one is not None).shape[0]
    model._loss_tracker.update_state(loss, sample_weight=size)
    return loss, model.compute_metrics(x, y, outputs, sample_weight=sample_weight)


def _scheduled_rate(optimizer: Any) -> Tensor | None:
    """Learning rate of this step where a schedule says it, which no graph holds."""
    scheduled = isinstance(
        getattr(optimizer, "_learning_rate", None), keras.optimizers.schedules.LearningRateSchedule
    )
    return optimizer.learning_rate if scheduled else None


def _apply(
    optimizer: Any, weights: list[keras.Variable], gradients: list[Tensor], rate: Tensor | None
) -> None:
    """Updates the weights, with the learning rate that a schedule said."""
    if rate is None:
        optimizer.apply(gradients, weights)
        return
    vars(optimizer)["_get_current_learning_rate"] = lambda: rate
    try:
        optimizer.apply(gradients, weights)
    finally:
        del vars(optimizer)["_get_current_learning_rate"]


def _variables(model: Any) -> list[keras.Variable]:
    return [*model.variables, *(one for metric in model.metrics for one in metric.variables)]
