"""`fit` with checkpoints, logs, checks of the loss and deferred handling of SIGINT."""

import builtins
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_avssan._internal.atomic_files import write_json
from keras_avssan._internal.types import PathLike
from keras_avssan.training.callbacks import (
    CheckpointWriter,
    EpochEnd,
    EpochPart,
    LogWriter,
    LossWatch,
    SceneProgress,
    tracked_loss,
)
from keras_avssan.training.checkpoint_folder import CheckpointFolder
from keras_avssan.training.logs import Log, TensorBoardLog, TrainingLog
from keras_avssan.training.training_progress import Course, NonFiniteLoss
from keras_avssan.training.training_state import TrainingState


@dataclass
class WatchedFit:
    """`fit` with checkpoints, logs and checks of the loss.

    It resumes from `state`, and writes a checkpoint every `every` steps and after each epoch.
    """

    course: Course
    folder: CheckpointFolder | None
    state: TrainingState | None
    every: int
    tensorboard: PathLike | None = None

    def run(
        self,
        model: keras.Model,
        dataset: Any,
        *,
        callbacks: Any = None,
        verbose: str | int = "auto",
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains on the remaining scenes; returns the history, with the epochs before."""
        history = keras.callbacks.History()
        if self.state is not None:
            history.history = {name: list(values) for name, values in self.state.history.items()}
            kwargs["initial_epoch"] = self.course.epoch_after(self.course.done)
        verbose = choose_verbose(verbose)
        if self.folder is not None:
            self.course.advice = f" Its description and the last checkpoints: {self.folder.path}."
        with contextlib.ExitStack() as stack:
            logs = [stack.enter_context(contextlib.closing(log)) for log in self._logs()]
            stack.enter_context(tracked_loss(model))
            others: list[keras.callbacks.Callback] = [LogWriter(self.course, logs)] if logs else []
            if self.folder is not None:
                interrupted = stack.enter_context(_deferred_interrupt())
                others.append(
                    CheckpointWriter(
                        self.course, self.folder, self.every, history, logs, interrupted
                    )
                )
            end = EpochEnd(self.course)
            if verbose:
                others.append(SceneProgress(self.course))
            try:
                model.fit(
                    dataset,
                    callbacks=[
                        *(end.first, *self._first(), *_listed(callbacks), history, *others, end)
                    ],
                    epochs=self.course.epochs,
                    steps_per_epoch=self.course.steps_per_epoch,
                    verbose=verbose,
                    shuffle=False,  # a plan has its order; Keras warns of a change
                    **kwargs,
                )
            except NonFiniteLoss as error:
                if self.folder is not None:
                    path = self.folder.path / "failed_batch.json"
                    write_json(path, error.describe())
                raise
        history.epoch = list(range(len(next(iter(history.history.values()), []))))
        return history

    def _first(self) -> list[keras.callbacks.Callback]:
        """Callbacks before those of the user."""
        watch: list[keras.callbacks.Callback] = [LossWatch(self.course)]
        return watch if self.state is None else [*watch, EpochPart(self.course, self.state)]

    def _logs(self) -> list[Log]:
        done = self.course.done
        logs: list[Log] = [] if self.folder is None else [TrainingLog(self.folder.path, done)]
        return logs if self.tensorboard is None else [*logs, TensorBoardLog(self.tensorboard, done)]


def choose_verbose(verbose: str | int) -> str | int:
    """Resolves `"auto"` to a bar (1) on a terminal or in a notebook, else a line an epoch (2)."""
    if verbose != "auto":
        return verbose
    in_notebook = hasattr(builtins, "__IPYTHON__")
    return 1 if sys.stdout.isatty() or in_notebook else 2


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Defers the first Ctrl-C, which the yielded function reports; a second one stops at once.

    Outside of the main thread, and where the process ignores Ctrl-C, nothing changes.
    """
    interrupted = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield interrupted.is_set
        return

    def note(*_: Any) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, before)
        print("\nStopping after this step. Ctrl-C again stops at once.", file=sys.stderr)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupted.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _listed(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Callbacks as a list, in any form that `fit` accepts."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    if isinstance(callbacks, keras.callbacks.Callback):
        return [callbacks]
    return list(callbacks or ())
