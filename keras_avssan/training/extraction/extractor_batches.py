"""Batches of scenes with the directions at which an extractor is trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_avssan._internal.types import Shape
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.data.scenes.scene import Scene
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.training.extraction.scenes_of_step import scenes_of_step

_JITTER = 2.0  # degrees, standard deviation around the true azimuths
_RIVAL_JITTER = 2.5  # degrees, likewise, around a rival's
_KNOWN = 0.75  # share of the examples that are given the other source as a rival
_SPURIOUS = 0.5  # share that is given a rival where there may be no source
_APART = 10.0  # degrees between an example and such a rival, at least
_AWAY = 12.0  # degrees from every source to a silent direction
_DRAWS = 100  # of a silent direction, before there counts as none


@dataclass(frozen=True, eq=False)
class ExtractorBatches:
    """`batches[b]` is a tuple of one dict of arrays, a pure function of `b`.

    Step s, counted from 0, is of plan s modulo their number; `start` is the first step. The dict
    holds `audio` and `target` (batch, samples, 2); `azimuths` (batch, sources + 1) of the target,
    of the interferer (where a plan has only one) and of silence; `weights` likewise, zero for what
    is no example; and `rivals` (batch, sources + 1, 2), see `SpatialExtractor`.
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
        examples = [self._directions(plan, scene) for scene in scenes]
        azimuths, weights, rivals = zip(*examples, strict=True)
        inputs = {
            "audio": rendered["audio"],
            "target": rendered["target"],
            "azimuths": np.array(azimuths, "float32"),
            "weights": np.array(weights, "float32"),
            "rivals": np.array(rivals, "float32"),
        }
        if self.microphone_spacing is not None:
            spacing = np.full(len(scenes), self.microphone_spacing, "float32")
            inputs["microphone_spacing"] = spacing
        return (inputs,)

    @property
    def shapes(self) -> tuple[dict[str, Shape]]:
        """Shapes of a batch's arrays, in its own structure; the batch's size is `None`."""
        lengths = {plan.num_samples for plan in self.plans}
        audio = (None, lengths.pop() if len(lengths) == 1 else None, 2)
        directions = (None, self._num_sources + 1)
        shapes: dict[str, Shape] = {
            "audio": audio,
            "target": audio,
            "azimuths": directions,
            "weights": directions,
            "rivals": (*directions, 2),
        }
        if self.microphone_spacing is not None:
            shapes["microphone_spacing"] = (None,)
        return (shapes,)

    @property
    def _num_sources(self) -> int:
        """Sources of which a scene may give an example."""
        return 2 if any(plan.num_interferers == 1 for plan in self.plans) else 1

    def _directions(
        self, plan: ScenePlan, scene: Scene
    ) -> tuple[list[float], list[float], np.ndarray]:
        """Azimuths of the examples of a scene, which of them count, and their rivals."""
        rng = plan.generator(scene.index, "extractor")
        true = np.array([source.azimuth for source in scene.sources])
        near = np.clip(true + rng.normal(0.0, _JITTER, len(true)), 0.0, 180.0)
        draws = rng.uniform(0.0, 180.0, _DRAWS)
        away = draws[np.abs(draws[:, None] - true).min(axis=1) >= _AWAY]
        count = self._num_sources
        # The interferer is what the target leaves of the mixture, if it is the only one.
        alone = [1.0, float(len(true) == 2)][:count]
        silent = float(away[0]) if away.size else 0.0
        azimuths = [*near[:count].tolist(), silent]
        rivals = self._rivals(rng, true, azimuths)
        return azimuths, [*alone, float(away.size > 0)], rivals

    @staticmethod
    def _rivals(rng: np.random.Generator, true: np.ndarray, azimuths: list[float]) -> np.ndarray:
        """Of every example another source, or none, and a spurious direction, or none."""
        around = np.clip(true + rng.normal(0.0, _RIVAL_JITTER, len(true)), 0.0, 180.0)
        rivals = np.full((len(azimuths), 2), -1.0)
        for row, azimuth in enumerate(azimuths):
            others = np.delete(around, row) if row < len(azimuths) - 1 else around
            known, spurious = rng.choice(others), rng.uniform(0.0, 180.0)
            if rng.random() < _KNOWN:
                rivals[row, 0] = known
            if rng.random() < _SPURIOUS and abs(spurious - azimuth) > _APART:
                rivals[row, 1] = spurious
        return rivals
