"""Learning rate schedules."""

import keras

from keras_avssan._internal.checks import check_integer, check_positive_number


def warmup_cosine(
    learning_rate: float, steps: int, warmup_share: float = 0.05
) -> keras.optimizers.schedules.LearningRateSchedule:
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
