"""Batches of scenes with the azimuths of all sources."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_avssan._internal.types import Shape
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.training.extraction.scenes_of_step import scenes_of_step


@dataclass(frozen=True, eq=False)
class DirectionBatches:
    """`batches[b]` is a tuple of one dict of arrays, a pure function of `b`.

    Step s, counted from 0, is of plan s modulo their number; `start` is the first step. The dict
    holds `audio` (batch, samples, 2) and `azimuths` (batch, sources), -1 where a plan has fewer
    sources than another.
    """

    plans: Sequence[ScenePlan]
    steps: int
    batch_size: int
    start: int = 0
    microphone_spacing: float | None = None

    def __len__(self) -> int:
        return self.steps - self.start

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray]]:
        plan, numbers = scenes_of_step(self.plans, self.start + int(index), self.batch_size)
        scenes = [plan[number] for number in numbers]
        rendered = render_scenes(plan, scenes, interferer_alone=False)
        azimuths = np.full((len(scenes), self._num_sources), -1.0, "float32")
        for row, scene in zip(azimuths, scenes, strict=True):
            row[: len(scene.sources)] = [source.azimuth for source in scene.sources]
        inputs = {"audio": rendered["audio"], "azimuths": azimuths}
        if self.microphone_spacing is not None:
            spacing = np.full(len(scenes), self.microphone_spacing, "float32")
            inputs["microphone_spacing"] = spacing
        return (inputs,)

    @property
    def shapes(self) -> tuple[dict[str, Shape]]:
        """Shapes of a batch's arrays, in its own structure; the batch's size is `None`."""
        lengths = {plan.num_samples for plan in self.plans}
        shapes: dict[str, Shape] = {
            "audio": (None, lengths.pop() if len(lengths) == 1 else None, 2),
            "azimuths": (None, self._num_sources),
        }
        if self.microphone_spacing is not None:
            shapes["microphone_spacing"] = (None,)
        return (shapes,)

    @property
    def _num_sources(self) -> int:
        return 1 + max(plan.num_interferers for plan in self.plans)
