"""Progress of a training run (epoch and step bookkeeping)."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from keras_avssan._internal.checks import check_integer
from keras_avssan.data.scenes.scene_plan import ScenePlan

# Epochs of a training by default.
EPOCHS = 4


class NonFiniteLoss(ValueError):
    """The loss of a training, or a weight after a step, became NaN or infinite.

    Args:
        step: Number of the step, counted from 1.
        loss: Its loss.
        plan: `keras_avssan.data.ScenePlan` of the training.
        batch_size: Scenes per step.
        advice: Further sentences of the message, such as the place of the last checkpoint.
        scenes: Indices of its scenes, where `replay_batch` does not apply; by default they follow
            from the step.

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

    def __init__(
        self,
        step: int,
        loss: float,
        plan: ScenePlan,
        batch_size: int,
        advice: str = "",
        scenes: range | None = None,
    ) -> None:
        self.step = step
        self.loss = loss
        self.scenes = scenes or range((step - 1) * batch_size, step * batch_size)
        self._plan = plan
        what = f"The loss is {loss:.4g}"
        if math.isfinite(loss):
            what += ", but weights are not finite"
        see = (
            f"See them with `keras_avssan.training.replay_batch(model, plan, step={step}, "
            f"batch_size={batch_size})`; a lower"
        )
        super().__init__(
            f"{what} at step {step}: scenes {self.scenes[0]} to {self.scenes[-1]} of the plan with "
            f"seed {plan.seed} and split {plan.split!r}. {'A lower' if scenes else see} learning "
            f"rate often helps.{advice}"
        )

    def describe(self) -> dict[str, Any]:
        """Describes the batch.

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
    """Progress of a training, for the callbacks that watch it."""

    plan: ScenePlan
    batch_size: int  # scenes per step
    steps: int  # in all
    epochs: int  # of equal numbers of steps, or of numbers that differ by one
    schedule: Callable[[int], Any]  # learning rate by the number of steps done
    done: int = 0  # steps before this process
    advice: str = ""  # sentences that follow the message of an error
    epoch: int = 0  # now, counted from 0
    step: int = 0  # the last one, counted from 1
    loss: float = 0.0  # of the last step

    @property
    def steps_per_epoch(self) -> int:
        """Steps that this process does of the longest epoch."""
        return max(map(self.left_of, range(self.epoch_after(self.done), self.epochs)))

    def begin_of(self, epoch: int) -> int:
        """Steps before an epoch, counted from 0."""
        return self.steps * epoch // self.epochs

    def epoch_after(self, steps: int) -> int:
        """The epoch, counted from 0, that follows or continues after so many steps."""
        return ((steps + 1) * self.epochs - 1) // self.steps

    def is_end(self, step: int) -> bool:
        """Whether an epoch ends with a step, counted from 1."""
        return self.begin_of(self.epoch_after(step)) == step

    def done_before(self, epoch: int) -> int:
        """Steps of an epoch, counted from 0, that were done before this process."""
        return max(0, self.done - self.begin_of(epoch))

    def left_of(self, epoch: int) -> int:
        """Steps of an epoch, counted from 0, that this process does."""
        return self.begin_of(epoch + 1) - self.begin_of(epoch) - self.done_before(epoch)

    def step_of(self, batch: int) -> int:
        """Number of a step in the training, from 1, by Keras's number in the epoch, from 0."""
        return self.begin_of(self.epoch) + self.done_before(self.epoch) + batch + 1

    def error(self, step: int, loss: float) -> NonFiniteLoss:
        """Returns the error of a step, counted from 1, that diverged."""
        return NonFiniteLoss(step, loss, self.plan, self.batch_size, self.advice)


def check_lengths(steps: int, epochs: int) -> tuple[int, int]:
    """Refuses numbers of steps and epochs that make no training; returns them as integers."""
    steps = check_integer("steps", steps, least=2)
    epochs = check_integer("epochs", epochs, least=1)
    if steps < epochs:
        raise ValueError(
            f"`epochs` must be from 1 to `steps`. Received: epochs={epochs}, steps={steps}"
        )
    return steps, epochs
