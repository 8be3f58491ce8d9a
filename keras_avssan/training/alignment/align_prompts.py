"""`align_prompts`, the stage before a localiser is trained: what sounds like the prompt."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_avssan._internal.checks import check_integer, check_positive_number
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.models.fitting.recorded_training import describe_plan
from keras_avssan.models.fitting.training_record import join_records
from keras_avssan.training.alignment.contrast import (
    DROPOUT,
    WORD_DROPOUT,
    ContrastiveNetwork,
    Side,
    Standardisation,
    train_contrast,
)
from keras_avssan.training.alignment.examples import (
    PromptExamples,
    check_alignable,
    check_vectors,
    own_projection,
    prompt_examples,
    sound_examples,
)
from keras_avssan.training.alignment.retrieval import RetrievalItems, class_mean, retrieval_items


def align_prompts(
    model: keras.Model,
    plan: ScenePlan,
    *,
    steps: int = 400,
    validation_plan: ScenePlan | None = None,
    scenes: int = 256,
    learning_rate: float = 1e-3,
    seed: int = 0,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    sounds: tuple[np.ndarray, np.ndarray] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Aligns prompts with sounds by contrast, on embeddings that are computed once.

    It trains the two projections whose cosine is the output `similarity`, those of prompts and of
    sounds in the semantic bridge, from random weights on, and nothing else in the network; with a
    `PictureTextEncoder` also its projection of words. Sounds and prompts of one class are to be
    more similar than those of different classes. This takes seconds after the embeddings, so that
    the training of the localiser starts with what a prompt sounds like, and has to learn where.

    The result is the same for the same seed. An interruption leaves the model as it was.

    Args:
        model: `keras_avssan.models.AVSSAN` with `visual_prompt` and `semantic_audio` and frozen
            encoders.
        plan: `keras_avssan.data.ScenePlan` with the recordings and pictures to train on.
        steps: Number of steps.
        validation_plan: Plan of another split, to measure on with
            `keras_avssan.evaluation.evaluate_retrieval`.
        scenes: Number of scenes whose targets, alone in their rooms, are further sounds.
        learning_rate: Learning rate of the first step, from which it falls by a cosine to 0.
        seed: Seed of batches, dropout and initial weights.
        prompt_embeddings: Dict from picture id to embedding (d_V,), for models without an image
            encoder.
        text_embeddings: Dict from class to the embedding of its name, likewise.
        sounds: Embeddings (n, d_A) and indices of their classes in `plan.classes` (n,), in place
            of `sound_examples(model, plan)`.
        progress: Whether progress bars are shown.

    Returns:
        Dict with `loss`, a list with the loss of every step, and, with a `validation_plan`,
        `retrieval`: by kind of prompt, the means of `evaluate_retrieval` after the last step.

    Raises:
        TypeError: If `plan` is not a `ScenePlan`, or `sounds` is no pair of arrays.
        ValueError: If the model compares no prompts with sounds, has an encoder that is not
            frozen, or an argument is out of range.
        KeyboardInterrupt: If the user stops it; the model has the weights of before.

    Example:
        >>> result = align_prompts(model, plan, validation_plan=ScenePlan(catalog, bank, "val"))
        >>> by_kind = result["retrieval"]
        >>> of_pictures = by_kind["picture"]
        >>> of_pictures["order"]
        0.91

    Reference:
        Khosla et al., Supervised Contrastive Learning, 2020, equation (2), over sounds, pictures
        and words.
    """
    items: RetrievalItems | None = None
    if validation_plan is not None:  # first, since it may be refused
        items = retrieval_items(
            model,
            validation_plan,
            prompt_embeddings=prompt_embeddings,
            text_embeddings=text_embeddings,
            progress=progress,
        )
    losses = align(
        model,
        plan,
        steps=steps,
        scenes=scenes,
        learning_rate=learning_rate,
        seed=seed,
        prompt_embeddings=prompt_embeddings,
        text_embeddings=text_embeddings,
        sounds=sounds,
        progress=progress,
    )
    record = describe_plan(
        model,
        plan,
        validation_plan,
        stage="align_prompts",
        learning_rate=learning_rate,
        steps=steps,
    )
    model.training_record = join_records(model.training_record, record)
    result: dict[str, Any] = {"loss": losses}
    if items is not None:
        scores = items.scores(model)
        result["retrieval"] = {
            kind: {name: class_mean(values) for name, values in by_name.items()}
            for kind, by_name in scores.items()
        }
    return result


def align(
    model: keras.Model,
    plan: ScenePlan,
    *,
    steps: int,
    scenes: int = 256,
    learning_rate: float = 1e-3,
    seed: int = 0,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    sounds: tuple[np.ndarray, np.ndarray] | None = None,
    progress: bool = True,
) -> list[float]:
    """`align_prompts` without a training record or validation; returns the loss of every step."""
    steps = check_integer("steps", steps, least=1)
    check_positive_number("learning_rate", learning_rate, "learning rate")
    seed = check_integer("seed", seed)
    check_alignable(model)
    prompts = prompt_examples(model, plan, prompt_embeddings, text_embeddings, progress)
    if sounds is None:
        sounds = sound_examples(model, plan, scenes=scenes, progress=progress)
    _check_sounds(sounds, model, plan)
    losses, weights = _train(
        model, prompts, sounds, len(plan.classes), steps, learning_rate, seed, progress
    )
    for layer, values in weights:  # the only change of the model
        layer.set_weights(values)
    return losses


def _check_sounds(sounds: tuple[np.ndarray, np.ndarray], model: Any, plan: ScenePlan) -> None:
    """Refuses embeddings of sounds that do not fit the model or lack a class."""
    if not isinstance(sounds, (tuple, list)) or len(sounds) != 2:
        raise TypeError(
            "`sounds` must be a tuple of embeddings and indices of their classes. "
            f"Received: sounds={sounds!r}"
        )
    vectors, classes = map(np.asarray, sounds)
    if vectors.dtype.kind not in "fiu" or classes.dtype.kind not in "iu":
        raise TypeError(
            "`sounds` must be arrays of numbers and of integers. "
            f"Received: sounds of types {vectors.dtype} and {classes.dtype}"
        )
    width = model.backbone.bridge.audio_projection.kernel.shape[0]
    if vectors.ndim != 2 or vectors.shape[1] != width or classes.shape != vectors.shape[:1]:
        raise ValueError(
            f"`sounds` must be embeddings (n, {width}) and the indices of their classes (n,). "
            f"Received: arrays of shapes {vectors.shape} and {classes.shape}"
        )
    missing = set(range(len(plan.classes))) ^ set(classes.tolist())
    if missing:
        raise ValueError(
            f"`sounds` must have the indices of all {len(plan.classes)} classes of the plan and "
            f"no others. Received: classes that differ by {sorted(missing)}"
        )
    check_vectors("sounds", vectors)


def _train(
    model: Any,
    prompts: PromptExamples,
    sounds: tuple[np.ndarray, np.ndarray],
    classes: int,
    steps: int,
    learning_rate: float,
    seed: int,
    progress: bool,
) -> tuple[list[float], list[tuple[keras.Layer, list[np.ndarray]]]]:
    """Losses, and the layers with their new weights; the model itself does not change."""
    bridge = model.backbone.bridge
    pictures = _as_bridge_scales(prompts.pictures, bridge.scale_prompt)
    of_sounds, of_pictures = Standardisation.of(sounds[0]), Standardisation.of(pictures)
    sides = {
        "sounds": Side.of(of_sounds.apply(sounds[0]), sounds[1], classes, DROPOUT),
        "pictures": Side.of(of_pictures.apply(pictures), prompts.classes, classes, DROPOUT),
    }
    projected, words = prompts.words_are_projected, prompts.words
    of_words = of_pictures
    if words is not None:
        if projected:
            of_words = Standardisation.of(words, each=False)
        else:
            words = _as_bridge_scales(words, bridge.scale_prompt)
        sides["words"] = Side.of(of_words.apply(words), np.arange(classes), classes, WORD_DROPOUT)
    width = pictures.shape[-1]
    network = ContrastiveNetwork(
        bridge.dim,
        width if projected else None,
        of_pictures,
        np.sqrt(width) if bridge.scale_prompt else 1.0,
    )
    losses = train_contrast(
        network, sides, steps=steps, learning_rate=learning_rate, seed=seed, progress=progress
    )
    weights = [
        (bridge.audio_projection, of_sounds.fold(*network.sound.get_weights())),
        (bridge.prompt_projection, of_pictures.fold(*network.prompt.get_weights())),
    ]
    if network.word is not None:
        kernel, bias = of_words.fold(*network.word.get_weights())
        features = [kernel * of_pictures.scale, of_pictures.mean + bias * of_pictures.scale]
        weights.append((own_projection(model), features))
    return losses, weights


def _as_bridge_scales(vectors: np.ndarray, scale_prompt: bool) -> np.ndarray:
    """Prompt embeddings as the bridge projects them."""
    if not scale_prompt:
        return vectors
    return vectors / np.sqrt(np.mean(np.square(vectors), axis=-1, keepdims=True) + 1e-8)
