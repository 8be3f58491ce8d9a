"""Datasets of rendered scenes for `fit` and `evaluate`."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_avssan._internal.checks import check_choice, check_integer
from keras_avssan.data.scenes.scene_batches import SceneBatches
from keras_avssan.data.scenes.scene_plan import ScenePlan

_LOADERS = ("tf", "grain")


def make_dataset(
    plan: ScenePlan,
    num_scenes: int,
    batch_size: int = 32,
    *,
    start: int = 0,
    loader: str = "tf",
    prompt: str = "image",
    image_size: int | tuple[int, int] = (64, 64),
    prompt_embeddings: np.ndarray | Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    shuffle: bool = False,
    repeat: bool = False,
    drop_remainder: bool = False,
    num_workers: int | None = None,
    render: str = "host",
    shard: tuple[int, int] = (0, 1),
    microphone_spacing: float | None = None,
) -> Any:
    """Makes a dataset of rendered scenes.

    Both loaders yield the same arrays. An element is a batch `(inputs, labels)` of float32:
    `inputs` holds `audio` `(batch, samples, 2)` and `images` `(batch, height, width, 3)` in
    [0, 1], or `prompt_embedding` `(batch, dimensions)`; where the plan's `prompt_kinds` have
    `"recording"`, also `prompt_audio` `(batch, samples)` and `prompt_audio_weight` `(batch,)`, 1
    where the recording is the prompt and 0 elsewhere; `labels` holds `azimuth` `(batch,)` in
    degrees, `target` `(batch, samples, 2)` and `interferer_azimuth` `(batch,)`.

    With `render="device"`, `dry_audio` `(batch, 2, samples)` (target and interferer as recorded),
    `rirs` `(batch, 2, 2, length)` (their responses at both microphones) and `snr` `(batch,)` in dB
    stand in place of `audio` and of `target`. `AVSSAN` renders them in `fit`, `evaluate` and
    `predict` within the compiled step, to the same scenes; other models put
    `keras_avssan.layers.SceneRenderer` in front.

    To evaluate at a fixed SNR, pass `dataclasses.replace(plan, snr=0.0)`: the same scenes
    otherwise.

    Args:
        plan: `ScenePlan`.
        num_scenes: Number of scenes.
        batch_size: Scenes a batch.
        start: Index of the first scene in the plan.
        loader: `"tf"` for a `tf.data.Dataset` (works with every Keras backend) or `"grain"` for a
            `grain.MapDataset`, which never imports TensorFlow.
        prompt: `"image"`, or `"embedding"` for embeddings computed once for all.
        image_size: Side of a square or `(height, width)`, in pixels.
        prompt_embeddings: For `prompt="embedding"`: shape
            `(len(plan.catalog.pictures), dimensions)` in the order of `plan.catalog.pictures`, or a
            mapping from `Picture.id` to vector.
        text_embeddings: Mapping from class name to a vector of the same dimension, where the plan's
            `prompt_kinds` have `"text"`; needs `prompt="embedding"`.
        shuffle: Whether to permute the scenes by the plan's seed, differently in each round of
            `repeat`. Scenes are random without it already.
        repeat: Whether to repeat without end.
        drop_remainder: Whether to leave out a last batch that is not full.
        num_workers: Number of threads that render; `None` leaves it to the loader. For worker
            processes, use Grain's own `dataset.to_iter_dataset().mp_prefetch(…)`: all that a
            dataset holds can be pickled.
        render: `"host"` renders with NumPy where the data are loaded, `"device"` leaves it to the
            model.
        shard: `(index, count)`: one of several workers takes every `count`-th batch, from batch
            `index` on; all shards together are the dataset without `shard`. Where workers step
            together, let `num_scenes` be a multiple of `batch_size * count`.
        microphone_spacing: Distance between the microphones in metres that the model receives as
            the input `microphone_spacing` `(batch,)`, for models of another spacing. `None` leaves
            the input out: the model's own spacing must be the bank's then.

    Returns:
        A `tf.data.Dataset`; or a `grain.MapDataset`, with `num_workers` a `grain.IterDataset`.

    Raises:
        ValueError: An argument is out of range.
        ImportError: The loader's package is missing.

    Example:
        ```python
        plan = ScenePlan(SyntheticClasses(), RIRBank.build(100), split="train")
        model.fit(make_dataset(plan, num_scenes=3200, loader="grain"))
        ```
    """
    check_loader(loader, num_workers)
    batches = SceneBatches(
        plan,
        num_scenes,
        batch_size,
        start=start,
        prompt=prompt,
        image_size=image_size,
        prompt_embeddings=prompt_embeddings,
        text_embeddings=text_embeddings,
        shuffle=shuffle,
        drop_remainder=drop_remainder,
        render=render,
        shard=shard,
        microphone_spacing=microphone_spacing,
    )
    dataset = load_batches(batches, loader, repeat, num_workers)
    dataset.scene_batches = batches  # `fit` records what it trains on
    return dataset


def check_loader(loader: str, num_workers: int | None = None) -> None:
    """Refuses unknown loaders, and a number of workers below one."""
    check_choice("loader", loader, _LOADERS)
    if num_workers is not None:
        check_integer("num_workers", num_workers, least=1)


def load_batches(
    batches: Any, loader: str, repeat: bool = False, num_workers: int | None = None
) -> Any:
    """A dataset of batches by index, with `len` and `shapes` as `SceneBatches` has them."""
    check_loader(loader, num_workers)
    make = _tf_dataset if loader == "tf" else _grain_dataset
    return make(batches, repeat, num_workers)


def _tf_dataset(batches: Any, repeat: bool, num_workers: int | None) -> Any:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            '`loader="tf"` needs TensorFlow: `pip install tensorflow`, or use `loader="grain"`.'
        ) from error

    shapes = batches.shapes
    num_arrays = sum(len(part) for part in shapes)

    def render(index: np.ndarray) -> list[np.ndarray]:
        return [array for part in batches[int(index)] for array in part.values()]

    def map_index(index: Any) -> tuple[dict[str, Any], ...]:
        arrays = iter(tf.numpy_function(render, [index], [tf.float32] * num_arrays))
        return tuple(
            {name: tf.ensure_shape(next(arrays), shape) for name, shape in part.items()}
            for part in shapes
        )

    indices = tf.data.Dataset.counter() if repeat else tf.data.Dataset.range(len(batches))
    return indices.map(
        map_index, num_parallel_calls=num_workers or tf.data.AUTOTUNE, deterministic=True
    ).prefetch(tf.data.AUTOTUNE)


def _grain_dataset(batches: Any, repeat: bool, num_workers: int | None) -> Any:
    try:
        import grain
    except ImportError as error:
        raise ImportError('`loader="grain"` needs Grain: `pip install grain`.') from error

    num_batches = sys.maxsize if repeat else len(batches)
    dataset = grain.MapDataset.range(num_batches).map(batches.__getitem__)
    if num_workers is None:
        return dataset
    return dataset.to_iter_dataset(grain.ReadOptions(num_threads=num_workers))
