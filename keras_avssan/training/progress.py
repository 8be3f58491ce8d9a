"""How far a training is, on the screen."""

import builtins
import sys
import time

import keras


def choose_verbose(verbose):
    """What `"auto"` stands for: a bar on a terminal or in a notebook, else a line an epoch.

    Args:
        verbose: As `fit` takes it.

    Returns:
        Int.
    """
    if verbose != "auto":
        return verbose
    in_notebook = hasattr(builtins, "__IPYTHON__")
    return 1 if sys.stdout.isatty() or in_notebook else 2


class SceneProgress(keras.callbacks.ProgbarLogger):
    """Keras' progress bar with scenes a second.

    Args:
        course: `Course` of the training.
    """

    async_safe = True  # as the one of Keras, it only prints

    def __init__(self, course):
        super().__init__()
        self.course = course
        self._started = 0.0
        self._rate = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Begins a bar, as long as what is left of the epoch."""
        self.target = self.course.steps_per_epoch - self.course.done_before(epoch)
        self._started = time.perf_counter()
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch, logs=None):
        """Shows a step."""
        seconds = time.perf_counter() - self._started
        self._rate = (batch + 1) * self.course.batch_size / max(seconds, 1e-9)
        super().on_train_batch_end(batch, self._with_rate(logs))

    def on_epoch_end(self, epoch, logs=None):
        """Ends a bar."""
        super().on_epoch_end(epoch, self._with_rate(logs))

    def _with_rate(self, logs):
        return {**(logs or {}), "scenes/s": self._rate}
