"""Progress of a training run (epoch and step bookkeeping)."""

import math
from dataclasses import asdict, dataclass
from typing import Any


class NonFiniteLoss(ValueError):
    """The loss of a training, or a weight after a step, became NaN or infinite.

    Args:
        step: Number of the step, counted from 1.
        loss: Its loss.
        plan: `keras_avssan.data.ScenePlan` of the training.
        batch_size: Scenes a step.
        advice: Sentences that follow, such as where the last checkpoint is.

    Attributes:
        step: Number of the step, counted from 1.
        loss: Its loss.
        scenes: `range` of the indices of its scenes in the plan.

    Example:
        >>> try:
        ...     fit_scenes(model, plan, steps=1000, batch_size=32, learning_rate=10.0)
        ... except NonFiniteLoss as error:
        ...     inputs, labels, loss = replay_batch(model, plan, error.step, batch_size=32)
    """

    def __init__(self, step, loss, plan, batch_size: int, advice: str = "") -> None:
        self.step = step
        self.loss = loss
        self.scenes = range((step - 1) * batch_size, step * batch_size)
        self._plan = plan
        what = f"The loss is {loss:.4g}"
        if math.isfinite(loss):
            what += ", but weights are not finite"
        super().__init__(
            f"{what} at step {step}: scenes {self.scenes[0]} to {self.scenes[-1]} of the plan with "
            f"seed {plan.seed} and split {plan.split!r}. See them with "
            f"`keras_avssan.training.replay_batch(model, plan, step={step}, "
            f"batch_size={batch_size})`; a lower learning rate often helps.{advice}"
        )

    def describe(self):
        """All about the batch.

        Returns:
            Dict that JSON can hold, with one entry a scene in `scenes`.
        """
        return {
            "step": self.step,
            "loss": str(self.loss),
            "seed": self._plan.seed,
            "split": self._plan.split,
            "batch_size": len(self.scenes),
            "message": str(self),
            "scenes": [
                {"index": index, "scene": asdict(self._plan[index])} for index in self.scenes
            ],
        }


@dataclass
class Course:
    """Progress of a training, for those that watch it.

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

    def done_before(self, epoch: int):
        """Steps of an epoch that were done before this process.

        Args:
            epoch: Number of the epoch, counted from 0, no earlier than the first one of now.
        """
        return max(0, self.done - epoch * self.steps_per_epoch)

    def step_of(self, batch: Any):
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
