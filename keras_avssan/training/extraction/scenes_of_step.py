"""The scenes of the steps of a training on one or several plans."""

from collections.abc import Sequence
from typing import Any

from keras_avssan.data.scenes.scene_plan import ScenePlan


def scenes_of_step(
    plans: Sequence[ScenePlan], step: int, batch_size: int
) -> tuple[ScenePlan, range]:
    """The plan of a step, counted from 0, and the indices of its scenes."""
    turn, which = divmod(step, len(plans))
    return plans[which], range(turn * batch_size, (turn + 1) * batch_size)


def as_plans(plan: Any) -> tuple[ScenePlan, ...]:
    """One or several plans as a tuple; a TypeError for anything else."""
    plans = (plan,) if isinstance(plan, ScenePlan) else plan
    listed = isinstance(plans, (list, tuple)) and len(plans) > 0
    if not listed or not all(isinstance(one, ScenePlan) for one in plans):
        raise TypeError(
            f"`plan` must be a ScenePlan or a non-empty list of them. Received: plan={plan!r}"
        )
    return tuple(plans)
