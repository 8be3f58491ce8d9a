"""Training callbacks: loss checks, logs, checkpoints and progress."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import keras

from keras_avssan._internal.types import Tensor
from keras_avssan.training.checkpoint_folder import CheckpointFolder
from keras_avssan.training.logs import Log
from keras_avssan.training.training_progress import Course
from keras_avssan.training.training_state import TrainingState, restore_random_state

STEP_LOSS = "step_loss"


class LossWatch(keras.callbacks.Callback):
    """Stops the training if the loss is not finite, and removes `step_loss` from later logs."""

    async_safe = True  # it reads numbers alone, so that Keras need not wait for a step

    def __init__(self, course: Course) -> None:
        super().__init__()
        self.course = course
        self._first: tuple[int, float] | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch."""
        self.course.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the loss of a step."""
        logs = {} if logs is None else logs
        loss = logs.pop(STEP_LOSS, logs.get("loss", 0.0))
        step = self.course.step_of(batch)
        self.course.step, self.course.loss = step, loss
        if not math.isfinite(loss):
            # If several threads watch the steps, a later one may come first.
            self._first = min(self._first or (step, loss), (step, loss))
            raise self.course.error(*self._first)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Removes the loss of single steps from the logs."""
        for name in (STEP_LOSS, f"val_{STEP_LOSS}"):
            (logs or {}).pop(name, None)


class EpochEnd(keras.callbacks.Callback):
    """Ends epochs that are shorter than Keras's: after their own, or their remaining, steps.

    It comes last; `first` comes first, so that both see what other callbacks have stopped.
    """

    def __init__(self, course: Course) -> None:
        super().__init__()
        self.course = course
        self.ended = False
        self.first = keras.callbacks.LambdaCallback(on_epoch_end=self._continue)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends the epoch, which Keras would continue."""
        left = self.course.left_of(self.course.epoch)
        if batch + 1 == left < self.course.steps_per_epoch and not self.model.stop_training:
            self.ended = self.model.stop_training = True

    def _continue(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Lets the training continue with the next epoch."""
        if self.ended:
            self.ended = self.model.stop_training = False


class EpochPart(keras.callbacks.Callback):
    """Restores the state of a partial first epoch."""

    def __init__(self, course: Course, state: TrainingState) -> None:
        super().__init__()
        self.course = course
        self.state = state
        self._started = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restores network and optimizer."""
        self.state.apply(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Restores the metrics of an epoch in progress."""
        if self.course.done_before(epoch):
            self.state.apply_metrics(self.model)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Restores random generators before the first step, but after the loader has started."""
        if not self._started:
            self._started = True
            restore_random_state(self.state.random)


class LogWriter(keras.callbacks.Callback):
    """Writes a line a step, and one an epoch."""

    def __init__(self, course: Course, logs: Sequence[Log]) -> None:
        super().__init__()
        self.course = course
        self.logs = logs
        self._time = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Restarts the clock, because validation does not count."""
        self._time = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the line of a step."""
        now = time.perf_counter()
        step = self.course.step_of(batch)
        row = {
            "step": step,
            "epoch": self.course.epoch + 1,
            "loss": self.course.loss,
            "learning_rate": float(self.course.schedule(step - 1)),
            **{name: value for name, value in (logs or {}).items() if name != "loss"},
            "scenes_per_s": self.course.batch_size / max(now - self._time, 1e-9),
        }
        self._time = now
        for log in self.logs:
            log.step(row)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the line of an epoch."""
        row = {"step": self.course.step, "epoch": epoch + 1, **(logs or {})}
        for log in self.logs:
            log.epoch(row)


class CheckpointWriter(keras.callbacks.Callback):
    """Writes checkpoints every `every` steps and after each epoch, and stops when interrupted.

    Logs are written to disk before each checkpoint.
    """

    def __init__(
        self,
        course: Course,
        folder: CheckpointFolder,
        every: int,
        history: keras.callbacks.History,
        logs: Sequence[Log],
        interrupted: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.course = course
        self.folder = folder
        self.every = every
        self.history = history
        self.logs = logs
        self.interrupted = interrupted

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes a checkpoint every so many steps; the last one of an epoch waits for its end."""
        step = self.course.step_of(batch)
        if self.course.is_end(step):
            return
        stop = self.interrupted()
        if stop or step % self.every == 0:
            self._save(step)
        if stop:
            self._stop(step)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes a checkpoint, after the validation."""
        step = self.course.step
        if not self.course.is_end(step):
            return  # another callback has ended the training within an epoch
        self._save(step)
        if self.interrupted() and step < self.course.steps:
            self._stop(step)

    def _save(self, step: int) -> None:
        state = TrainingState.of(self.model, step, self.history.history)
        if not state.is_finite:
            raise self.course.error(step, self.course.loss)
        for log in self.logs:
            log.sync()
        self.folder.save(state)

    def _stop(self, step: int) -> NoReturn:
        raise KeyboardInterrupt(
            f"stopped after step {step} of {self.course.steps}, which '{self.folder.path}' holds; "
            "the same call or command resumes from there"
        )


class SceneProgress(keras.callbacks.ProgbarLogger):
    """Keras's progress bar with scenes per second."""

    async_safe = True  # as the one of Keras, it only prints

    def __init__(self, course: Course) -> None:
        super().__init__()
        self.course = course
        self._started = 0.0
        self._rate = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts a bar as long as the remaining part of the epoch."""
        self.target = self.course.left_of(epoch)
        self._started = time.perf_counter()
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Shows a step."""
        seconds = time.perf_counter() - self._started
        self._rate = (batch + 1) * self.course.batch_size / max(seconds, 1e-9)
        super().on_train_batch_end(batch, self._with_rate(logs))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends a bar."""
        super().on_epoch_end(epoch, self._with_rate(logs))

    def _with_rate(self, logs: dict[str, Any] | None) -> dict[str, Any]:
        return {**(logs or {}), "scenes/s": self._rate}


class LossTracker(keras.metrics.Mean):
    """Mean of the loss over an epoch, and the loss of the last step as `step_loss`.

    A mean of float32 sums is too coarse to derive the loss of a step from.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.last = self.add_variable((), "zeros", aggregation="mean", name="last")

    def update_state(self, values: Tensor, sample_weight: Tensor | None = None) -> None:
        """Adds the loss of a step."""
        super().update_state(values, sample_weight=sample_weight)
        self.last.assign(keras.ops.cast(keras.ops.mean(values), self.last.dtype))

    def result(self) -> dict[str, Tensor]:
        """Returns the mean and the last loss."""
        return {self.name: super().result(), STEP_LOSS: self.last + 0.0}


@contextlib.contextmanager
def tracked_loss(model: keras.Model) -> Iterator[None]:
    """Makes a compiled model report `step_loss` in the logs of its steps."""
    before = model._loss_tracker
    if before is None:
        yield
        return
    _set_tracker(model, LossTracker(name="loss"))
    try:
        yield
    finally:
        _set_tracker(model, before)
        model.train_function = model.test_function = None  # they report `step_loss`


def _set_tracker(model: keras.Model, tracker: keras.metrics.Metric) -> None:
    """Sets the tracker as `compile` does: a metric set otherwise would be counted twice."""
    object.__setattr__(model, "_loss_tracker", tracker)
