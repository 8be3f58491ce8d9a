"""`fit`, with everything around it that keeps a training safe."""

import contextlib
from dataclasses import dataclass
from typing import Any

import keras

from keras_avssan._internal.atomic_files import write_json
from keras_avssan.training.callbacks import CheckpointWriter, EpochPart, LogWriter, LossWatch
from keras_avssan.training.checkpoint_folder import CheckpointFolder
from keras_avssan.training.interrupts import deferred_interrupt
from keras_avssan.training.loss_tracker import tracked_loss
from keras_avssan.training.non_finite_loss import NonFiniteLoss
from keras_avssan.training.progress import SceneProgress, choose_verbose
from keras_avssan.training.tensorboard_log import TensorBoardLog
from keras_avssan.training.training_log import TrainingLog
from keras_avssan.training.training_progress import Course
from keras_avssan.training.training_state import TrainingState


@dataclass
class WatchedFit:
    """`fit`, with everything around it that keeps a training safe.

    Args:
        course: `Course` of the training.
        folder: `CheckpointFolder`, or `None`.
        state: `TrainingState` to go on from, or `None`.
        every: Steps between two checkpoints.
        tensorboard: Folder of a log for TensorBoard, or `None`.
    """

    course: Course
    folder: CheckpointFolder | None
    state: TrainingState | None
    every: int
    tensorboard: Any = None

    def run(self, model, dataset, *, callbacks=None, verbose="auto", **kwargs):
        """Trains.

        Args:
            model: The compiled model.
            dataset: What is left of the scenes.
            callbacks: Further callbacks.
            verbose: As `fit` takes it.
            **kwargs: Further arguments of `fit`.

        Returns:
            The `History`, with the epochs before.
        """
        history = keras.callbacks.History()
        if self.state is not None:
            history.history = {name: list(values) for name, values in self.state.history.items()}
            kwargs["initial_epoch"] = self.course.done // self.course.steps_per_epoch
        verbose = choose_verbose(verbose)
        if self.folder is not None:
            self.course.advice = f" Its description and the last checkpoints: {self.folder.path}."
        with contextlib.ExitStack() as stack:
            logs = [stack.enter_context(contextlib.closing(log)) for log in self._logs()]
            stack.enter_context(tracked_loss(model))
            others = [LogWriter(self.course, logs)] if logs else []
            if self.folder is not None:
                asked = stack.enter_context(deferred_interrupt())
                others.append(
                    CheckpointWriter(self.course, self.folder, self.every, history, logs, asked)
                )
            try:
                model.fit(
                    dataset,
                    callbacks=[*self._first(), *_listed(callbacks), history, *others]
                    + ([SceneProgress(self.course)] if verbose else []),
                    verbose=verbose,
                    shuffle=False,  # a plan has its order; Keras warns where it is to change it
                    **kwargs,
                )
            except NonFiniteLoss as error:
                if self.folder is not None:
                    path = self.folder.path / "failed_batch.json"
                    write_json(path, error.describe())
                raise
        history.epoch = list(range(len(next(iter(history.history.values()), []))))
        return history

    def _first(self):
        """Callbacks before those of the user."""
        watch = [LossWatch(self.course)]
        return watch if self.state is None else [*watch, EpochPart(self.course, self.state)]

    def _logs(self):
        done = self.course.done
        logs = [] if self.folder is None else [TrainingLog(self.folder.path, done)]
        return logs if self.tensorboard is None else [*logs, TensorBoardLog(self.tensorboard, done)]


def _listed(callbacks):
    """Callbacks as a list, whatever `fit` would take."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    if isinstance(callbacks, keras.callbacks.Callback):
        return [callbacks]
    return list(callbacks or ())
