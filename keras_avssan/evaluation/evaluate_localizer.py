"""Running a localiser over planned scenes."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import Tensor
from keras_avssan.data.scenes.scene import PROMPT_KINDS
from keras_avssan.data.scenes.scene_batches import SceneBatches
from keras_avssan.doa.grid import GRID_DEGREES, check_finite
from keras_avssan.evaluation.evaluation_result import Evaluation
from keras_avssan.evaluation.heading import told_spacing
from keras_avssan.evaluation.scoring import SceneScores
from keras_avssan.evaluation.training_overlap import scene_overlap
from keras_avssan.models.microphones import match_scenes
from keras_avssan.models.prompt_embeddings import embed_plan, takes_prompt

PROMPTS = (*PROMPT_KINDS, "constant")
# Of a plan, what is among the settings of an evaluation where it is not the default.
_OPTIONS = (
    "swap_channels",
    "speed",
    "equalise",
    "sensor_noise",
    "num_interferers",
    "same_class_interferer",
)


def strongest_direction(posterior: Tensor, azimuth: Tensor):
    """The most probable direction, whatever the truth.

    Args:
        posterior: Posteriors, array of shape (batch, 180).
        azimuth: True azimuths in degrees, (batch,); of no influence.

    Returns:
        Array of azimuths in degrees, shape (batch,).
    """
    return GRID_DEGREES[np.argmax(posterior, axis=-1)]


def evaluate_localizer(
    model: Any,
    plan,
    num_scenes: int,
    *,
    start: int = 0,
    batch_size: int = 32,
    prompt: Any = "picture",
    prompt_embeddings: Tensor = None,
    text_embeddings: Tensor = None,
    decode=strongest_direction,
    microphone_spacing: Any = None,
    on_overlap: str = "mark",
    progress: bool = True,
):
    """Scores a model on the scenes of a plan.

    Scores are worth something on recordings, pictures and rooms that the model was not trained
    on. Whether they are that is compared with `model.training_record` and stands in the table's
    first lines, and as `training_overlap` among the settings.

    Every picture is embedded once. The scenes depend on the plan alone, so two models, or two
    runs, hear the same.

    Args:
        model: A `keras_avssan.models.Localizer` such as `AVSSAN`, or a method of
            `keras_avssan.classical`: what `predict_on_batch` gives for a dict with `audio` (batch,
            samples, 2) and a prompt must hold `doa` (batch, 180).
        plan: `keras_avssan.data.ScenePlan`.
        num_scenes: Number of scenes.
        start: Index of the first scene.
        batch_size: Scenes a run.
        prompt: What asks: `"picture"`, `"text"` (the name of the class), `"recording"` (another
            recording of the class), or `"constant"`: every scene is asked for with the same
            prompt, the mean over all pictures, so that the prompt tells nothing. Of no influence
            on models that take no prompt.
        prompt_embeddings: Dict from the id of every picture of the plan to its embedding, for
            models without an image encoder; computed with the model's if not given.
        text_embeddings: Dict from class to the embedding of its name, likewise.
        decode: Function from posteriors (batch, 180) and true azimuths (batch,) to estimates in
            degrees (batch,); by default the most probable direction.
            `keras_avssan.classical.peaks.nearest_of_two_peaks` gives the ceiling of a perfect
            choice.
        microphone_spacing: Distance between the microphones in metres that the model is told,
            whatever that of the scenes, for models that take it as an input. If not given, the
            model's own must be that of the plan's bank.
        on_overlap: What happens where recordings, pictures or rooms of the scenes were in the
            training of the model: `"mark"` says so in the results, `"error"` refuses to score
            them, and what is not known too.
        progress: Whether a progress bar is shown.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: If `prompt` is unknown, `num_scenes` is not positive, pictures or words must
            be embedded and the model cannot, or the plan asks for what is absent; if plan and
            model differ in microphone spacing or sampling rate, which the message names; if the
            model was trained on the scenes, with `on_overlap="error"`; or if an answer is not
            finite, with the scene's index.

    Example:
        >>> evaluation = evaluate_localizer(model, plan, num_scenes=1000)
        >>> print(evaluation.table())
    """
    if prompt not in PROMPTS:
        raise ValueError(f"`prompt` must be one of {PROMPTS}. Received: prompt={prompt!r}")
    if plan.absent:
        raise ValueError(
            "What is absent has no direction to score: see `evaluate_presence`. "
            "Received: a plan with absent=True"
        )
    match_scenes(model, plan, microphone_spacing)
    num_scenes = check_integer("num_scenes", num_scenes, least=1)
    asked = prompt in PROMPT_KINDS and takes_prompt(model)
    plan = replace(plan, prompt_kinds=(prompt if asked else "picture",))
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
            **told_spacing(microphone_spacing),
            "prompt": prompt,
            **_options(plan),
            "training_overlap": overlap,
        },
        plan.bank.t60[[scene.room for scene in scenes]],
    )


def scene_batches(
    model: Any,
    plan,
    num_scenes: int,
    *,
    start: int = 0,
    batch_size: int = 32,
    prompt: Any = "picture",
    prompt_embeddings: Tensor = None,
    text_embeddings: Tensor = None,
    progress: bool = True,
):
    """The scenes of a plan, with embeddings that ask a model.

    Args:
        model: What is to be asked.
        plan: `keras_avssan.data.ScenePlan`.
        num_scenes: Number of scenes.
        start: As `evaluate_localizer` takes it, as are the rest.
        batch_size: Scenes a run.
        prompt: What asks.
        prompt_embeddings: Dict from picture id to embedding, or `None`.
        text_embeddings: Dict from class to embedding, or `None`.
        progress: Whether a progress bar is shown.

    Returns:
        `keras_avssan.data.SceneBatches`.
    """
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


def run_batches(model: Any, batches, microphone_spacing: Any = None, progress: bool = True):
    """Runs a model over scenes.

    Args:
        model: As `evaluate_localizer` takes it.
        batches: `keras_avssan.data.SceneBatches`.
        microphone_spacing: Distance between the microphones in metres, or `None`.
        progress: Whether a progress bar is shown.

    Yields:
        For every batch the outputs, of which `doa` (batch, 180) are the posteriors, and the labels.

    Raises:
        ValueError: If a posterior is not finite; the message names the scene.
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


def _truth(scenes):
    """Azimuths of the targets, and of the interferers: (scenes,), of several (scenes, number)."""
    azimuth = np.array([scene.azimuth for scene in scenes], "float32")
    interferers = np.array([scene.interferer_azimuths for scene in scenes], "float32")
    return azimuth, interferers[:, 0] if interferers.shape[1] == 1 else interferers


def _options(plan):
    """What makes scenes other than those of a plan with default options."""
    defaults = {field.name: field.default for field in fields(plan)}
    return {name: getattr(plan, name) for name in _OPTIONS if getattr(plan, name) != defaults[name]}
