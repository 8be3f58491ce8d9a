"""Batches of rendered scenes by index, which every loader wraps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from keras_avssan._internal.checks import check_choice, check_integer, check_positive_number
from keras_avssan._internal.one_line import count, one_line
from keras_avssan._internal.types import Shape
from keras_avssan.data.media.image_io import image_size
from keras_avssan.data.scenes.rendering import (
    check_device_rendering,
    crop_clip,
    load_dry_scenes,
    render_scenes,
)
from keras_avssan.data.scenes.scene import Scene
from keras_avssan.data.scenes.scene_plan import ScenePlan

Batch: TypeAlias = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
_Shapes: TypeAlias = dict[str, Shape]
_PROMPTS = ("image", "embedding")
_RENDER = ("host", "device")


@dataclass(frozen=True, eq=False)
class SceneBatches:
    """`batches[b]` is batch `b` of a plan's scenes as NumPy arrays, a pure function of `b`.

    Indices run on beyond `len(batches)`, into the next rounds over the same scenes.

    Args:
        plan: `ScenePlan`.
        num_scenes: Number of scenes of a round.
        batch_size: Scenes a batch.
        start: Index of the first scene in the plan.
        prompt: `"image"` or `"embedding"`.
        image_size: Side of a square or `(height, width)`, in pixels.
        prompt_embeddings: For `prompt="embedding"`; see `make_dataset`.
        text_embeddings: For plans with the prompt kind `"text"`; see `make_dataset`.
        shuffle: Whether to permute the scenes, differently in each round.
        drop_remainder: Whether to leave out a last batch that is not full.
        render: `"host"` or `"device"`; see `make_dataset`.
        shard: `(index, count)`: take every `count`-th batch, from batch `index` on.
        microphone_spacing: Distance in metres, an input of the model.

    Raises:
        ValueError: An argument is out of range.

    Example:
        ```python
        inputs, labels = SceneBatches(plan, num_scenes=64, batch_size=32)[0]
        ```
    """

    plan: ScenePlan
    num_scenes: int
    batch_size: int = 32
    start: int = 0
    prompt: str = "image"
    image_size: int | tuple[int, int] = (64, 64)
    prompt_embeddings: np.ndarray | Mapping[str, np.ndarray] | None = None
    text_embeddings: Mapping[str, np.ndarray] | None = None
    shuffle: bool = False
    drop_remainder: bool = False
    render: str = "host"
    shard: tuple[int, int] = (0, 1)
    microphone_spacing: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("num_scenes", 1), ("batch_size", 1), ("start", 0)):
            check_integer(name, getattr(self, name), least)
        check_choice("prompt", self.prompt, _PROMPTS)
        if (self.prompt == "embedding") != (self.prompt_embeddings is not None):
            given = "None" if self.prompt_embeddings is None else "…"
            raise ValueError(
                '`prompt="embedding"` and `prompt_embeddings` must be given together. '
                f"Received: prompt={self.prompt!r}, prompt_embeddings={given}"
            )
        check_choice("render", self.render, _RENDER)
        if self.render == "device":
            check_device_rendering(self.plan)
        if not self._num_batches:
            raise ValueError(
                f"`num_scenes` must fill a batch of {self.batch_size} with `drop_remainder=True`. "
                f"Received: num_scenes={self.num_scenes}"
            )
        self._check_shard()
        spacing = self.microphone_spacing
        if spacing is not None:
            check_positive_number("microphone_spacing", spacing, "distance in metres")
        image_size(self.image_size)
        if self.prompt == "embedding":
            self._embeddings  # noqa: B018  (checks them now rather than in a worker)
        if "text" in self.plan.prompt_kinds:
            self._check_texts()

    def _check_shard(self) -> None:
        if not isinstance(self.shard, tuple) or len(self.shard) != 2:
            raise ValueError(
                f"`shard` must be a tuple (index, count). Received: shard={self.shard!r}"
            )
        index, count = self.shard
        check_integer("shard[0]", index)
        check_integer("shard[1]", count, least=1)
        if not index < count <= self._num_batches:
            raise ValueError(
                "`shard` must be (index, count) with index < count, and no more shards than the "
                f"{self._num_batches} batches. Received: shard={self.shard!r}"
            )

    def _check_texts(self) -> None:
        texts = self.text_embeddings
        if self.prompt != "embedding" or texts is None:
            raise ValueError(
                '`prompt_kinds` with "text" need `prompt="embedding"` and `text_embeddings`: '
                "pictures and words are one input then. "
                f"Received: prompt_kinds={self.plan.prompt_kinds!r}"
            )
        shape = (self._embeddings[1].shape[1],)
        for name in self.plan.classes:
            if name not in texts:
                raise ValueError(
                    f"`text_embeddings` must have every class; '{name}' is missing. "
                    f"Received: text_embeddings with {len(texts)} classes"
                )
            vector = np.asarray(texts[name])
            if vector.shape != shape or not np.isfinite(vector).all():
                raise ValueError(
                    f"`text_embeddings` must be finite, of shape {shape} as `prompt_embeddings`. "
                    f"Received: text_embeddings[{name!r}] of shape {vector.shape}"
                )

    @property
    def _num_batches(self) -> int:
        """Batches of a round, of all shards together."""
        full, rest = divmod(self.num_scenes, self.batch_size)
        return full + (1 if rest and not self.drop_remainder else 0)

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{count(len(self), 'batch', 'batches')} of {count(self.batch_size, 'scene')}",
            f"scenes {self.start} to {self.start + self.num_scenes - 1}",
            f"prompt: {self.prompt}",
            "shuffled" if self.shuffle else "",
        )

    def __len__(self) -> int:
        index, count = self.shard
        return len(range(index, self._num_batches, count))

    def __getitem__(self, index: int) -> Batch:
        scenes = [self.plan[i] for i in self._scene_indices(int(index))]
        if self.render == "host":
            arrays = render_scenes(self.plan, scenes, interferer_alone=False)
        else:
            arrays = load_dry_scenes(self.plan, scenes)
        input_shapes, label_shapes = self._scene_shapes
        inputs = {name: arrays[name] for name in input_shapes}
        if self.microphone_spacing is not None:
            inputs["microphone_spacing"] = np.full(len(scenes), self.microphone_spacing, "float32")
        return {**inputs, **self._prompts(scenes)}, {name: arrays[name] for name in label_shapes}

    def _prompts(self, scenes: Sequence[Scene]) -> dict[str, np.ndarray]:
        """The prompts for the targets."""
        inputs = {}
        if self.prompt == "image":
            load = self.plan.catalog.load_image
            inputs["images"] = np.stack([load(s.picture, self.image_size) for s in scenes])
        else:
            inputs["prompt_embedding"] = np.stack([self._embedding(s) for s in scenes])
        if "recording" in self.plan.prompt_kinds:
            inputs["prompt_audio"] = np.stack([self._reference(s) for s in scenes])
            weights = [s.prompt_kind == "recording" for s in scenes]
            inputs["prompt_audio_weight"] = np.array(weights, "float32")
        return inputs

    def _reference(self, scene: Scene) -> np.ndarray:
        assert scene.reference is not None  # the plan has recordings as prompts
        return crop_clip(self.plan, scene.reference, scene.reference_offset)

    def _embedding(self, scene: Scene) -> np.ndarray:
        """Embedding of a scene's words, or else of its picture."""
        if scene.prompt_kind == "text" and self.text_embeddings is not None:
            return np.asarray(self.text_embeddings[scene.picture.class_name], "float32")
        rows, matrix = self._embeddings
        return matrix[rows[scene.picture.id]]

    @property
    def shapes(self) -> tuple[_Shapes, _Shapes]:
        """Shapes of a batch's arrays, in the batch's own structure; the batch's size is `None`."""
        scene_inputs, labels = self._scene_shapes
        inputs = dict(scene_inputs)
        if self.microphone_spacing is not None:
            inputs["microphone_spacing"] = (None,)
        if self.prompt == "image":
            inputs["images"] = (None, *image_size(self.image_size), 3)
        else:
            inputs["prompt_embedding"] = (None, self._embeddings[1].shape[1])
        if "recording" in self.plan.prompt_kinds:
            inputs["prompt_audio"] = (None, self.plan.num_samples)
            inputs["prompt_audio_weight"] = (None,)
        return inputs, labels

    @property
    def _scene_shapes(self) -> tuple[_Shapes, _Shapes]:
        """Shapes of the inputs and labels without the prompts."""
        samples = self.plan.num_samples
        azimuths: _Shapes = {"azimuth": (None,), "interferer_azimuth": (None,)}
        if self.render == "host":
            return {"audio": (None, samples, 2)}, {**azimuths, "target": (None, samples, 2)}
        length = min(samples, self.plan.bank.rirs.shape[-1])
        sources = 1 + self.plan.num_interferers
        dry: _Shapes = {
            "dry_audio": (None, sources, samples),
            "rirs": (None, sources, 2, length),
            "snr": (None,),
        }
        return dry, azimuths

    def _scene_indices(self, index: int) -> np.ndarray:
        """The scenes of a batch; each round over the data has its own order if shuffled."""
        round_, batch = divmod(index, len(self))
        batch = self.shard[0] + batch * self.shard[1]
        order = np.arange(self.num_scenes)
        if self.shuffle:
            order = np.random.default_rng([self.plan.seed, self.start, round_]).permutation(order)
        first = batch * self.batch_size
        return self.start + order[first : first + self.batch_size]

    @cached_property
    def _embeddings(self) -> tuple[dict[str, int], np.ndarray]:
        """Row of each picture id, and the matrix of float32 embeddings."""
        given = self.prompt_embeddings
        if isinstance(given, Mapping):
            ids = [picture.id for picture in self.plan.pictures]
            missing = [name for name in ids if name not in given]
            if missing:
                raise ValueError(
                    f"`prompt_embeddings` must have every picture; '{missing[0]}' is missing. "
                    f"Received: prompt_embeddings with {len(given)} pictures"
                )
            matrix = np.stack([np.asarray(given[name], "float32") for name in ids])
        else:
            ids = [picture.id for picture in self.plan.catalog.pictures]
            matrix = np.asarray(given, "float32")
        if matrix.ndim != 2 or len(matrix) != len(ids) or not np.isfinite(matrix).all():
            raise ValueError(
                "`prompt_embeddings` must be finite, of shape (len(catalog.pictures), dimensions) "
                f"= ({len(ids)}, …), or a mapping from picture id to vector. "
                f"Received: prompt_embeddings of shape {matrix.shape}"
            )
        return {name: row for row, name in enumerate(ids)}, matrix
