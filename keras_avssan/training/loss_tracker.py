"""The loss of a single step, beside the mean over the epoch that Keras reports."""

import contextlib

import keras

STEP_LOSS = "step_loss"


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

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.last = self.add_variable((), "zeros", aggregation="mean", name="last")

    def update_state(self, values, sample_weight=None):
        """Takes the loss of a step."""
        super().update_state(values, sample_weight=sample_weight)
        self.last.assign(keras.ops.cast(keras.ops.mean(values), self.last.dtype))

    def result(self):
        """The mean, and the last loss."""
        return {self.name: super().result(), STEP_LOSS: self.last + 0.0}


@contextlib.contextmanager
def tracked_loss(model):
    """Lets a model report `step_loss` in the logs of its steps.

    Args:
        model: A compiled Keras model.
    """
    before = model._loss_tracker
    if before is None:
        yield
        return
    _replace(model, LossTracker(name="loss"))
    try:
        yield
    finally:
        _replace(model, before)
        model.train_function = model.test_function = None  # they report `step_loss`


def _replace(model, tracker):
    """Sets the tracker as `compile` does: a metric set otherwise would be counted twice."""
    object.__setattr__(model, "_loss_tracker", tracker)
