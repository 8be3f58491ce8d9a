"""Training scenes that are rendered once, for all systems."""

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_avssan._internal.atomic_files import write_whole
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.data.scenes.scene_batches import SceneBatches

_SCENES_PER_FILE = 64
_THREADS = 2
_BATCHES_AHEAD = 4


class SceneStore:
    """Rendered scenes of a plan on disk, in half precision, made when they are first asked for.

    A file holds mix and target of 64 scenes, and appears whole or not at all. Several processes
    may share a folder: what one has rendered the others read. Scenes beyond the limit are
    rendered anew each time, to the same values.

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

    def __init__(self, folder, plan, max_bytes):
        self.folder = Path(folder)
        self.plan = plan
        scene_bytes = 2 * 2 * plan.num_samples * np.dtype("float16").itemsize
        self.num_files = int(max_bytes // (scene_bytes * _SCENES_PER_FILE))
        self._lock = threading.Lock()

    def make_dataset(self, plan, num_scenes, batch_size=32, *, loader=None, render=None, **prompts):
        """Makes a dataset of scenes of the store, as `make_dataset` does.

        Args:
            plan: The plan of the store, or one that differs in `prompt_kinds` alone.
            num_scenes: Number of scenes.
            batch_size: Scenes a batch.
            loader: Of no influence: it is Grain, under every backend.
            render: Of no influence.
            **prompts: What asks, see `make_dataset`.

        Returns:
            A `grain.IterDataset`.
        """
        import grain

        batches = _StoredBatches(plan, num_scenes, batch_size, store=self, **prompts)
        dataset = grain.MapDataset.range(len(batches)).map(batches.__getitem__)
        return dataset.to_iter_dataset(
            grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_BATCHES_AHEAD)
        )

    def read(self, indices):
        """Mix and target of scenes.

        Args:
            indices: Indices of the scenes in the plan.

        Returns:
            Dict with `audio` and `target`, float32 arrays of shape (scenes, samples, 2).
        """
        indices = np.asarray(indices)
        scenes = np.empty((len(indices), 2, self.plan.num_samples, 2), "float32")
        files = indices // _SCENES_PER_FILE
        for number in np.unique(files):
            rows = files == number
            if number < self.num_files:
                scenes[rows] = self._file(number)[indices[rows] % _SCENES_PER_FILE]
            else:
                scenes[rows] = self._render(indices[rows])
        return {"audio": scenes[:, 0], "target": scenes[:, 1]}

    def delete(self):
        """Deletes the files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, number):
        path = self.folder / f"{number:06d}.npy"
        scenes = _open(path)
        if scenes is None:
            with self._lock:  # of threads that load ahead one renders, and the others wait
                scenes = _open(path)
                if scenes is None:
                    first = number * _SCENES_PER_FILE
                    scenes = self._render(range(first, first + _SCENES_PER_FILE))
                    self._write(path, scenes)
        return scenes

    def _render(self, indices):
        scenes = [self.plan[int(index)] for index in indices]
        arrays = render_scenes(self.plan, scenes, interferer_alone=False)
        return np.stack([arrays["audio"], arrays["target"]], axis=1).astype("float16")

    def _write(self, path, scenes):
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda file: np.save(file, scenes))


def _open(path):
    """The scenes of a file, or `None` where it is absent or damaged."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None


@dataclass(frozen=True, eq=False)
class _StoredBatches(SceneBatches):
    """`SceneBatches` whose mixes and targets come from a `SceneStore`."""

    store: SceneStore | None = None

    def __getitem__(self, index):
        indices = self._scene_indices(int(index))
        scenes = [self.plan[i] for i in indices]
        rendered = self.store.read(indices)  # type: ignore[union-attr]
        labels = {
            "azimuth": np.array([scene.azimuth for scene in scenes], "float32"),
            "interferer_azimuth": np.array([s.interferer_azimuth for s in scenes], "float32"),
            "target": rendered["target"],
        }
        return {"audio": rendered["audio"], **self._prompts(scenes)}, labels
