"""Scenes in files: made once, read by any number of workers without Python."""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_avssan._internal.atomic_files import PART_SUFFIX, whole_file, write_json
from keras_avssan._internal.checks import check_integer
from keras_avssan.data.media.tf_audio import import_tensorflow
from keras_avssan.data.scenes.scene_batches import SceneBatches

_FORMAT = "keras-avssan scenes 1"
_LAYOUT = "scenes.json"
# Scenes made at a time: few enough for any memory.
_CHUNK = 8


def write_scenes(
    batches: SceneBatches,
    folder: str | os.PathLike,
    *,
    scenes_per_shard: int = 256,
    shards: Iterable[int] | None = None,
    progress: bool = True,
) -> None:
    """Write the scenes of a plan to TFRecord files, from where an earlier call stopped.

    A file appears whole or not at all; files that are there already are left as they are. With
    `render="device"` a scene of 10 s takes 1.3 MB and its impulse responses, with `render="host"`
    2.6 MB.

    Args:
        batches: `SceneBatches` that are not shuffled; their batch size is of no account.
        folder: Path of a folder that is new, empty, or holds the same scenes, begun.
        scenes_per_shard: Int. Number of scenes in each file but the last, which may hold fewer.
        shards: Numbers from 0 of the files to write, or `None` for all. Several processes may
            write one folder, each with `shards` of its own.
        progress: Bool. Whether to show a progress bar.

    Raises:
        ValueError: An argument is out of range, or the folder holds other files or other scenes.
        ImportError: TensorFlow is missing.

    Example:
        ```python
        write_scenes(SceneBatches(plan, num_scenes=10_000, render="device"), "scenes")
        model.fit(read_scenes("scenes", batch_size=32))
        ```
    """
    import_tensorflow("`write_scenes`")
    check_integer("scenes_per_shard", scenes_per_shard, least=1)
    if batches.shuffle or batches.shard != (0, 1):
        raise ValueError("`batches` must be all of a plan in its order: no `shuffle`, no `shard`.")
    folder = Path(folder)
    layout = _layout(batches, scenes_per_shard)
    paths = _shard_paths(folder, layout)
    chosen = range(len(paths)) if shards is None else sorted(set(shards))
    if not chosen or not 0 <= chosen[0] <= chosen[-1] < len(paths):
        raise ValueError(f"`shards` must be numbers from 0 to {len(paths) - 1}, got {chosen!r}.")
    _prepare(folder, layout)
    for shard in chosen:
        for leftover in folder.glob(f"{paths[shard].name}.*{PART_SUFFIX}"):
            leftover.unlink(missing_ok=True)
    for shard in tqdm(chosen, desc="Scenes", unit="file", disable=not progress):
        if not paths[shard].exists():
            _write_shard(paths[shard], _scenes(batches, shard, scenes_per_shard))


def read_scenes(
    folder: str | os.PathLike,
    batch_size: int = 32,
    *,
    shard: tuple[int, int] = (0, 1),
    repeat: bool = False,
    drop_remainder: bool = False,
    num_workers: int | None = None,
) -> Any:
    """Make a `tf.data.Dataset` of scenes that `write_scenes` wrote.

    The batches are those of `make_dataset`, in the same order. All is done by TensorFlow, so that
    the dataset can be sent to the workers of other processes and machines.

    Args:
        folder: Path of the folder.
        batch_size: Int. Scenes a batch.
        shard: Tuple `(index, count)`. One of several workers reads every `count`-th file, from
            file `index` on.
        repeat: Bool. Whether to go on for ever.
        drop_remainder: Bool. Whether to leave out a last batch that is not full.
        num_workers: Int or `None`. Number of threads that unpack; `None` leaves it to `tf.data`.

    Returns:
        A `tf.data.Dataset` of `(inputs, labels)`.

    Raises:
        ValueError: An argument is out of range, or the folder holds no scenes or not all files.
        ImportError: TensorFlow is missing.

    Example:
        ```python
        dataset = read_scenes("scenes")
        service = tf.data.experimental.service
        shared = service.distribute(service.ShardingPolicy.DYNAMIC, "grpc://dispatcher:5000")
        model.fit(dataset.apply(shared))
        ```
    """
    tf = import_tensorflow("`read_scenes`")
    check_integer("batch_size", batch_size, least=1)
    if num_workers is not None:
        check_integer("num_workers", num_workers, least=1)
    layout = _read_layout(Path(folder))
    paths = _shard_paths(Path(folder), layout)
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ValueError(
            f"'{folder}' lacks {len(missing)} of {len(paths)} files, such as "
            f"'{missing[0].name}': write the scenes to the end first."
        )
    index, count = shard
    if not 0 <= index < count <= len(paths):
        raise ValueError(
            "`shard` must be (index, count) with index < count, and no more shards than the "
            f"{len(paths)} files; got {shard!r}."
        )
    names = [os.fspath(path) for path in paths[index::count]]
    dataset = tf.data.Dataset.from_tensor_slices(names).flat_map(tf.data.TFRecordDataset)
    if repeat:
        dataset = dataset.repeat()
    return (
        dataset.batch(batch_size, drop_remainder)
        .map(_parser(tf, layout), num_workers or tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def _layout(batches, scenes_per_shard):
    """What tells one folder of scenes from another."""
    plan = batches.plan
    inputs, labels = (
        {name: list(shape[1:]) for name, shape in part.items()} for part in batches.shapes
    )
    return {
        "format": _FORMAT,
        "num_scenes": batches.num_scenes,
        "scenes_per_shard": scenes_per_shard,
        "start": batches.start,
        "split": plan.split,
        "seed": plan.seed,
        "sampling_rate": plan.sampling_rate,
        "snr": list(np.broadcast_to(np.asarray(plan.snr, "float64"), 2)),
        "classes": list(plan.classes),
        **_changes(plan),
        "inputs": inputs,
        "labels": labels,
    }


def _changes(plan):
    """Fields from `swap_channels` on that are not left as they are, as JSON has them."""
    fields = dataclasses.fields(plan)
    first = next(i for i, field in enumerate(fields) if field.name == "swap_channels")
    values = {field.name: getattr(plan, field.name) for field in fields[first:]}
    return {
        field.name: json.loads(json.dumps(values[field.name]))
        for field in fields[first:]
        if values[field.name] != field.default
    }


def _read_layout(folder):
    try:
        layout = json.loads((folder / _LAYOUT).read_text())
        if layout["format"] == _FORMAT:
            return layout
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"'{folder}' holds no scenes of `write_scenes`.")


def _prepare(folder, layout):
    """Makes the folder, or checks that it holds these scenes."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _LAYOUT).exists():
        if any(path.suffix != PART_SUFFIX for path in folder.iterdir()):
            raise ValueError(f"'{folder}' holds other files: name a new or empty folder.")
        write_json(folder / _LAYOUT, layout)
    present = _read_layout(folder)
    differing = [name for name in {**layout, **present} if present.get(name) != layout.get(name)]
    if differing:
        name = differing[0]
        raise ValueError(
            f"'{folder}' holds other scenes: `{name}` is {present.get(name)!r} there and "
            f"{layout.get(name)!r} here."
        )


def _shard_paths(folder, layout):
    count = -(-layout["num_scenes"] // layout["scenes_per_shard"])
    return [folder / f"scenes-{number:05d}.tfrecord" for number in range(count)]


def _scenes(batches, shard, scenes_per_shard) -> Iterator[dict[str, np.ndarray]]:
    """The arrays of each scene of a file."""
    first = shard * scenes_per_shard
    count = min(scenes_per_shard, batches.num_scenes - first)
    part = dataclasses.replace(
        batches,
        num_scenes=count,
        start=batches.start + first,
        batch_size=min(_CHUNK, count),
        drop_remainder=False,
    )
    for index in range(len(part)):
        inputs, labels = part[index]
        arrays = {**inputs, **labels}
        for row in range(len(labels["azimuth"])):
            yield {name: array[row] for name, array in arrays.items()}


def _write_shard(path, scenes):
    import tensorflow as tf

    with whole_file(path) as part, tf.io.TFRecordWriter(os.fspath(part)) as writer:
        for scene in scenes:
            writer.write(_serialize(tf, scene))


def _serialize(tf, scene):
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[array.astype("<f4").tobytes()]))
        for name, array in scene.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _parser(tf, layout):
    """Function from serialised scenes to a batch."""
    parts = layout["inputs"], layout["labels"]
    features = {name: tf.io.FixedLenFeature((), tf.string) for part in parts for name in part}

    def parse(serialized):
        packed = tf.io.parse_example(serialized, features)
        return tuple(
            {
                name: tf.reshape(tf.io.decode_raw(packed[name], tf.float32), [-1, *shape])
                for name, shape in part.items()
            }
            for part in parts
        )

    return parse
