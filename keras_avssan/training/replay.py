"""Replay of a training batch from a checkpoint."""

from typing import Any

import keras
import numpy as np

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import PathLike
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.models.fitting.recorded_training import read_record
from keras_avssan.models.fitting.training_record import with_steps
from keras_avssan.training.checkpoint_folder import (
    checkpoint_numbers,
    checkpoint_path,
    read_checkpoint,
)
from keras_avssan.training.fit_scenes import scene_dataset
from keras_avssan.training.training_state import read_random_state, restore_random_state


def replay_batch(
    model: keras.Model, train_plan: ScenePlan, step: int, *, batch_size: int = 32, **options: Any
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """Makes the batch of a step of `fit_scenes` again, and computes its loss.

    The loss is that of the model as it is, in training mode; the model does not change. For the
    loss in the training, load the checkpoint before the step with `load_checkpoint`.

    Args:
        model: The `Localizer`.
        train_plan: The `keras_avssan.data.ScenePlan` of the training.
        step: Number of the step, counted from 1.
        batch_size: Scenes per step.
        **options: `loader`, `render`, `prompt_embeddings`, `text_embeddings` and `make`, as
            passed to `fit_scenes`.

    Returns:
        Tuple of inputs, labels and loss: two dicts of NumPy arrays and a float.

    Raises:
        ValueError: If `step` is less than 1.

    Example:
        >>> load_checkpoint(model, "model.checkpoints")
        >>> inputs, labels, loss = replay_batch(model, plan, step=17)
    """
    step = check_integer("step", step, least=1)
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


def load_checkpoint(model: keras.Model, folder: PathLike, step: int | None = None) -> int:
    """Restores a model, and the random generators, from a checkpoint of its training.

    Args:
        model: A `Localizer` of the same configuration.
        folder: Folder of the checkpoints.
        step: Number of steps done; by default that of the last checkpoint.

    Returns:
        The number of steps done.

    Raises:
        ValueError: If there is no such checkpoint, or it is damaged or of another model.

    Example:
        >>> load_checkpoint(model, "model.checkpoints")
        1200
    """
    numbers = checkpoint_numbers(folder)
    if not numbers or step not in (None, *numbers):
        raise ValueError(
            f"`step` must be one of the checkpoints in '{folder}', {numbers}. Received: step={step}"
        )
    state = read_checkpoint(checkpoint_path(folder, numbers[-1] if step is None else step))
    state.apply_weights(model)
    record = read_record(folder)
    model.training_record = record and with_steps(record, state.step)
    restore_random_state(state.random)
    return state.step
