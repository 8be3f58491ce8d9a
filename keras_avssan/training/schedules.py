"""Learning rate schedules."""

from typing import TypeAlias

import keras

from keras_avssan._internal.checks import check_integer, check_positive_number

Schedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule


def warmup_cosine(learning_rate: float, steps: int, warmup_share: float = 0.05) -> Schedule:
    """Learning rate that rises linearly, then falls to zero along a cosine.

    Args:
        learning_rate: Highest learning rate.
        steps: Number of training steps in all.
        warmup_share: Share of the steps that the rise takes.

    Returns:
        A Keras learning rate schedule.

    Raises:
        ValueError: If `steps` is less than 2 or `learning_rate` is not positive.

    Example:
        >>> model.compile(keras.optimizers.AdamW(warmup_cosine(3e-3, steps=1000)))
    """
    steps = check_integer("steps", steps, least=2)
    check_positive_number("learning_rate", learning_rate)
    warmup = max(1, round(warmup_share * steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=1e-3 * learning_rate,
        decay_steps=steps - warmup,
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )


def compile_with_schedule(model: keras.Model, learning_rate: float | None, steps: int) -> Schedule:
    """Compiles a model with its own optimizer, and all else as it was; returns the schedule."""
    optimizer = model.default_optimizer()
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    schedule = warmup_cosine(rate if learning_rate is None else learning_rate, steps)
    config = {**optimizer.get_config(), "learning_rate": schedule}
    optimizer = type(optimizer).from_config(config)
    kept = dict(model._compile_config.config) if model.compiled else {}
    model.compile(**{**kept, "optimizer": optimizer})
    return schedule
