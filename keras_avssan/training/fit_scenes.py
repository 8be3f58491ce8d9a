"""Training a localiser on planned scenes."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import count
from keras_avssan._internal.types import Tensor
from keras_avssan.data.scenes.make_dataset import make_dataset
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.models.fitting.recorded_training import begin_record, describe_plan, recorded
from keras_avssan.models.microphones import match_scenes
from keras_avssan.models.prompt_embeddings import embed_plan, takes_prompt
from keras_avssan.training.checkpoint_folder import CheckpointFolder
from keras_avssan.training.logs import check_tensorboard
from keras_avssan.training.resumable_fit import WatchedFit
from keras_avssan.training.run_configuration import describe_training, digest_embeddings
from keras_avssan.training.schedules import warmup_cosine
from keras_avssan.training.training_progress import Course

# What a plan that validates may share with the training, and how it shares nothing.
_KINDS = {"rooms": "rooms", "clips": "recordings", "pictures": "pictures"}
_HOW = {
    "rooms": 'other rooms of the bank (`ScenePlan(..., rooms=bank.part("validation"))`, and '
    '`rooms=bank.part("train")` in training)',
    "clips": "another split",
    "pictures": "another split",
}


def default_loader():
    """The loader that fits the backend: `"tf"` under TensorFlow, else `"grain"`."""
    return "tf" if keras.backend.backend() == "tensorflow" else "grain"


def fit_scenes(
    model: Any,
    train_plan: ScenePlan,
    *,
    steps: int,
    validation_plan: ScenePlan = None,
    validation_scenes: int = 256,
    batch_size: int = 32,
    epochs: int = 4,
    learning_rate: float | None = None,
    loader=None,
    render: str = "host",
    prompt_embeddings: Tensor = None,
    text_embeddings: Tensor = None,
    make=None,
    checkpoints=None,
    checkpoint_every: int = 100,
    tensorboard=None,
    microphone_spacing: Any = None,
    command: str | None = None,
    **kwargs: Any,
):
    """Trains a model on fresh scenes of a plan, each heard once.

    The model is compiled with its own optimizer under a warm-up and a cosine, and its own loss.
    Where the image encoder is frozen, every picture is embedded once before, and kept beside the
    data. What asks is for the plan to say: with `prompt_kinds=("picture", "recording")` one model
    learns both.

    What it was trained on becomes part of the model, `model.training_record`, and of its presets
    and `.keras` files, so that `evaluate_localizer` can tell scenes that are no test.

    With `checkpoints` nothing is lost when the training is stopped or killed: the same call, with
    a model that is made in the same way, resumes from the last checkpoint as if nothing had
    happened; on a processor every number is the same. The folder also gets `log.csv`, a line a
    step, and `epochs.csv`, a line an epoch. Ctrl-C stops after the step, and writes a checkpoint
    first. Where a loss is not finite, the training stops before such weights are written.

    Args:
        model: A `keras_avssan.models.Localizer`, such as `AVSSAN`.
        train_plan: `keras_avssan.data.ScenePlan` to train on.
        steps: Number of steps.
        validation_plan: Plan to validate on after every epoch, of other rooms (`rooms=`) and of
            another split: a warning counts the rooms, recordings and pictures of the training that
            it draws from.
        validation_scenes: Number of its scenes.
        batch_size: Scenes a step.
        epochs: Number of equal parts into which the steps are divided, for the log.
        learning_rate: Highest learning rate; the configuration's if not given.
        loader: `"tf"` or `"grain"`; the one that fits the backend if not given.
        render: `"host"` or `"device"`: where scenes are rendered, see `make_dataset`.
        prompt_embeddings: Dict from the id of every picture of the plans to its embedding, for
            models without an image encoder.
        text_embeddings: Dict from class to the embedding of its name, likewise, where the plans'
            `prompt_kinds` have `"text"`.
        make: Function that makes the datasets, called as `make_dataset` is, to take rendered
            scenes from somewhere else; `make_dataset` if not given.
        checkpoints: Folder of the checkpoints: a new one, in a folder that exists, or that of the
            same training.
        checkpoint_every: Steps between two checkpoints; there is one after every epoch, too. The
            last two are kept.
        tensorboard: Folder of a log for TensorBoard.
        microphone_spacing: Distance between the microphones in metres that the model is told,
            whatever its own, for a model that takes it as an input. If not given, the model's own
            must be that of the plans' banks.
        command: Command line that the training belongs to, a string for the training record.
        **kwargs: Further arguments of `fit`, such as `callbacks` and `verbose`. Callbacks have to
            keep their own state. `verbose="auto"` is a bar on a terminal, and else a line an
            epoch.

    Returns:
        The `History` of `fit`, with all epochs, those done before included.

    Raises:
        ValueError: If an argument is out of range, model and plans differ in microphone spacing
            or sampling rate, or `checkpoints` is of another training; the message names the first
            difference.
        NonFiniteLoss: If a loss or a weight becomes NaN or infinite; `failed_batch.json` among the
            checkpoints tells all about the batch, and `replay_batch` makes it again.
        ImportError: If `tensorboard` is given and not installed.
        KeyboardInterrupt: If the user stops it. With checkpoints, the message says where.

    Example:
        >>> plan = ScenePlan(catalog, bank, split="train")
        >>> fit_scenes(model, plan, steps=1000, checkpoints="model.checkpoints")
    """
    check_integer("checkpoint_every", checkpoint_every, least=1)
    if epochs < 1 or steps < epochs:
        raise ValueError(
            f"`epochs` must be from 1 to `steps`. Received: epochs={epochs}, steps={steps}"
        )
    if tensorboard is not None:
        check_tensorboard()
    for plan in filter(None, (train_plan, validation_plan)):
        match_scenes(model, plan, microphone_spacing)
    steps_per_epoch = steps // epochs
    steps = steps_per_epoch * epochs
    schedule = _compile(model, learning_rate, steps)
    options = {
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
        settings = {
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
        folder = CheckpointFolder(checkpoints, describe_training(model, train_plan, **settings))
        state = folder.latest()
        begin_record(folder.path, model, record)
    course = Course(
        train_plan, batch_size, steps, steps_per_epoch, schedule, done=state.step if state else 0
    )
    if course.done == steps:
        with recorded(model, record, resumed=True):
            return _finished(model, state)
    validation = validation_plan and scene_dataset(
        model, validation_plan, validation_scenes, batch_size, **options
    )
    left = (steps - course.done) * batch_size
    dataset = scene_dataset(
        model, train_plan, left, batch_size, start=course.done * batch_size, **options
    )
    fit = {"validation_data": validation, "epochs": epochs, "steps_per_epoch": steps_per_epoch}
    watched = WatchedFit(course, folder, state, checkpoint_every, tensorboard)
    with recorded(model, record, resumed=state is not None):
        return watched.run(model, dataset, **fit, **kwargs)


def scene_dataset(
    model: Any,
    plan: ScenePlan,
    num_scenes: int,
    batch_size: int,
    *,
    start: int = 0,
    loader=None,
    render: str = "host",
    prompt_embeddings: Tensor = None,
    text_embeddings: Tensor = None,
    make=None,
    microphone_spacing: Any = None,
):
    """The scenes of a plan as a model is trained on them.

    Args:
        model: A `keras_avssan.models.Localizer`.
        plan: `keras_avssan.data.ScenePlan`.
        num_scenes: Number of scenes.
        batch_size: Scenes a batch.
        start: Index of the first scene in the plan.
        loader: As `fit_scenes` takes it, as are the rest.
        render: `"host"` or `"device"`.
        prompt_embeddings: Dict from picture id to embedding, or `None`.
        text_embeddings: Dict from class to embedding, or `None`.
        make: Function that makes the datasets, or `None`.
        microphone_spacing: Distance in metres that the model is told, or `None`.

    Returns:
        A dataset, see `make_dataset`.
    """
    # A function of the user's may know no other start, and nothing of the spacing.
    further = {"start": start} if start else {}
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


def _compile(model: Any, learning_rate: float, steps: int):
    """Compiles a model with its own optimizer, and all else as it was; returns the schedule."""
    optimizer = model.default_optimizer()
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    schedule = warmup_cosine(learning_rate or rate, steps)
    config = {**optimizer.get_config(), "learning_rate": schedule}
    optimizer = type(optimizer).from_config(config)
    kept = dict(model._compile_config.config) if model.compiled else {}
    model.compile(**{**kept, "optimizer": optimizer})
    return schedule


def _warn_of_overlap(model: keras.Model, record: Any, plan: ScenePlan) -> None:
    """Warns where a plan that validates shares rooms, recordings or pictures with the training."""
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
        f"`validation_plan` draws from what the training draws from: {numbers}. Its scores do not "
        f"tell how well the model does on what it has not heard or seen. Give it {advice}; "
        "`plan.room_range` tells the rooms of a plan.",
        stacklevel=3,
    )


def _finished(model: Any, state):
    """The history of a training that is through already."""
    state.apply(model)
    history = keras.callbacks.History()
    history.set_model(model)
    history.history = state.history
    history.epoch = list(range(len(next(iter(state.history.values()), []))))
    model.history = history
    return history


def _prompts(model: Any, plan: ScenePlan, pictures: Any, texts: Sequence[str]):
    """The prompts of scenes, as arguments of `make_dataset`; pictures where an encoder learns."""
    if takes_prompt(model) and pictures is None:
        encoder = model.backbone.image_encoder
        if encoder is None or encoder.trainable:
            return {"image_size": model.backbone.image_size}
    kinds = ("picture", *plan.prompt_kinds)
    pictures, texts = embed_plan(model, plan, kinds, pictures=pictures, texts=texts)
    return {"prompt": "embedding", "prompt_embeddings": pictures, "text_embeddings": texts}
