"""Callbacks of a training: loss, logs, checkpoints, progress."""

import contextlib
import math
import time
from typing import Any

import keras

from keras_avssan._internal.types import PathLike, Tensor
from keras_avssan.training.training_state import TrainingState, restore_random_state

STEP_LOSS = "step_loss"


class LossWatch(keras.callbacks.Callback):
    """Stops the training where the loss is not finite, and hides `step_loss` from who follows.

    Args:
        course: `Course` of the training.
    """

    async_safe = True  # it reads numbers alone, so that Keras need not wait for a step

    def __init__(self, course) -> None:
        super().__init__()
        self.course = course
        self._first = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch."""
        self.course.epoch = epoch

    def on_train_batch_end(self, batch: Any, logs: dict[str, Any] | None = None):
        """Looks at the loss of a step."""
        logs = {} if logs is None else logs
        loss = logs.pop(STEP_LOSS, logs.get("loss", 0.0))
        step = self.course.step_of(batch)
        self.course.step, self.course.loss = step, loss
        if not math.isfinite(loss):
            # Where steps are watched from several threads, a later one may come first.
            self._first = min(self._first or (step, loss), (step, loss))
            raise self.course.error(*self._first)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Hides the loss of single steps."""
        for name in (STEP_LOSS, f"val_{STEP_LOSS}"):
            (logs or {}).pop(name, None)


class EpochPart(keras.callbacks.Callback):
    """Ends the first epoch early where a part of it was done before, and restores its state.

    Args:
        course: `Course` of the training.
        state: `TrainingState` to go on from.
    """

    def __init__(self, course, state) -> None:
        super().__init__()
        self.course = course
        self.state = state
        self._begun = self._ended = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restores network and optimizer."""
        self.state.apply(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Restores the metrics of an epoch in progress."""
        if self.course.done_before(epoch):
            self.state.apply_metrics(self.model)

    def on_train_batch_begin(self, batch: Any, logs: dict[str, Any] | None = None) -> None:
        """Restores random generators before the first step, but after the loader has started."""
        if not self._begun:
            self._begun = True
            restore_random_state(self.state.random)

    def on_train_batch_end(self, batch: Any, logs: dict[str, Any] | None = None) -> None:
        """Ends the epoch, where Keras would go on for its whole length."""
        last = self.course.step_of(batch) % self.course.steps_per_epoch == 0
        if self.course.done_before(self.course.epoch) and last and not self.model.stop_training:
            self._ended = self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Lets the training go on with the next epoch."""
        if self._ended:
            self._ended = self.model.stop_training = False


class LogWriter(keras.callbacks.Callback):
    """Writes a line a step, and one an epoch.

    Args:
        course: `Course` of the training.
        logs: List of objects with `step(row)`, `epoch(row)` and `close()`.
    """

    def __init__(self, course, logs: dict[str, Any] | None) -> None:
        super().__init__()
        self.course = course
        self.logs = logs
        self._time = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock anew, for validation does not count."""
        self._time = time.perf_counter()

    def on_train_batch_end(self, batch: Any, logs: dict[str, Any] | None = None) -> None:
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
    """Writes checkpoints, and stops where the user asks for it.

    Args:
        course: `Course` of the training.
        folder: `CheckpointFolder`.
        every: Steps between two checkpoints; there is one after every epoch, too.
        history: `History` of the training.
        logs: List of logs, brought to the disk before each checkpoint.
        interrupted: Function that says whether the user asked to stop.
    """

    def __init__(
        self, course, folder: PathLike, every, history, logs: dict[str, Any] | None, interrupted
    ) -> None:
        super().__init__()
        self.course = course
        self.folder = folder
        self.every = every
        self.history = history
        self.logs = logs
        self.interrupted = interrupted

    def on_train_batch_end(self, batch: Any, logs: dict[str, Any] | None = None) -> None:
        """Writes a checkpoint after so many steps; the last of an epoch waits for its end."""
        step = self.course.step_of(batch)
        if step % self.course.steps_per_epoch == 0:
            return
        stop = self.interrupted()
        if stop or step % self.every == 0:
            self._save(step)
        if stop:
            self._stop(step)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes a checkpoint, after the validation."""
        step = self.course.step
        if step % self.course.steps_per_epoch:
            return  # another callback has ended the training within an epoch
        self._save(step)
        if self.interrupted() and step < self.course.steps:
            self._stop(step)

    def _save(self, step):
        state = TrainingState.of(self.model, step, self.history.history)
        if not state.is_finite:
            raise self.course.error(step, self.course.loss)
        for log in self.logs:
            log.sync()
        self.folder.save(state)

    def _stop(self, step):
        raise KeyboardInterrupt(
            f"stopped after step {step} of {self.course.steps}, which '{self.folder.path}' holds; "
            "the same call or command resumes from there"
        )


class SceneProgress(keras.callbacks.ProgbarLogger):
    """Keras' progress bar with scenes a second.

    Args:
        course: `Course` of the training.
    """

    async_safe = True  # as the one of Keras, it only prints

    def __init__(self, course) -> None:
        super().__init__()
        self.course = course
        self._started = 0.0
        self._rate = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begins a bar, as long as what is left of the epoch."""
        self.target = self.course.steps_per_epoch - self.course.done_before(epoch)
        self._started = time.perf_counter()
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: Any, logs: dict[str, Any] | None = None) -> None:
        """Shows a step."""
        seconds = time.perf_counter() - self._started
        self._rate = (batch + 1) * self.course.batch_size / max(seconds, 1e-9)
        super().on_train_batch_end(batch, self._with_rate(logs))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends a bar."""
        super().on_epoch_end(epoch, self._with_rate(logs))

    def _with_rate(self, logs: dict[str, Any] | None):
        return {**(logs or {}), "scenes/s": self._rate}


class LossTracker(keras.metrics.Mean):
    """Mean of the loss over an epoch, and the loss of the last step as `step_loss`.

    A mean of float32 sums is too coarse to tell the loss of a step from, after many steps or after
    one with a huge loss.

    Example:
        >>> tracker = LossTracker(name="loss")
        >>> tracker.update_state(2.0)
        >>> tracker.update_state(4.0)
        >>> {name: float(value) for name, value in tracker.result().items()}
        {'loss': 3.0, 'step_loss': 4.0}
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.last = self.add_variable((), "zeros", aggregation="mean", name="last")

    def update_state(self, values: Any, sample_weight: Tensor = None) -> None:
        """Takes the loss of a step."""
        super().update_state(values, sample_weight=sample_weight)
        self.last.assign(keras.ops.cast(keras.ops.mean(values), self.last.dtype))

    def result(self):
        """The mean, and the last loss."""
        return {self.name: super().result(), STEP_LOSS: self.last + 0.0}


@contextlib.contextmanager
def tracked_loss(model: Any):
    """Lets a model report `step_loss` in the logs of its steps.

    Args:
        model: A compiled Keras model.
    """
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


def _set_tracker(model: Any, tracker) -> None:
    """Sets the tracker as `compile` does: a metric set otherwise would be counted twice."""
    object.__setattr__(model, "_loss_tracker", tracker)
