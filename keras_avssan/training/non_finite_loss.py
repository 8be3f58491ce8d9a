"""The error of a training that diverged."""

import math
from dataclasses import asdict


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

    def __init__(self, step, loss, plan, batch_size, advice=""):
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
