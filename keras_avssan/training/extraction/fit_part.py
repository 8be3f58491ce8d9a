"""Training of one layer of a network on planned scenes, shared by extractor and directions."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_avssan._internal.checks import check_integer, check_positive_number
from keras_avssan._internal.types import PathLike
from keras_avssan.data.scenes.make_dataset import check_loader, load_batches
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.layers.stereo_stft import StereoSTFT
from keras_avssan.models.fitting.recorded_training import describe_plan, one_training, recorded
from keras_avssan.models.fitting.training_record import TrainingRecord
from keras_avssan.models.microphones import match_scenes
from keras_avssan.training.checkpoint_folder import CheckpointFolder
from keras_avssan.training.extraction.scenes_of_step import as_plans, scenes_of_step
from keras_avssan.training.fit_scenes import default_loader, finished
from keras_avssan.training.logs import check_tensorboard
from keras_avssan.training.resumable_fit import WatchedFit
from keras_avssan.training.run_configuration import flat_description, plan_settings
from keras_avssan.training.schedules import warmup_cosine
from keras_avssan.training.training_progress import Course, NonFiniteLoss, check_lengths


def fit_part(
    part: str,
    owner: Any,
    layer: keras.layers.Layer,
    plan: ScenePlan | Sequence[ScenePlan],
    build: Callable[[StereoSTFT], keras.Model],
    batches: Callable[..., Any],
    *,
    steps: int,
    batch_size: int,
    epochs: int,
    learning_rate: float,
    loader: str | None,
    checkpoints: PathLike | None,
    checkpoint_every: int,
    tensorboard: PathLike | None,
    microphone_spacing: float | None,
    stft: StereoSTFT | None,
    command: str | None,
    **kwargs: Any,
) -> keras.callbacks.History:
    """Trains the model that `build` makes around a layer, on `batches` of the plans.

    `part` names the layer in records; `owner` is the network that has it, or the layer itself.
    """
    plans = as_plans(plan)
    check_integer("batch_size", batch_size, least=1)
    check_integer("checkpoint_every", checkpoint_every, least=1)
    steps, epochs = check_lengths(steps, epochs)
    check_positive_number("learning_rate", learning_rate)
    loader = loader or default_loader()
    check_loader(loader)
    if tensorboard is not None:
        check_tensorboard()
    for one in plans:
        match_scenes(layer, one, microphone_spacing)
    stft = find_stft(owner, stft)
    model = build(stft)
    schedule = warmup_cosine(learning_rate, steps)
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=1e-4, global_clipnorm=1.0))
    folder = state = None
    if checkpoints is not None:
        settings: dict[str, Any] = {
            "steps": steps,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": float(f"{learning_rate:.6g}"),
            "microphone_spacing": microphone_spacing,
        }
        folder = CheckpointFolder(
            checkpoints, _describe(model, {part: layer, "stft": stft}, plans, settings)
        )
        state = folder.latest()
    course = _PlansCourse(
        plans[0],
        batch_size,
        steps,
        epochs,
        schedule,
        done=state.step if state else 0,
        plans=plans,
    )
    notes: dict[str, Any] = {
        "part": part,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "steps": steps,
    }
    record = one_training([describe_plan(layer, one, command=command, **notes) for one in plans])
    with _recorded(owner, record, model, resumed=state is not None):
        if course.done == steps:
            assert state is not None
            return finished(model, state)
        dataset = load_batches(
            batches(plans, steps, batch_size, course.done, microphone_spacing), loader
        )
        watched = WatchedFit(course, folder, state, checkpoint_every, tensorboard)
        return watched.run(model, dataset, **kwargs)


@dataclass
class _PlansCourse(Course):
    """Progress of a training whose steps take their scenes from several plans in turn."""

    plans: Sequence[ScenePlan] = field(default_factory=tuple)

    def error(self, step: int, loss: float) -> NonFiniteLoss:
        plan, scenes = scenes_of_step(self.plans, step - 1, self.batch_size)
        return NonFiniteLoss(step, loss, plan, self.batch_size, self.advice, scenes)


def find_stft(model_or_extractor: Any, given: StereoSTFT | None = None) -> StereoSTFT:
    """The given spectrogram, else that of a network; for a layer, that of the default network."""
    if given is not None:
        if not isinstance(given, StereoSTFT):
            raise TypeError(f"`stft` must be a `StereoSTFT`. Received: stft={given!r}")
        return given
    backbone = getattr(model_or_extractor, "backbone", model_or_extractor)
    stft = getattr(backbone, "stft", None)
    return stft if isinstance(stft, StereoSTFT) else StereoSTFT()


def _describe(
    model: keras.Model,
    layers: Mapping[str, keras.layers.Layer],
    plans: Sequence[ScenePlan],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """All that decides the training, as a flat dict that JSON can hold."""
    optimizer = model.optimizer.get_config()
    optimizer.pop("learning_rate", None)
    described = {f"plan_{i}" if i else "plan": plan_settings(p) for i, p in enumerate(plans)}
    return flat_description(
        {
            **settings,
            **described,
            **{name: layer.get_config() for name, layer in layers.items()},
            "optimizer": {"class": type(model.optimizer).__name__, **optimizer},
            "backend": keras.backend.backend(),
        }
    )


def _recorded(
    owner: Any, record: TrainingRecord, trained: keras.Model, resumed: bool
) -> contextlib.AbstractContextManager[None]:
    """Adds the training to the record of a network that has one; layers have none."""
    if not hasattr(owner, "training_record"):
        return contextlib.nullcontext()
    return recorded(owner, record, resumed, trained)
