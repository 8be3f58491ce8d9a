"""Scenes that show what a model does, chosen by a rule."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import one_line
from keras_avssan._internal.types import Tensor
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.data.scenes.scene import Scene
from keras_avssan.doa.grid import GRID_DEGREES
from keras_avssan.layers.stereo_stft import level_gain
from keras_avssan.models.microphones import match_scenes
from keras_avssan.models.prompt_embeddings import embed_plan

# Where each region of frequencies begins, in hertz: low, mid, high.
FREQUENCY_REGIONS = {"L": 0.0, "M": 500.0, "H": 2000.0}
# The pairs of regions in the order in which they are shown.
REGION_PAIRS = ("H+H", "H+M", "H+L", "M+M", "M+L", "L+L")
# Error in degrees up to which a scene counts as answered.
TOLERANCE = 5.0
# Below this power a sound counts as silent.
_SILENCE = 1e-12


def spectral_power(spectrogram: Tensor):
    """Mean power of both channels of a spectrogram.

    Args:
        spectrogram: Array of shape (..., 4) as re1, im1, re2, im2.

    Returns:
        Float64 array of shape (...).
    """
    return np.square(np.asarray(spectrogram, "float64")).sum(axis=-1) / 2.0


def frequency_region(spectrogram: Tensor, sampling_rate: int):
    """The region of frequencies in which a sound has most energy.

    Low reaches up to 500 Hz, mid from there to 2000 Hz, high from there on. The energies of the
    regions are compared as they are, whatever their widths.

    Args:
        spectrogram: Spectrogram of the sound alone, shape (T, F, 4); the last bin is half the
            sampling rate.
        sampling_rate: In hertz.

    Returns:
        `"L"`, `"M"` or `"H"`.

    Example:
        >>> frequency_region(StereoSTFT()(audio[None])[0], 16000)
        'H'
    """
    energy = spectral_power(spectrogram).sum(axis=0)
    frequencies = np.linspace(0.0, sampling_rate / 2.0, len(energy))
    names, begins = zip(*FREQUENCY_REGIONS.items(), strict=True)
    regions = np.searchsorted(begins, frequencies, side="right") - 1
    return names[np.argmax(np.bincount(regions, energy, minlength=len(names)))]


@dataclass(frozen=True, eq=False)
class SeparationExample:
    """One scene, what a model made of it, and what it was to make.

    Args:
        explanation: What `model.explain` returns for the mix.
        target: Spectrogram of the target alone, with the gain of the mix, shape (T, F, 4).
        interferer: Spectrogram of the interferer alone, likewise.
        azimuth: Direction of the target in degrees.
        interferer_azimuth: Direction of the interferer in degrees.
        target_class: What the target is.
        interferer_class: What the interferer is.
        scene: Index of the scene in its plan, `None` where it is of none.

    Raises:
        ValueError: If the shapes of the spectrograms or of the mask differ.

    Example:
        >>> example = separation_examples(model, plan, num_scenes=200)[0]
        >>> example.pair, example.target_gain, example.interferer_gain
        ('H+M', -1.3, -9.8)
    """

    explanation: dict
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
                    f"`{name}` must have the shape of the mix, {shape}. "
                    f"Received: shape {np.shape(values)}"
                )
        if np.shape(self.explanation["mask"]) != shape[:2]:
            raise ValueError(
                f"The mask must have shape {shape[:2]}. "
                f"Received: shape {np.shape(self.explanation['mask'])}"
            )

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{self.target_class} at {self.azimuth:.1f}°, estimate {self.estimate:.1f}°",
            f"{self.interferer_class} at {self.interferer_azimuth:.1f}°",
            "" if self.scene is None else f"scene {self.scene}",
        )

    @property
    def estimate(self):
        """Direction that the model found, in degrees."""
        return self.explanation["azimuth"]

    @property
    def error(self):
        """Absolute error in degrees."""
        return abs(self.estimate - self.azimuth)

    @property
    def right(self):
        """Whether the estimate is within 5° of the target, and nearer to it than the interferer."""
        return bool(_is_right(self.estimate, self.azimuth, self.interferer_azimuth))

    @cached_property
    def target_region(self):
        """Region in which the target has most energy, see `frequency_region`."""
        return frequency_region(self.target, self.explanation["sampling_rate"])

    @cached_property
    def interferer_region(self):
        """Region in which the interferer has most energy, see `frequency_region`."""
        return frequency_region(self.interferer, self.explanation["sampling_rate"])

    @property
    def pair(self):
        """Both regions from high to low, such as `"H+L"`, whichever of them is the target's."""
        return region_pair(self.target_region, self.interferer_region)

    @property
    def target_gain(self):
        """Energy of the target behind the mask over that before it, in dB: 0 keeps all."""
        return self._gain(self.target)

    @property
    def interferer_gain(self):
        """Energy of the interferer behind the mask over that before it, in dB."""
        return self._gain(self.interferer)

    def _gain(self, source):
        power = spectral_power(source)
        kept = np.sum(np.square(np.asarray(self.explanation["mask"], "float64")) * power)
        return float(10.0 * np.log10((kept + _SILENCE) / (np.sum(power) + _SILENCE)))


def region_pair(first, second):
    """Two regions as one of `REGION_PAIRS`, from high to low.

    Args:
        first: `"L"`, `"M"` or `"H"`.
        second: Likewise.

    Returns:
        Str such as `"H+L"`.
    """
    return "+".join(sorted((first, second), key=list(FREQUENCY_REGIONS).index, reverse=True))


def separation_examples(
    model: Any,
    plan,
    num_scenes: int,
    *,
    start: int = 0,
    batch_size: int = 32,
    prompt_embeddings: Tensor = None,
    progress: bool = True,
):
    """Chooses scenes that show what a model separates, and one that it fails at.

    Of every pair of regions of frequencies it is the first scene that the model answers within 5°
    and nearer to the target than to the interferer. The failure is, of the scenes that are not
    answered so, the one with the largest error.

    Args:
        model: An `AVSSAN`.
        plan: `keras_avssan.data.ScenePlan`; pictures ask, whatever its `prompt_kinds`.
        num_scenes: Number of scenes to choose from.
        start: Index of the first of them.
        batch_size: Scenes a run.
        prompt_embeddings: Dict from picture id to embedding. By default the model's own encoder
            makes them.
        progress: Whether a progress bar is shown.

    Returns:
        List of `SeparationExample`: the pairs that there are, in the order of `REGION_PAIRS`
        (H+H, H+M, H+L, M+M, M+L, L+L), then the failure, where there is one.

    Raises:
        ValueError: If `num_scenes` is not positive, the model has no image encoder and no
            embeddings are given, or plan and model differ in sampling rate or microphone spacing.
        TypeError: If the model cannot explain itself.

    Example:
        >>> examples = separation_examples(model, plan, num_scenes=500)
        >>> plot_separation(examples).savefig("separation.png")

    Reference:
        AV-SSAN, Figure 2.
    """
    if not hasattr(model, "explain"):
        raise TypeError(
            f"`model` must have a mask and explain it, as AVSSAN. Received: {type(model).__name__}"
        )
    embeddings = plan_embeddings(model, plan, prompt_embeddings, progress)
    chosen: dict[str, Scene] = {}
    worst, largest = None, 0.0
    for scene, sources, outputs in run_scenes(
        model, plan, num_scenes, embeddings, start=start, batch_size=batch_size, progress=progress
    ):
        estimate = GRID_DEGREES[np.argmax(outputs["doa"])]
        error = abs(estimate - scene.azimuth)
        if _is_right(estimate, scene.azimuth, scene.interferer_azimuth):
            regions = (frequency_region(source, plan.sampling_rate) for source in sources)
            chosen.setdefault(region_pair(*regions), scene)
        elif error > largest or worst is None:
            worst, largest = scene, error
    scenes = [chosen[pair] for pair in REGION_PAIRS if pair in chosen]
    scenes += [] if worst is None else [worst]
    return [explain_scene(model, plan, scene, embeddings) for scene in scenes]


def explain_scene(model: Any, plan, scene: Scene, prompt_embeddings: Tensor):
    """What a model makes of one scene, and what it was to make of it.

    Args:
        model: An `AVSSAN`.
        plan: `keras_avssan.data.ScenePlan`.
        scene: One of its scenes.
        prompt_embeddings: Dict from picture id to embedding.

    Returns:
        A `SeparationExample`.
    """
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
    model: Any,
    plan,
    num_scenes: int,
    prompt_embeddings: Tensor,
    *,
    start: int = 0,
    batch_size: int = 32,
    progress: bool = True,
):
    """Runs a model over scenes whose sources are known apart.

    Args:
        model: An `AVSSAN`.
        plan: `keras_avssan.data.ScenePlan`.
        num_scenes: Number of scenes.
        prompt_embeddings: Dict from picture id to embedding.
        start: Index of the first scene.
        batch_size: Scenes a run.
        progress: Whether a progress bar is shown.

    Yields:
        For every scene the scene, a tuple of the spectrograms (T, F, 4) of target and interferer
        alone, and the model's outputs, NumPy arrays without the batch.
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


def source_spectrograms(model: Any, rendered):
    """Spectrograms of the sources alone, with the gain that the model gives their mix.

    Args:
        model: An `AVSSAN`.
        rendered: What `keras_avssan.data.render_scenes` returns.

    Returns:
        Tuple of two arrays (scenes, T, F, 4): target and interferer.
    """
    gain = keras.ops.convert_to_numpy(level_gain(rendered["audio"]))
    return tuple(
        keras.ops.convert_to_numpy(model.backbone.stft(gain * rendered[name]))
        for name in ("target", "interferer")
    )


def plan_embeddings(model: Any, plan, prompt_embeddings: Tensor = None, progress: bool = True):
    """Embeddings of all pictures that a plan asks with.

    Args:
        model: An `AVSSAN`.
        plan: `keras_avssan.data.ScenePlan`.
        prompt_embeddings: Dict from picture id to embedding, or `None`: the model makes them.
        progress: Whether a progress bar is shown.

    Returns:
        Dict from picture id to embedding, a float32 array.

    Raises:
        ValueError: If an embedding is missing, the model has no image encoder and none are given,
            or plan and model differ in sampling rate or microphone spacing.
    """
    match_scenes(model, plan)
    pictures, _ = embed_plan(model, plan, pictures=prompt_embeddings, progress=progress)
    return {picture.id: np.asarray(pictures[picture.id], "float32") for picture in plan.pictures}


def _is_right(estimate, azimuth: Tensor, interferer_azimuth):
    error = abs(estimate - azimuth)
    return error <= TOLERANCE and error < abs(estimate - interferer_azimuth)
