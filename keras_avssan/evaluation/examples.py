"""Example scenes of a separation, chosen by a rule."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import one_line
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.data.scenes.scene import Scene
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.doa.grid import GRID_DEGREES
from keras_avssan.layers.stereo_stft import level_gain
from keras_avssan.models.microphones import match_scenes
from keras_avssan.models.prompt_embeddings import embed_plan

# Lower bound of each region of frequencies, in hertz: low, mid, high.
FREQUENCY_REGIONS = {"L": 0.0, "M": 500.0, "H": 2000.0}
# The pairs of regions in the order in which they are shown.
REGION_PAIRS = ("H+H", "H+M", "H+L", "M+M", "M+L", "L+L")
# Error in degrees up to which an estimate counts as correct.
TOLERANCE = 5.0
# Below this power a sound counts as silent.
_SILENCE = 1e-12


def spectral_power(spectrogram: ArrayLike) -> np.ndarray:
    """Mean power (...) of both channels of a spectrogram (..., 4) as re1, im1, re2, im2."""
    power: np.ndarray = np.square(np.asarray(spectrogram, "float64")).sum(axis=-1) / 2.0
    return power


def frequency_region(spectrogram: ArrayLike, sampling_rate: float) -> str:
    """The region, `"L"`, `"M"` or `"H"`, in which a sound (T, F, 4) has most energy.

    The bounds are 500 and 2000 Hz. Energies are compared as they are, whatever the widths.
    """
    energy = spectral_power(spectrogram).sum(axis=0)
    frequencies = np.linspace(0.0, sampling_rate / 2.0, len(energy))
    names, begins = zip(*FREQUENCY_REGIONS.items(), strict=True)
    regions = np.searchsorted(begins, frequencies, side="right") - 1
    return names[np.argmax(np.bincount(regions, energy, minlength=len(names)))]


@dataclass(frozen=True, eq=False)
class SeparationExample:
    """One scene, the outputs of a model, and the truth.

    Args:
        explanation: Result of `model.explain` for the mixture.
        target: Spectrogram of the target alone, with the gain of the mixture, shape (T, F, 4).
        interferer: Spectrogram of the interferer alone, likewise.
        azimuth: Direction of the target in degrees.
        interferer_azimuth: Direction of the interferer in degrees.
        target_class: Class of the target.
        interferer_class: Class of the interferer.
        scene: Index of the scene in its plan, or `None` without a plan.

    Raises:
        ValueError: If the shapes of the spectrograms or of the mask differ.

    Example:
        >>> example = separation_examples(model, plan, num_scenes=200)[0]
        >>> example.region_pair, example.target_gain, example.interferer_gain
        ('H+M', -1.3, -9.8)
    """

    explanation: dict[str, Any]
    target: np.ndarray
    interferer: np.ndarray
    azimuth: float
    interferer_azimuth: float
    target_class: str = "target"
    interferer_class: str = "interferer"
    scene: int | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.explanation["spectrogram"])
        given = {"target": self.target, "interferer": self.interferer}
        for name, values in given.items():
            if np.shape(values) != shape:
                raise ValueError(
                    f"`{name}` must have the shape of the mixture, {shape}. "
                    f"Received: {name} of shape {np.shape(values)}"
                )
        if np.shape(self.explanation["mask"]) != shape[:2]:
            raise ValueError(
                f"`explanation` must hold a mask of shape {shape[:2]}. "
                f"Received: mask of shape {np.shape(self.explanation['mask'])}"
            )

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{self.target_class} at {self.azimuth:.1f}°, estimate {self.estimate:.1f}°",
            f"{self.interferer_class} at {self.interferer_azimuth:.1f}°",
            "" if self.scene is None else f"scene {self.scene}",
        )

    @property
    def estimate(self) -> float:
        """Direction that the model estimated, in degrees."""
        azimuth: float = self.explanation["azimuth"]
        return azimuth

    @property
    def error(self) -> float:
        """Absolute error in degrees."""
        return abs(self.estimate - self.azimuth)

    @property
    def correct(self) -> bool:
        """Whether the estimate is within 5° of the target, and nearer to it than the interferer."""
        return bool(_is_correct(self.estimate, self.azimuth, self.interferer_azimuth))

    @cached_property
    def target_region(self) -> str:
        """Region in which the target has most energy, see `frequency_region`."""
        return frequency_region(self.target, self.explanation["sampling_rate"])

    @cached_property
    def interferer_region(self) -> str:
        """Region in which the interferer has most energy, see `frequency_region`."""
        return frequency_region(self.interferer, self.explanation["sampling_rate"])

    @property
    def region_pair(self) -> str:
        """Both regions from high to low, such as `"H+L"`, whichever of them is the target's."""
        return region_pair(self.target_region, self.interferer_region)

    @property
    def target_gain(self) -> float:
        """Energy of the target after the mask over that before it, in dB: 0 keeps all."""
        return self._gain(self.target)

    @property
    def interferer_gain(self) -> float:
        """Energy of the interferer after the mask over that before it, in dB."""
        return self._gain(self.interferer)

    def _gain(self, source: np.ndarray) -> float:
        power = spectral_power(source)
        kept = np.sum(np.square(np.asarray(self.explanation["mask"], "float64")) * power)
        return float(10.0 * np.log10((kept + _SILENCE) / (np.sum(power) + _SILENCE)))


def region_pair(first: str, second: str) -> str:
    """Two regions as one of `REGION_PAIRS`, from high to low, such as `"H+L"`."""
    return "+".join(sorted((first, second), key=list(FREQUENCY_REGIONS).index, reverse=True))


def separation_examples(
    model: keras.Model,
    plan: ScenePlan,
    num_scenes: int,
    *,
    start: int = 0,
    batch_size: int = 32,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> list[SeparationExample]:
    """Chooses scenes in which a model separates the sources, and one failure.

    For every pair of regions of frequencies it is the first scene whose estimate is within 5° of
    the target and nearer to it than to the interferer. The failure is, of the other scenes, the
    one with the largest error.

    Args:
        model: An `AVSSAN`.
        plan: `keras_avssan.data.ScenePlan`; prompts are pictures, whatever its `prompt_kinds`.
        num_scenes: Number of scenes to choose from.
        start: Index of the first of them.
        batch_size: Scenes a run.
        prompt_embeddings: Dict from picture id to embedding, shape (dimensions,). By default the
            model's own encoder computes them.
        progress: Whether a progress bar is shown.

    Returns:
        List of `SeparationExample`: the pairs that there are, in the order of `REGION_PAIRS`
        (H+H, H+M, H+L, M+M, M+L, L+L), then the failure, if there is one.

    Raises:
        ValueError: If `num_scenes` is not positive, the model has no image encoder and no
            embeddings are given, or plan and model differ in sampling rate or microphone spacing.
        TypeError: If the model has no method `explain`.

    Example:
        >>> examples = separation_examples(model, plan, num_scenes=500)
        >>> plot_separation(examples).savefig("separation.png")

    Reference:
        AV-SSAN, Figure 2.
    """
    if not hasattr(model, "explain"):
        raise TypeError(
            f"`model` must have a mask and explain it, as AVSSAN. Received: model={model!r}"
        )
    embeddings = plan_embeddings(model, plan, prompt_embeddings, progress)
    chosen: dict[str, Scene] = {}
    worst: Scene | None = None
    largest = 0.0
    for scene, sources, outputs in run_scenes(
        model, plan, num_scenes, embeddings, start=start, batch_size=batch_size, progress=progress
    ):
        estimate = GRID_DEGREES[np.argmax(outputs["doa"])]
        error = abs(estimate - scene.azimuth)
        if _is_correct(estimate, scene.azimuth, scene.interferer_azimuth):
            regions = (frequency_region(source, plan.sampling_rate) for source in sources)
            chosen.setdefault(region_pair(*regions), scene)
        elif error > largest or worst is None:
            worst, largest = scene, error
    scenes = [chosen[pair] for pair in REGION_PAIRS if pair in chosen]
    scenes += [] if worst is None else [worst]
    return [explain_scene(model, plan, scene, embeddings) for scene in scenes]


def explain_scene(
    model: keras.Model, plan: ScenePlan, scene: Scene, prompt_embeddings: Mapping[str, np.ndarray]
) -> SeparationExample:
    """Explains one scene of a plan, with its sources apart."""
    rendered = render_scenes(plan, [scene])
    target, interferer = source_spectrograms(model, rendered)
    return SeparationExample(
        model.explain(rendered["audio"][0], prompt_embeddings[scene.picture.id]),
        target[0],
        interferer[0],
        scene.azimuth,
        scene.interferer_azimuth,
        scene.target.class_name,
        scene.interferer.class_name,
        scene.index,
    )


def run_scenes(
    model: keras.Model,
    plan: ScenePlan,
    num_scenes: int,
    prompt_embeddings: Mapping[str, np.ndarray],
    *,
    start: int = 0,
    batch_size: int = 32,
    progress: bool = True,
) -> Iterator[tuple[Scene, tuple[np.ndarray, ...], dict[str, np.ndarray]]]:
    """Runs a model over scenes whose sources are known apart.

    Yields scene, spectrograms (T, F, 4) of target and interferer alone, and outputs without batch.
    """
    num_scenes = check_integer("num_scenes", num_scenes, least=1)
    batch_size = check_integer("batch_size", batch_size, least=1)
    stop = check_integer("start", start) + num_scenes
    firsts = range(start, stop, batch_size)
    for first in tqdm(firsts, desc="scenes", unit="batch", disable=not progress):
        scenes = [plan[index] for index in range(first, min(first + batch_size, stop))]
        rendered = render_scenes(plan, scenes)
        prompts = np.stack([prompt_embeddings[scene.picture.id] for scene in scenes])
        outputs = keras.tree.map_structure(
            np.asarray,
            model.predict_on_batch({"audio": rendered["audio"], "prompt_embedding": prompts}),
        )
        sources = source_spectrograms(model, rendered)
        for row, scene in enumerate(scenes):
            yield (
                scene,
                tuple(source[row] for source in sources),
                keras.tree.map_structure(lambda values, row=row: values[row], outputs),
            )


def source_spectrograms(
    model: keras.Model, rendered: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Spectrograms (scenes, T, F, 4) of target and interferer alone, with their mixture's gain."""
    gain = keras.ops.convert_to_numpy(level_gain(rendered["audio"]))
    return tuple(
        keras.ops.convert_to_numpy(model.backbone.stft(gain * rendered[name]))
        for name in ("target", "interferer")
    )


def plan_embeddings(
    model: keras.Model,
    plan: ScenePlan,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> dict[str, np.ndarray]:
    """Float32 embeddings of all pictures of a plan by id; checks that plan and model match."""
    match_scenes(model, plan)
    pictures, _ = embed_plan(model, plan, pictures=prompt_embeddings, progress=progress)
    return {picture.id: np.asarray(pictures[picture.id], "float32") for picture in plan.pictures}


def _is_correct(estimate: float, azimuth: float, interferer_azimuth: float) -> bool:
    error = abs(estimate - azimuth)
    return error <= TOLERANCE and error < abs(estimate - interferer_azimuth)
