"""Validation on what a model is trained on, which says little."""

import warnings

from keras_avssan._internal.one_line import count
from keras_avssan.models.fitting.recorded_training import describe_plan

_KINDS = {"rooms": "rooms", "clips": "recordings", "pictures": "pictures"}
_HOW = {
    "rooms": 'other rooms of the bank (`ScenePlan(..., rooms=bank.part("validation"))`, and '
    '`rooms=bank.part("train")` in training)',
    "clips": "another split",
    "pictures": "another split",
}


def warn_of_overlap(model, record, plan):
    """Warns where scenes that validate hold something of the training.

    Args:
        model: The model that is trained.
        record: `TrainingRecord` of the training alone.
        plan: `keras_avssan.data.ScenePlan` that validates.
    """
    own = describe_plan(model, plan)
    sets = {kind: (getattr(own, kind), getattr(record, kind)) for kind in _KINDS}
    shared = {kind: (len(mine & theirs), len(mine)) for kind, (mine, theirs) in sets.items()}
    found = {kind: numbers for kind, numbers in shared.items() if numbers[0]}
    if not found:
        return
    numbers = ", ".join(
        f"{some} of {count(every, _KINDS[kind].removesuffix('s'))}"
        for kind, (some, every) in found.items()
    )
    advice = " and ".join(dict.fromkeys(_HOW[kind] for kind in found))
    warnings.warn(
        f"`validation_plan` draws from what the training draws from: {numbers}. Its scores do not "
        f"tell how well the model does on what it has not heard or seen. Give it {advice}; "
        "`plan.room_range` tells the rooms of a plan.",
        stacklevel=3,
    )
