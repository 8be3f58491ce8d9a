"""The planned scenes that a dataset is made of, however it was transformed since."""

from typing import Any

import keras

from keras_avssan.data.scenes.scene_batches import SceneBatches
from keras_avssan.models.microphones import (
    check_sampling_rate,
    check_spacing,
    match_scenes,
    match_spacing,
)


def find_scenes(dataset: Any):
    """Finds the scenes that a dataset draws from, through all that was done to it.

    Args:
        dataset: What `make_dataset` made, or a dataset of Grain, `tf.data` or PyTorch that was made
            of such; anything else has no scenes.

    Returns:
        Tuple of a list of different `SceneBatches`, and whether they are all that the dataset
        draws from.
    """
    scenes: list[SceneBatches] = []
    complete, seen, waiting = True, set(), [dataset]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        found = part if isinstance(part, SceneBatches) else getattr(part, "scene_batches", None)
        above = () if found is not None else _parents(part)
        if isinstance(found, SceneBatches):
            scenes += [found] if all(found is not one for one in scenes) else []
        elif above:
            waiting += reversed(above)
        else:
            complete = False
    return scenes, complete


def match_dataset(model: Any, dataset: Any):
    """Compares a model with the scenes of a dataset, see `match_scenes`.

    Args:
        model: A `Localizer`.
        dataset: What `fit`, `evaluate` or `predict` is given.

    Returns:
        What `find_scenes` finds.

    Raises:
        ValueError: If sampling rate or spacing differ, and nothing that was done to the dataset has
            mended it; the message names both values.
    """
    scenes, complete = find_scenes(dataset)
    for batches in scenes:
        try:
            match_scenes(model, batches.plan, batches.microphone_spacing)
            continue
        except ValueError:
            if getattr(dataset, "scene_batches", None) is batches:
                raise
        _match_transformed(model, batches.plan, dataset)
    return scenes, complete


def _parents(dataset: Any):
    """What a dataset of Grain, `tf.data` or PyTorch was made of."""
    parents = getattr(dataset, "_parents", None)
    if isinstance(parents, list | tuple):
        return tuple(parents)
    if hasattr(dataset, "element_spec"):
        return tuple(dataset._inputs()) if hasattr(dataset, "_inputs") else ()
    kind = type(dataset).__module__.partition(".")[0]
    inner = getattr(dataset, "dataset", None) if kind == "torch" else None
    return () if inner is None else (inner,)


def _match_transformed(model: Any, plan, dataset: Any) -> None:
    """The same, where recordings may have been resampled, or the spacing added to the inputs."""
    inputs = keras.utils.unpack_x_y_sample_weight(_first_batch(dataset))[0]
    inputs = inputs if isinstance(inputs, dict) else {}
    audio, spacing = inputs.get("audio"), inputs.get("microphone_spacing")
    if audio is None or audio.shape[1] == plan.num_samples:
        check_sampling_rate(model, plan)
    if spacing is None:
        match_spacing(model, plan.microphone_spacing)
    else:
        check_spacing(model, keras.ops.convert_to_numpy(spacing))


def _first_batch(dataset: Any):
    """The first batch of a dataset of any kind."""
    try:
        return dataset[0]
    except TypeError:
        return next(iter(dataset))
