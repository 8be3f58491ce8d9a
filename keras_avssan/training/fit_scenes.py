"""Training a localiser on planned scenes."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_avssan._internal.atomic_files import read_json
from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import count
from keras_avssan._internal.types import PathLike
from keras_avssan.data.scenes.make_dataset import make_dataset
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.models.fitting.recorded_training import begin_record, describe_plan, recorded
from keras_avssan.models.fitting.training_record import TrainingRecord
from keras_avssan.models.microphones import match_scenes
from keras_avssan.models.prompt_embeddings import embed_plan, takes_prompt
from keras_avssan.training.alignment.align_prompts import align
from keras_avssan.training.alignment.examples import check_alignable, check_plan
from keras_avssan.training.checkpoint_folder import CONFIG, CheckpointFolder
from keras_avssan.training.logs import check_tensorboard
from keras_avssan.training.resumable_fit import WatchedFit
from keras_avssan.training.run_configuration import (
    describe_training,
    digest_embeddings,
    plan_settings,
)
from keras_avssan.training.schedules import compile_with_schedule
from keras_avssan.training.training_progress import EPOCHS, Course, check_lengths
from keras_avssan.training.training_state import TrainingState

# Data that a validation plan may share with the training, and how to avoid it.
_KINDS = {"rooms": "rooms", "clips": "recordings", "pictures": "pictures"}
_HOW = {
    "rooms": 'other rooms of the bank (`ScenePlan(..., rooms=bank.part("validation"))`, and '
    '`rooms=bank.part("train")` in training)',
    "clips": "another split",
    "pictures": "another split",
}


def default_loader() -> str:
    """Returns the loader that fits the backend: `"tf"` under TensorFlow, else `"grain"`."""
    return "tf" if keras.backend.backend() == "tensorflow" else "grain"


def fit_scenes(
    model: keras.Model,
    train_plan: ScenePlan,
    *,
    steps: int,
    validation_plan: ScenePlan | None = None,
    validation_scenes: int = 256,
    batch_size: int = 32,
    epochs: int | None = None,
    learning_rate: float | None = None,
    loader: str | None = None,
    render: str = "host",
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    make: Callable[..., Any] | None = None,
    checkpoints: PathLike | None = None,
    checkpoint_every: int = 100,
    tensorboard: PathLike | None = None,
    microphone_spacing: float | None = None,
    align_steps: int = 0,
    command: str | None = None,
    **kwargs: Any,
) -> keras.callbacks.History:
    """Trains a model on scenes of a plan, each used once.

    The model is compiled with its own loss and its own optimizer, whose learning rate follows
    `warmup_cosine`. If the image encoder is frozen, every picture is embedded once in advance. The
    plan decides the kinds of prompts: with `prompt_kinds=("picture", "recording")` one model is
    trained with both.

    A record of the training data becomes part of the model, `model.training_record`, and of its
    presets and `.keras` files, so that `evaluate_localizer` can recognise scenes of the training.

    With `checkpoints` the training can be stopped or killed: the same call, with a model that is
    made in the same way, resumes from the last checkpoint; on a CPU every number is the same as
    without the interruption. The folder also gets `log.csv`, a line a step, and `epochs.csv`, a
    line an epoch. Ctrl-C stops after the step, and writes a checkpoint first. If a loss is not
    finite, the training stops before such weights are written.

    Args:
        model: A `keras_avssan.models.Localizer`, such as `AVSSAN`.
        train_plan: `keras_avssan.data.ScenePlan` to train on.
        steps: Number of steps, at least 2; exactly so many are trained.
        validation_plan: Plan to validate on after every epoch, of other rooms (`rooms=`) and of
            another split: a warning counts the rooms, recordings and pictures that it shares with
            the training.
        validation_scenes: Number of its scenes.
        batch_size: Scenes per step.
        epochs: Number of parts into which the steps are divided, for the log and validation: of
            equal length, or, where `steps` is not a multiple of it, of lengths that differ by one
            step. By default 4, or one per step where there are fewer.
        learning_rate: Highest learning rate; the configuration's by default.
        loader: `"tf"` or `"grain"`; by default the one that fits the backend.
        render: `"host"` or `"device"`: where scenes are rendered, see `make_dataset`.
        prompt_embeddings: Dict from the id of every picture of the plans to its embedding, an
            array of shape (dimensions,), for models without an image encoder.
        text_embeddings: Dict from class to the embedding of its name, likewise, for plans whose
            `prompt_kinds` have `"text"`.
        make: Function that makes the datasets, called as `make_dataset` is, to take rendered
            scenes from somewhere else; `make_dataset` if not given.
        checkpoints: Folder of the checkpoints: a new one, in a folder that exists, or that of the
            same training.
        checkpoint_every: Steps between two checkpoints; there is one after every epoch, too. The
            last two are kept.
        tensorboard: Folder of a log for TensorBoard.
        microphone_spacing: Distance between the microphones in metres that is passed to a model
            that takes it as an input. By default the model's own is used, which must be that of
            the plans' banks.
        align_steps: Steps of `align_prompts` on the training plan before the training; 0 for none.
        command: Command line of the training, for the training record.
        **kwargs: Further arguments of `fit`, such as `callbacks` and `verbose`. Callbacks have to
            keep their own state. `verbose="auto"` shows a bar on a terminal, and else prints a
            line an epoch.

    Returns:
        The `History` of `fit` with all epochs, including those before a resumption.

    Raises:
        TypeError: If a plan is not a `ScenePlan`.
        ValueError: If an argument is out of range, model and plans differ in microphone spacing
            or sampling rate, or `checkpoints` is of another training; the message names the first
            difference.
        NonFiniteLoss: If a loss or a weight becomes NaN or infinite; `failed_batch.json` among the
            checkpoints describes the batch, and `replay_batch` makes it again.
        ImportError: If `tensorboard` is given and not installed.
        KeyboardInterrupt: If the user stops it. With checkpoints, the message states the step;
            without them, the model keeps the weights that it has reached.

    Example:
        >>> plan = ScenePlan(catalog, bank, split="train")
        >>> fit_scenes(model, plan, steps=1000, checkpoints="model.checkpoints")
    """
    check_plan(train_plan, "train_plan")
    if validation_plan is not None:
        check_plan(validation_plan, "validation_plan")
    check_integer("checkpoint_every", checkpoint_every, least=1)
    check_integer("batch_size", batch_size, least=1)
    check_integer("validation_scenes", validation_scenes, least=1)
    if check_integer("align_steps", align_steps):
        check_alignable(model)
    steps = check_integer("steps", steps, least=2)
    steps, epochs = check_lengths(steps, min(EPOCHS, steps) if epochs is None else epochs)
    if tensorboard is not None:
        check_tensorboard()
    for plan in filter(None, (train_plan, validation_plan)):
        match_scenes(model, plan, microphone_spacing)
    if checkpoints is not None:
        steps = _stored_steps(checkpoints, steps, epochs)
    schedule = compile_with_schedule(model, learning_rate, steps)
    options: dict[str, Any] = {
        "loader": loader,
        "render": render,
        "prompt_embeddings": prompt_embeddings,
        "text_embeddings": text_embeddings,
        "make": make,
        "microphone_spacing": microphone_spacing,
    }
    rate = float(f"{schedule.warmup_target:.6g}")  # without float32's tail
    record = describe_plan(
        model,
        train_plan,
        validation_plan,
        command=command,
        batch_size=batch_size,
        learning_rate=rate,
        steps=steps,
    )
    if validation_plan is not None:
        _warn_of_overlap(model, record, validation_plan)
    folder = state = None
    if checkpoints is not None:
        settings: dict[str, Any] = {
            "steps": steps,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": rate,
            "render": render,
            "prompt_embeddings": digest_embeddings(prompt_embeddings),
            "text_embeddings": digest_embeddings(text_embeddings),
        }
        if microphone_spacing is not None:
            settings["microphone_spacing"] = microphone_spacing
        if align_steps:
            settings["align_steps"] = align_steps
        settings["plan"] = plan_settings(train_plan)
        folder = CheckpointFolder(checkpoints, describe_training(model, **settings))
        state = folder.latest()
        begin_record(folder.path, model, record)
    if align_steps:  # when resumed too, since a projection of words is in no checkpoint
        align(
            model,
            train_plan,
            steps=align_steps,
            prompt_embeddings=prompt_embeddings,
            text_embeddings=text_embeddings,
            progress=kwargs.get("verbose", "auto") != 0,
        )
    done = state.step if state else 0
    course = Course(train_plan, batch_size, steps, epochs, schedule, done=done)
    if course.done == steps:
        with recorded(model, record, resumed=True):
            assert state is not None
            return finished(model, state)
    validation = validation_plan and scene_dataset(
        model, validation_plan, validation_scenes, batch_size, **options
    )
    left = (steps - course.done) * batch_size
    dataset = scene_dataset(
        model, train_plan, left, batch_size, start=course.done * batch_size, **options
    )
    watched = WatchedFit(course, folder, state, checkpoint_every, tensorboard)
    with recorded(model, record, resumed=state is not None):
        return watched.run(model, dataset, validation_data=validation, **kwargs)


def scene_dataset(
    model: keras.Model,
    plan: ScenePlan,
    num_scenes: int,
    batch_size: int,
    *,
    start: int = 0,
    loader: str | None = None,
    render: str = "host",
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    text_embeddings: Mapping[str, np.ndarray] | None = None,
    make: Callable[..., Any] | None = None,
    microphone_spacing: float | None = None,
) -> Any:
    """Makes the dataset of a plan's scenes as `fit_scenes`, whose arguments it shares, uses it.

    `start` is the index of the first scene in the plan.
    """
    # The user's function may accept neither another start nor the spacing.
    further: dict[str, Any] = {"start": start} if start else {}
    if microphone_spacing is not None:
        further["microphone_spacing"] = microphone_spacing
    return (make or make_dataset)(
        plan,
        num_scenes,
        batch_size,
        loader=loader or default_loader(),
        render=render,
        **further,
        **_prompts(model, plan, prompt_embeddings, text_embeddings),
    )


def _stored_steps(checkpoints: PathLike, steps: int, epochs: int) -> int:
    """The steps of a training, as many as earlier versions rounded them to if one began it."""
    rounded = steps // epochs * epochs
    stored = read_json(Path(checkpoints) / CONFIG) if rounded < steps else None
    if not isinstance(stored, dict) or (stored.get("steps"), stored.get("epochs")) != (
        rounded,
        epochs,
    ):
        return steps
    warnings.warn(
        f"`checkpoints` holds a training of {rounded} steps, to which earlier versions rounded "
        f"`steps` down: it ends there. Received: steps={steps}, epochs={epochs}",
        stacklevel=3,
    )
    return rounded


def _warn_of_overlap(model: keras.Model, record: TrainingRecord, plan: ScenePlan) -> None:
    """Warns if a validation plan shares rooms, recordings or pictures with the training."""
    own = describe_plan(model, plan)
    sets = {kind: (getattr(own, kind), getattr(record, kind)) for kind in _KINDS}
    shared = {kind: (len(mine & theirs), len(mine)) for kind, (mine, theirs) in sets.items()}
    found = {kind: numbers for kind, numbers in shared.items() if numbers[0]}
    if not found:
        return
    numbers = ", ".join(
        f"{some} of {count(every, _KINDS[kind].removesuffix('s'))}"
        for kind, (some, every) in found.items()
    )
    advice = " and ".join(dict.fromkeys(_HOW[kind] for kind in found))
    warnings.warn(
        f"`validation_plan` shares data with the training: {numbers}. Its scores do not measure "
        f"performance on data unseen in training. Give it {advice}; `plan.room_range` is the range "
        "of a plan's rooms.",
        stacklevel=3,
    )


def finished(model: keras.Model, state: TrainingState) -> keras.callbacks.History:
    """Returns the history of a training that is already complete."""
    state.apply(model)
    history = keras.callbacks.History()
    history.set_model(model)
    history.history = state.history
    history.epoch = list(range(len(next(iter(state.history.values()), []))))
    model.history = history
    return history


def _prompts(
    model: keras.Model,
    plan: ScenePlan,
    pictures: Mapping[str, np.ndarray] | None,
    texts: Mapping[str, np.ndarray] | None,
) -> dict[str, Any]:
    """Prompts of scenes as arguments of `make_dataset`; pictures if their encoder is trained."""
    if takes_prompt(model) and pictures is None:
        encoder = model.backbone.image_encoder
        if encoder is None or encoder.trainable:
            return {"image_size": model.backbone.image_size}
    kinds = ("picture", *plan.prompt_kinds)
    pictures, texts = embed_plan(model, plan, kinds, pictures=pictures, texts=texts)
    return {"prompt": "embedding", "prompt_embeddings": pictures, "text_embeddings": texts}
