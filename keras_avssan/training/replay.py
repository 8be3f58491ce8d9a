"""Replay of a batch of a training, from a checkpoint."""

from typing import Any

import keras
import numpy as np

from keras_avssan._internal.types import PathLike
from keras_avssan.models.fitting.recorded_training import read_record
from keras_avssan.models.fitting.training_record import with_steps
from keras_avssan.training.checkpoint_folder import (
    checkpoint_numbers,
    checkpoint_path,
    read_checkpoint,
)
from keras_avssan.training.fit_scenes import scene_dataset
from keras_avssan.training.training_state import read_random_state, restore_random_state


def replay_batch(model: Any, train_plan, step, *, batch_size: int = 32, **options):
    """Makes the batch of a step of `fit_scenes` again, and computes its loss.

    The loss is that of the model as it is, in training mode; nothing of the model changes. For the
    loss that the training had, bring the model to the checkpoint before with `load_checkpoint`.

    Args:
        model: The `Localizer`.
        train_plan: The `keras_avssan.data.ScenePlan` of the training.
        step: Number of the step, counted from 1.
        batch_size: Scenes a step.
        **options: `loader`, `render`, `prompt_embeddings`, `text_embeddings` and `make`, as
            `fit_scenes` was given.

    Returns:
        Tuple of inputs, labels and loss: two dicts of NumPy arrays and a float.

    Raises:
        ValueError: If `step` is less than 1.

    Example:
        >>> load_checkpoint(model, "model.checkpoints")
        >>> inputs, labels, loss = replay_batch(model, plan, step=17)
    """
    if step < 1:
        raise ValueError(f"`step` must be at least 1. Received: step={step}")
    start = (step - 1) * batch_size
    dataset = scene_dataset(model, train_plan, batch_size, batch_size, start=start, **options)
    inputs, labels = keras.tree.map_structure(np.asarray, next(iter(dataset)))
    if not model.compiled:
        model.compile()
    random = read_random_state()
    with keras.StatelessScope():  # no random generator or moving average is advanced
        outputs = model(inputs, training=True)
        loss = model.compute_loss(inputs, labels, outputs)
    restore_random_state(random)
    return inputs, labels, float(keras.ops.convert_to_numpy(loss))


def load_checkpoint(model: Any, folder: PathLike, step=None):
    """Brings a model to a checkpoint of its training, and the random generators with it.

    Args:
        model: A `Localizer` of the same configuration.
        folder: Folder of the checkpoints.
        step: Number of steps done; the last one that is there if not given.

    Returns:
        The number of steps done.

    Raises:
        ValueError: If there is no such checkpoint, it is damaged, or of another model.

    Example:
        >>> load_checkpoint(model, "model.checkpoints")
        1200
    """
    numbers = checkpoint_numbers(folder)
    if not numbers or step not in (None, *numbers):
        raise ValueError(
            f"'{folder}' has checkpoints of the steps {numbers}. Received: step={step}"
        )
    state = read_checkpoint(checkpoint_path(folder, numbers[-1] if step is None else step))
    state.apply_weights(model)
    record = read_record(folder)
    model.training_record = record and with_steps(record, state.step)
    restore_random_state(state.random)
    return state.step
