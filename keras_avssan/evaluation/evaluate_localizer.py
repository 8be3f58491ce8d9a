"""Evaluation of a localiser on planned scenes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_avssan._internal.checks import check_choice, check_integer
from keras_avssan._internal.types import DirectionModel
from keras_avssan.data.scenes.scene import PROMPT_KINDS, Scene
from keras_avssan.data.scenes.scene_batches import SceneBatches
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.doa.grid import GRID_DEGREES, check_finite
from keras_avssan.evaluation.evaluation_result import Evaluation
from keras_avssan.evaluation.heading import given_spacing
from keras_avssan.evaluation.scoring import SceneScores
from keras_avssan.evaluation.training_overlap import scene_overlap
from keras_avssan.models.microphones import match_scenes
from keras_avssan.models.prompt_embeddings import embed_plan, takes_prompt

PROMPTS = (*PROMPT_KINDS, "constant")
# Settings of a plan that an evaluation stores if they are not the default.
_OPTIONS = (
    "swap_channels",
    "speed",
    "equalise",
    "sensor_noise",
    "num_interferers",
    "same_class_interferer",
)


def strongest_direction(posterior: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """The most probable directions (batch,) in degrees, whatever the true azimuths."""
    directions: np.ndarray = GRID_DEGREES[np.argmax(posterior, axis=-1)]
    return directions


def evaluate_localizer(
    model: DirectionModel,
    plan: ScenePlan,
    num_scenes: int,
    *,
    start: int = 0,
    batch_size: int = 32,
    prompt: str = "picture",
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    decode: Callable[[np.ndarray, np.ndarray], np.ndarray] = strongest_direction,
    microphone_spacing: float | None = None,
    on_overlap: str = "mark",
    progress: bool = True,
) -> Evaluation:
    """Scores a model on the scenes of a plan.

    Scores are meaningful on recordings, pictures and rooms unseen in training. The scenes are
    compared with `model.training_record`; the first lines of the table state the result, which
    is also stored as `training_overlap` among the settings.

    Every picture is embedded once. The scenes depend on the plan alone, so they are the same for
    two models, or two runs.

    Args:
        model: A `keras_avssan.models.Localizer` such as `AVSSAN`, or a method of
            `keras_avssan.classical`: `predict_on_batch` receives a dict with `audio` (batch,
            samples, 2) and a prompt, and returns a dict with `doa` (batch, 180).
        plan: `keras_avssan.data.ScenePlan`.
        num_scenes: Number of scenes.
        start: Index of the first scene.
        batch_size: Scenes a run.
        prompt: Kind of the prompts: `"picture"`, `"text"` (the name of the class), `"recording"`
            (another recording of the class), or `"constant"`: every scene is prompted with the
            mean over all pictures, which carries no information. It has no effect on models that
            take no prompt.
        prompt_embeddings: Dict from the id of every picture of the plan to its embedding, for
            models without an image encoder; by default the model's encoder computes them.
        text_embeddings: Dict from class to the embedding of its name, likewise.
        decode: Function from posteriors (batch, 180) and true azimuths (batch,) to estimates in
            degrees (batch,); by default the most probable direction.
            `keras_avssan.classical.peaks.nearest_of_two_peaks` gives the upper bound of a perfect
            choice.
        microphone_spacing: Distance between the microphones in metres that is passed to models
            that take it as an input, whatever that of the scenes. By default the model's own is
            used, which must be that of the plan's bank.
        on_overlap: What happens if recordings, pictures or rooms of the scenes were in the
            training of the model: `"mark"` states it in the results, `"error"` raises an error,
            also if the training data is not known.
        progress: Whether a progress bar is shown.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: If `prompt` is unknown, `num_scenes` is not positive, pictures or words must
            be embedded and the model cannot, or the targets of the plan are absent; if plan and
            model differ in microphone spacing or sampling rate, which the message names; if the
            model was trained on the scenes, with `on_overlap="error"`; or if a posterior is not
            finite, with the scene's index.

    Example:
        >>> evaluation = evaluate_localizer(model, plan, num_scenes=1000)
        >>> print(evaluation.table())
    """
    check_choice("prompt", prompt, PROMPTS)
    if plan.absent:
        raise ValueError(
            "`plan` must have present targets: absent ones have no direction to score, see "
            "`evaluate_presence`. Received: plan.absent=True"
        )
    match_scenes(model, plan, microphone_spacing)
    num_scenes = check_integer("num_scenes", num_scenes, least=1)
    is_prompted = prompt in PROMPT_KINDS and takes_prompt(model)
    plan = replace(plan, prompt_kinds=(prompt if is_prompted else "picture",))
    scenes = [plan[index] for index in range(start, start + num_scenes)]
    overlap = scene_overlap(model, plan, scenes, prompt, on_overlap)
    batches = scene_batches(
        model,
        plan,
        num_scenes,
        start=start,
        batch_size=batch_size,
        prompt=prompt,
        prompt_embeddings=prompt_embeddings,
        text_embeddings=text_embeddings,
        progress=progress,
    )
    estimates = [
        decode(np.asarray(outputs["doa"]), labels["azimuth"])
        for outputs, labels in run_batches(model, batches, microphone_spacing, progress)
    ]
    azimuth, interferers = _truth(scenes)
    return Evaluation(
        SceneScores(azimuth, interferers, np.concatenate(estimates)),
        tuple(scene.target.class_name for scene in scenes),
        tuple(" + ".join(s.clip.class_name for s in scene.sources[1:]) for scene in scenes),
        {
            "scenes": num_scenes,
            "split": plan.split,
            "snr_db": plan.snr,
            "seed": plan.seed,
            "duration_s": plan.duration,
            "classes": list(plan.classes),
            "rooms": len({scene.room for scene in scenes}),
            "microphone_spacing_m": plan.microphone_spacing,
            **given_spacing(microphone_spacing),
            "prompt": prompt,
            **_options(plan),
            "training_overlap": overlap,
        },
        plan.bank.t60[[scene.room for scene in scenes]],
    )


def scene_batches(
    model: DirectionModel,
    plan: ScenePlan,
    num_scenes: int,
    *,
    start: int = 0,
    batch_size: int = 32,
    prompt: str = "picture",
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    progress: bool = True,
) -> SceneBatches:
    """Makes the scenes of a plan with embeddings of their prompts, see `evaluate_localizer`."""
    pictures, texts = embed_plan(
        model,
        plan,
        ("picture", prompt),
        pictures=prompt_embeddings,
        texts=text_embeddings,
        progress=progress,
    )
    return SceneBatches(
        plan,
        num_scenes,
        batch_size,
        start=start,
        prompt="embedding",
        prompt_embeddings=pictures,
        text_embeddings=texts,
    )


def run_batches(
    model: DirectionModel,
    batches: SceneBatches,
    microphone_spacing: float | None = None,
    progress: bool = True,
) -> Iterator[tuple[Mapping[str, Any], dict[str, np.ndarray]]]:
    """Runs a model over scenes; yields outputs, with posteriors `doa` (batch, 180), and labels.

    Raises a ValueError that names the scene if a posterior is not finite.
    """
    scene = batches.start
    for index in tqdm(range(len(batches)), desc="scenes", unit="batch", disable=not progress):
        inputs, labels = batches[index]
        if microphone_spacing is not None:
            spacing = np.full(len(labels["azimuth"]), microphone_spacing, "float32")
            inputs = {**inputs, "microphone_spacing": spacing}
        outputs = model.predict_on_batch(inputs)
        check_finite(outputs["doa"], [f"scene {scene + k}" for k in range(len(labels["azimuth"]))])
        scene += len(labels["azimuth"])
        yield outputs, labels


def _truth(scenes: Sequence[Scene]) -> tuple[np.ndarray, np.ndarray]:
    """Azimuths of the targets (scenes,), and of the interferers: with several (scenes, number)."""
    azimuth = np.array([scene.azimuth for scene in scenes], "float32")
    interferers = np.array([scene.interferer_azimuths for scene in scenes], "float32")
    return azimuth, interferers[:, 0] if interferers.shape[1] == 1 else interferers


def _options(plan: ScenePlan) -> dict[str, Any]:
    """Settings of a plan that differ from the defaults."""
    defaults = {field.name: field.default for field in fields(plan)}
    return {name: getattr(plan, name) for name in _OPTIONS if getattr(plan, name) != defaults[name]}
