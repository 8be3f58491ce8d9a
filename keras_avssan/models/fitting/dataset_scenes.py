"""The planned scenes behind a dataset, found through its transformations."""

from typing import TYPE_CHECKING, Any

import keras

from keras_avssan.data.scenes.scene_batches import SceneBatches
from keras_avssan.models.microphones import (
    check_sampling_rate,
    check_spacing,
    match_scenes,
    match_spacing,
)

if TYPE_CHECKING:
    from keras_avssan.data.scenes.scene_plan import ScenePlan


def find_scenes(dataset: Any) -> tuple[list[SceneBatches], bool]:
    """Finds the scenes that a dataset draws from, and whether they are all of its data.

    Transformations of Grain, `tf.data` and PyTorch are followed back; other data have no scenes.
    """
    scenes: list[SceneBatches] = []
    seen: set[int] = set()
    complete, waiting = True, [dataset]
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


def match_dataset(model: Any, dataset: Any) -> tuple[list[SceneBatches], bool]:
    """Refuses a dataset whose scenes do not fit a model, see `match_scenes`; returns its scenes.

    Transformations may have resampled the recordings, or added the spacing to the inputs.
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


def _parents(dataset: Any) -> tuple[Any, ...]:
    """The datasets of Grain, `tf.data` or PyTorch that a dataset was made of."""
    parents = getattr(dataset, "_parents", None)
    if isinstance(parents, list | tuple):
        return tuple(parents)
    if hasattr(dataset, "element_spec"):
        return tuple(dataset._inputs()) if hasattr(dataset, "_inputs") else ()
    kind = type(dataset).__module__.partition(".")[0]
    inner = getattr(dataset, "dataset", None) if kind == "torch" else None
    return () if inner is None else (inner,)


def _match_transformed(model: Any, plan: "ScenePlan", dataset: Any) -> None:
    """Checks the first batch, which may be resampled, or have the spacing among its inputs."""
    inputs = keras.utils.unpack_x_y_sample_weight(_first_batch(dataset))[0]
    inputs = inputs if isinstance(inputs, dict) else {}
    audio, spacing = inputs.get("audio"), inputs.get("microphone_spacing")
    if audio is None or audio.shape[1] == plan.num_samples:
        check_sampling_rate(model, plan)
    if spacing is None:
        match_spacing(model, plan.microphone_spacing)
    else:
        check_spacing(model, keras.ops.convert_to_numpy(spacing))


def _first_batch(dataset: Any) -> Any:
    """The first batch of a dataset of any kind."""
    try:
        return dataset[0]
    except TypeError:
        return next(iter(dataset))
