"""Where a training is."""

from dataclasses import dataclass
from typing import Any

from keras_avssan.training.non_finite_loss import NonFiniteLoss


@dataclass
class Course:
    """Where a training is, for those that watch it.

    Args:
        plan: `keras_avssan.data.ScenePlan` of the training.
        batch_size: Scenes a step.
        steps: Steps in all.
        steps_per_epoch: Steps an epoch.
        schedule: Learning rate as a function of the steps done.
        done: Steps done before this process.
        advice: Sentences that follow the message of an error.
        epoch: Epoch now, counted from 0.
        step: Number of the last step, counted from 1.
        loss: Its loss.
    """

    plan: Any
    batch_size: int
    steps: int
    steps_per_epoch: int
    schedule: Any
    done: int = 0
    advice: str = ""
    epoch: int = 0
    step: int = 0
    loss: float = 0.0

    def done_before(self, epoch):
        """Steps of an epoch that were done before this process.

        Args:
            epoch: Number of the epoch, counted from 0, no earlier than the first one of now.
        """
        return max(0, self.done - epoch * self.steps_per_epoch)

    def step_of(self, batch):
        """Number of a step in the whole training, counted from 1.

        Args:
            batch: Its number within the epoch as Keras counts now, from 0.
        """
        begin = self.epoch * self.steps_per_epoch
        return begin + self.done_before(self.epoch) + batch + 1

    def error(self, step, loss):
        """The error of a step that diverged.

        Args:
            step: Its number, counted from 1.
            loss: Its loss.
        """
        return NonFiniteLoss(step, loss, self.plan, self.batch_size, self.advice)
