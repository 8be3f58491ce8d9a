"""Training a localiser on segments of real rooms."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_avssan._internal.atomic_files import sha256
from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.types import PathLike
from keras_avssan.data.scenes.make_dataset import check_loader, load_batches
from keras_avssan.data.starss23.segment_batches import SegmentBatches
from keras_avssan.data.starss23.segment_prompts import SegmentPrompts
from keras_avssan.data.starss23.segments import Segment
from keras_avssan.models.fitting.recorded_training import begin_record, circumstances, recorded
from keras_avssan.models.fitting.training_record import TrainingRecord, fingerprint, item_digest
from keras_avssan.models.microphones import check_spacing, match_spacing
from keras_avssan.models.prompt_embeddings import embed_plan, takes_prompt
from keras_avssan.training.checkpoint_folder import CheckpointFolder
from keras_avssan.training.fit_scenes import default_loader, finished
from keras_avssan.training.logs import check_tensorboard
from keras_avssan.training.resumable_fit import WatchedFit
from keras_avssan.training.run_configuration import describe_training, digest_embeddings
from keras_avssan.training.schedules import compile_with_schedule
from keras_avssan.training.training_progress import (
    EPOCHS,
    Course,
    NonFiniteLoss,
    check_lengths,
)


def fit_segments(
    model: keras.Model,
    prompts: SegmentPrompts,
    *,
    steps: int,
    batch_size: int = 8,
    epochs: int | None = None,
    learning_rate: float | None = None,
    loader: str | None = None,
    prompt_embeddings: Mapping[str, np.ndarray] | None = None,
    checkpoints: PathLike | None = None,
    checkpoint_every: int = 100,
    tensorboard: PathLike | None = None,
    microphone_spacing: float | None = None,
    command: str | None = None,
    **kwargs: Any,
) -> keras.callbacks.History:
    """Trains a model on segments of STARSS23, a new or an already trained one.

    The steps go round the segments, each time in another order and with other pictures, see
    `keras_avssan.data.SegmentBatches`. The recordings do not have the isolated target: the loss is
    that of the direction, without the terms that compare with the target. The model is compiled
    with its own optimizer, whose learning rate follows `warmup_cosine`; a frozen image encoder
    embeds every picture once.

    Logs, the training record, checkpoints and Ctrl-C are as in `fit_scenes`. The record has the
    pictures of the prompts, so that `evaluate_segments` finds those that it has in common with
    a training; recordings are kept apart by the splits of the data set.

    Args:
        model: A `keras_avssan.models.Localizer`, such as `AVSSAN`.
        prompts: `keras_avssan.data.SegmentPrompts` of the MIC format: segments and their pictures.
        steps: Number of steps, at least 2.
        batch_size: Segments per step.
        epochs: Number of parts into which the steps are divided; by default 4, or one per step
            where there are fewer.
        learning_rate: Highest learning rate; the configuration's by default.
        loader: `"tf"` or `"grain"`; by default the one that fits the backend.
        prompt_embeddings: Dict from the id of every picture of `prompts` to its embedding, an
            array of shape (dimensions,), for models without an image encoder.
        checkpoints: Folder of the checkpoints: a new one, in a folder that exists, or that of the
            same training, which is resumed.
        checkpoint_every: Steps between two checkpoints; there is one after every epoch, too.
        tensorboard: Folder of a log for TensorBoard.
        microphone_spacing: Distance between the microphones in metres that is passed to a model
            that takes it as an input. By default the model's own is used, which must be that of
            the data set, `STARSS23.microphone_spacing`.
        command: Command line of the training, for the training record.
        **kwargs: Further arguments of `fit`, such as `callbacks` and `verbose`.

    Returns:
        The `History` of `fit` with all epochs, including those before a resumption.

    Raises:
        TypeError: If `prompts` is not a `SegmentPrompts`.
        ValueError: If an argument is out of range, model and data set differ in microphone spacing
            or sampling rate, the data set is in the FOA format, or `checkpoints` is of another
            training.
        NonFiniteLoss: If a loss or a weight becomes NaN or infinite.
        ImportError: If `tensorboard` is given and not installed.
        KeyboardInterrupt: If the user stops it.

    Example:
        >>> dataset = STARSS23("STARSS23", split="train", duration=4.0)
        >>> prompts = SegmentPrompts(dataset, PictureFolders("pictures"), "classes.csv")
        >>> fit_segments(model, prompts, steps=500, checkpoints="real_rooms.checkpoints")

    Reference:
        AV-SSAN, "Experiments": models are trained on STARSS23 with pictures of the same category.
    """
    if not isinstance(prompts, SegmentPrompts):
        raise TypeError(f"`prompts` must be a `SegmentPrompts`. Received: prompts={prompts!r}")
    check_integer("batch_size", batch_size, least=1)
    check_integer("checkpoint_every", checkpoint_every, least=1)
    steps = check_integer("steps", steps, least=2)
    steps, epochs = check_lengths(steps, min(EPOCHS, steps) if epochs is None else epochs)
    loader = loader or default_loader()
    check_loader(loader)
    if tensorboard is not None:
        check_tensorboard()
    _match(model, prompts, microphone_spacing)
    batches = SegmentBatches(
        prompts,
        steps * batch_size,
        batch_size,
        microphone_spacing=microphone_spacing,
        **_prompt_options(model, prompts, prompt_embeddings),
    )
    schedule = compile_with_schedule(model, learning_rate, steps)
    rate = float(f"{schedule.warmup_target:.6g}")  # without float32's tail
    settings: dict[str, Any] = {
        "steps": steps,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": rate,
        "microphone_spacing": microphone_spacing,
    }
    segments = segments_settings(prompts)
    record = _describe(model, prompts, command=command, **settings, segments=segments)
    folder = state = None
    if checkpoints is not None:
        settings["prompt_embeddings"] = digest_embeddings(prompt_embeddings)
        folder = CheckpointFolder(
            checkpoints, describe_training(model, segments=segments, **settings)
        )
        state = folder.latest()
        begin_record(folder.path, model, record)
    done = state.step if state else 0
    drawn: Any = _Drawn(batches)
    course = _SegmentsCourse(drawn, batch_size, steps, epochs, schedule, done=done)
    with recorded(model, record, resumed=state is not None):
        if done == steps:
            assert state is not None
            return finished(model, state)
        left = (steps - done) * batch_size
        rest = replace(batches, num_segments=left, start=done * batch_size)
        dataset = load_batches(rest, loader)
        watched = WatchedFit(course, folder, state, checkpoint_every, tensorboard)
        return watched.run(model, dataset, **kwargs)


def segments_settings(prompts: SegmentPrompts) -> dict[str, Any]:
    """Settings of segments and their prompts that decide a training, as JSON has them."""
    dataset = prompts.dataset
    ids = [f"{segment.id} {segment.azimuth:.3f}" for segment in prompts.segments]
    pictures = [picture.id for picture in prompts.pictures]
    return {
        "data_set": "STARSS23",
        "split": dataset.split,
        "pair": dataset.pair.name,
        "baffle": dataset.pair.baffle,
        "duration": prompts.segments[0].duration,
        "classes": list(prompts.classes),
        "segments": len(ids),
        "seed": prompts.seed,
        "fingerprint": sha256("\n".join(ids), "\n".join(pictures))[:16],
    }


def _match(model: Any, prompts: SegmentPrompts, microphone_spacing: float | None) -> None:
    """Refuses segments whose sampling rate or spacing differs from the model's."""
    dataset = prompts.dataset
    if dataset.sampling_rate != model.backbone.sampling_rate:
        raise ValueError(
            "`prompts` must have the model's sampling rate, "
            f"{model.backbone.sampling_rate} Hz. Received: sampling_rate={dataset.sampling_rate}"
        )
    if microphone_spacing is not None:
        check_spacing(model, microphone_spacing)
    else:
        match_spacing(model, dataset.microphone_spacing)


def _prompt_options(
    model: Any, prompts: SegmentPrompts, embeddings: Mapping[str, np.ndarray] | None
) -> dict[str, Any]:
    """Prompts as arguments of `SegmentBatches`; pictures if their encoder is trained."""
    encoder = model.backbone.image_encoder if takes_prompt(model) else None
    if embeddings is None and encoder is not None and encoder.trainable:
        return {"image_size": model.backbone.image_size}
    embeddings, _ = embed_plan(model, prompts, ("picture",), pictures=embeddings)
    return {"prompt": "embedding", "prompt_embeddings": embeddings}


def _describe(model: Any, prompts: SegmentPrompts, **notes: Any) -> TrainingRecord:
    """Record of a training on segments."""
    pictures = prompts.pictures if takes_prompt(model) else ()
    digests = frozenset(item_digest(prompts.catalog, picture) for picture in pictures)
    catalog = {
        "kind": type(prompts.catalog).__name__,
        "pictures": len(digests),
        "fingerprint": fingerprint(digests),
    }
    note = {**circumstances(), **notes, "catalog": catalog}
    return TrainingRecord((note,), pictures=digests)


@dataclass(frozen=True)
class _Drawn:
    """The drawn segments by number, as the message of a failed step needs them."""

    batches: SegmentBatches

    @property
    def seed(self) -> int:
        return self.batches.prompts.seed

    @property
    def split(self) -> str | None:
        return self.batches.prompts.dataset.split

    def __getitem__(self, number: int) -> Segment:
        return self.batches.draw(number)[0]


@dataclass
class _SegmentsCourse(Course):
    """Progress of a training on segments."""

    def error(self, step: int, loss: float) -> NonFiniteLoss:
        scenes = range((step - 1) * self.batch_size, step * self.batch_size)
        return NonFiniteLoss(step, loss, self.plan, self.batch_size, self.advice, scenes)
