"""Rendered scenes in files: TFRecord for whole data sets, `.npy` for scenes made on demand.

`write_scenes` and `read_scenes` hold what `make_dataset` makes, prompts included, and are read by
`tf.data` alone. `SceneStore` holds mixture and target of each scene, without prompts, and needs no
TensorFlow.
"""

import dataclasses
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_avssan._internal.atomic_files import sha256, whole_file, write_whole
from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import PathLike
from keras_avssan.data.media.tf_audio import import_tensorflow
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.data.scenes.scene_batches import Batch, SceneBatches
from keras_avssan.data.scenes.scene_layout import FORMAT, read_layout, resumable, shard_paths
from keras_avssan.data.scenes.scene_plan import ScenePlan

# Settings that the first folders lack.
_ADDED = ("rooms", "min_separation", "prompt_kinds", "reference_split", "sources")
# Scenes made at a time: few enough for any memory.
_CHUNK = 8

# Of a `SceneStore`.
_SCENES_PER_FILE = 64
_THREADS = 2
_BATCHES_AHEAD = 4


def write_scenes(
    batches: SceneBatches,
    folder: PathLike,
    *,
    scenes_per_shard: int = 256,
    shards: Iterable[int] | None = None,
    progress: bool = True,
) -> None:
    """Writes the scenes of a plan to TFRecord files, from where an earlier call stopped.

    Files are written atomically, and those that are there already are left as they are. With
    `render="device"` a scene of 10 s takes 1.3 MB and its impulse responses, with `render="host"`
    2.6 MB.

    Args:
        batches: `SceneBatches` that are neither shuffled nor sharded; any batch size.
        folder: Path of a folder that is new, empty, or holds the same scenes in progress.
        scenes_per_shard: Number of scenes in each file but the last, which may hold fewer.
        shards: Numbers from 0 of the files to write, or `None` for all. Several processes may write
            one folder, each with `shards` of its own.
        progress: Whether to show a progress bar.

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
        raise ValueError(
            "`batches` must be all of a plan in its order: no `shuffle`, no `shard`. "
            f"Received: shuffle={batches.shuffle}, shard={batches.shard}"
        )
    folder = Path(folder)
    layout = _layout(batches, scenes_per_shard)
    paths = shard_paths(folder, layout)
    chosen = range(len(paths)) if shards is None else sorted(set(shards))
    if not chosen or not 0 <= chosen[0] <= chosen[-1] < len(paths):
        raise ValueError(
            f"`shards` must be numbers from 0 to {len(paths) - 1}. Received: shards={chosen!r}"
        )
    work = resumable(folder)
    if "sources" not in (work.read() or layout):
        layout = {name: layout[name] for name in layout if name not in _ADDED}
    work.start(layout)
    work.remove_parts(paths[shard].name for shard in chosen)
    missing = [shard for shard in chosen if not paths[shard].exists()]
    done = len(chosen) - len(missing)
    with tqdm(
        total=len(chosen), initial=done, desc="Scenes", unit="file", disable=not progress
    ) as bar:
        for shard in missing:
            _write_shard(paths[shard], _scenes(batches, shard, scenes_per_shard))
            bar.update()


def read_scenes(
    folder: PathLike,
    batch_size: int = 32,
    *,
    shard: tuple[int, int] = (0, 1),
    repeat: bool = False,
    drop_remainder: bool = False,
    num_workers: int | None = None,
) -> Any:
    """Makes a `tf.data.Dataset` of scenes that `write_scenes` wrote.

    The batches are those of `make_dataset`, in the same order. All is done by TensorFlow, so that
    the dataset can be sent to the workers of other processes and machines.

    Args:
        folder: Path of the folder.
        batch_size: Scenes a batch.
        shard: `(index, count)`: one of several workers reads every `count`-th file, from file
            `index` on.
        repeat: Whether to repeat without end.
        drop_remainder: Whether to leave out a last batch that is not full.
        num_workers: Number of threads that unpack; `None` leaves it to `tf.data`.

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
    layout = read_layout(Path(folder))
    paths = shard_paths(Path(folder), layout)
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ValueError(
            f"`folder` lacks {len(missing)} of {len(paths)} files, such as "
            f"'{missing[0].name}': resume `write_scenes` first. Received: folder='{folder}'"
        )
    index, count = shard
    if not 0 <= index < count <= len(paths):
        raise ValueError(
            "`shard` must be (index, count) with index < count, and no more shards than the "
            f"{len(paths)} files. Received: shard={shard!r}"
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


class SceneStore:
    """Rendered scenes of a plan on disk, in half precision, rendered when they are first read.

    A file holds mixture and target of 64 scenes, and is written atomically. Several processes may
    share a folder: each reads the files that another has rendered. Scenes beyond the limit are
    rendered each time they are read, to the same values.

    Args:
        folder: Folder of the files; made when something is kept.
        plan: `keras_avssan.data.ScenePlan`.
        max_bytes: Limit of what is kept.

    Example:
        ```python
        store = SceneStore("results/scenes", plan, max_bytes=10**9)
        fit_scenes(model, plan, steps=1000, make=store.make_dataset)
        ```
    """

    def __init__(self, folder: PathLike, plan: ScenePlan, max_bytes: float) -> None:
        self.folder = Path(folder)
        self.plan = plan
        scene_bytes = 2 * 2 * plan.num_samples * np.dtype("float16").itemsize
        self.num_files = int(max_bytes // (scene_bytes * _SCENES_PER_FILE))
        self._lock = threading.Lock()

    def make_dataset(
        self,
        plan: ScenePlan,
        num_scenes: int,
        batch_size: int = 32,
        *,
        loader: str | None = None,
        render: str | None = None,
        **prompts: Any,
    ) -> Any:
        """Makes a `grain.IterDataset` of scenes of the store; other arguments as of `make_dataset`.

        `plan` is the store's, or one that differs in `prompt_kinds` alone. `loader` and `render`
        are ignored: the loader is Grain under every backend, and scenes are rendered on the host.
        """
        import grain

        batches = _StoredBatches(plan, num_scenes, batch_size, store=self, **prompts)
        dataset = grain.MapDataset.range(len(batches)).map(batches.__getitem__)
        return dataset.to_iter_dataset(
            grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_BATCHES_AHEAD)
        )

    def read(self, indices: Iterable[int]) -> dict[str, np.ndarray]:
        """Reads `audio` and `target` of scenes by index, float32 (scenes, samples, 2)."""
        indices = np.asarray(list(indices))
        scenes = np.empty((len(indices), 2, self.plan.num_samples, 2), "float32")
        files = indices // _SCENES_PER_FILE
        for number in np.unique(files):
            rows = files == number
            if number < self.num_files:
                scenes[rows] = self._file(number)[indices[rows] % _SCENES_PER_FILE]
            else:
                scenes[rows] = self._render(indices[rows])
        return {"audio": scenes[:, 0], "target": scenes[:, 1]}

    def delete(self) -> None:
        """Deletes the files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, number: int) -> np.ndarray:
        path = self.folder / f"{number:06d}.npy"
        scenes = _open(path)
        if scenes is None:
            with self._lock:  # of threads that load ahead one renders, and the others wait
                scenes = _open(path)
                if scenes is None:
                    first = number * _SCENES_PER_FILE
                    scenes = self._render(range(first, first + _SCENES_PER_FILE))
                    self.folder.mkdir(parents=True, exist_ok=True)
                    write_whole(path, lambda file: np.save(file, scenes))
        return scenes

    def _render(self, indices: Iterable[int]) -> np.ndarray:
        scenes = [self.plan[int(index)] for index in indices]
        arrays = render_scenes(self.plan, scenes, interferer_alone=False)
        return np.stack([arrays["audio"], arrays["target"]], axis=1).astype("float16")


def _layout(batches: SceneBatches, scenes_per_shard: int) -> dict[str, Any]:
    """Everything that the scenes of a folder depend on."""
    plan = batches.plan
    inputs, labels = (
        {name: list(shape[1:]) for name, shape in part.items()} for part in batches.shapes
    )
    return {
        "format": FORMAT,
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
        "rooms": list(plan.rooms) if plan.rooms else None,
        "min_separation": plan.min_separation,
        "prompt_kinds": list(plan.prompt_kinds),
        "reference_split": plan.reference_split,
        "sources": _digest_of_sources(plan),
    }


def _digest_of_sources(plan: ScenePlan) -> str:
    """Digest of clips, pictures, directions, and the responses of the first room."""
    items = sorted(map(repr, (*plan.catalog.clips, *plan.catalog.pictures)))
    bank = plan.bank
    return sha256("\n".join(items), np.asarray(bank.azimuths), np.asarray(bank.rirs[0]))


def _changes(plan: ScenePlan) -> dict[str, Any]:
    """Fields from `swap_channels` on that differ from their defaults, as in JSON."""
    fields = dataclasses.fields(plan)
    first = next(i for i, field in enumerate(fields) if field.name == "swap_channels")
    values = {field.name: getattr(plan, field.name) for field in fields[first:]}
    return {
        field.name: json.loads(json.dumps(values[field.name]))
        for field in fields[first:]
        if values[field.name] != field.default
    }


def _scenes(
    batches: SceneBatches, shard: int, scenes_per_shard: int
) -> Iterator[dict[str, np.ndarray]]:
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


def _write_shard(path: Path, scenes: Iterable[dict[str, np.ndarray]]) -> None:
    import tensorflow as tf

    with whole_file(path) as part, tf.io.TFRecordWriter(os.fspath(part)) as writer:
        for scene in scenes:
            writer.write(_serialize(tf, scene))


def _serialize(tf: Any, scene: dict[str, np.ndarray]) -> bytes:
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[array.astype("<f4").tobytes()]))
        for name, array in scene.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _parser(tf: Any, layout: dict[str, Any]) -> Callable[[Any], Any]:
    """Function from serialised scenes to a batch."""
    parts = layout["inputs"], layout["labels"]
    features = {name: tf.io.FixedLenFeature((), tf.string) for part in parts for name in part}

    def parse(serialized: Any) -> tuple[dict[str, Any], ...]:
        packed = tf.io.parse_example(serialized, features)
        return tuple(
            {
                name: tf.reshape(tf.io.decode_raw(packed[name], tf.float32), [-1, *shape])
                for name, shape in part.items()
            }
            for part in parts
        )

    return parse


def _open(path: Path) -> np.ndarray | None:
    """The scenes of a file, or `None` where it is absent or damaged."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None


@dataclasses.dataclass(frozen=True, eq=False)
class _StoredBatches(SceneBatches):
    """`SceneBatches` whose mixtures and targets come from a `SceneStore`."""

    store: SceneStore | None = None

    def __getitem__(self, index: int) -> Batch:
        indices = self._scene_indices(int(index))
        scenes = [self.plan[i] for i in indices]
        rendered = self.store.read(indices)  # type: ignore[union-attr]
        labels = {
            "azimuth": np.array([scene.azimuth for scene in scenes], "float32"),
            "interferer_azimuth": np.array([s.interferer_azimuth for s in scenes], "float32"),
            "target": rendered["target"],
        }
        return {"audio": rendered["audio"], **self._prompts(scenes)}, labels
