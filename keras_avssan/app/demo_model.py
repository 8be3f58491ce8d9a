"""A small demo model, trained on built-in data."""

import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

import keras
from tqdm import tqdm

from keras_avssan._internal.start_up.keras_tensorflow import set_random_seed
from keras_avssan._internal.types import PathLike
from keras_avssan.app.demo_folder import as_typed, demo_folder
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.models import AVSSAN
from keras_avssan.simulation import RIRBank
from keras_avssan.training import fit_scenes, save_atomically

CLASSES = ("bell", "bird", "dog", "drum", "engine", "rain")


def demo_plan(split: str, rooms: int = 150, seed: int = 0, progress: bool = False) -> ScenePlan:
    """Plan of scenes of six synthetic classes in simulated rooms."""
    bank = RIRBank.build(rooms, seed=seed, sources_per_room=6, progress=progress)
    return ScenePlan(SyntheticClasses(CLASSES), bank, split=split, seed=seed)


def demo_model(
    folder: PathLike | None = None, steps: int = 560, rooms: int = 150, progress: bool = False
) -> AVSSAN:
    """The model of the quickstart: read from a folder, or trained once and kept there.

    A training that was stopped resumes from its last checkpoint.

    Args:
        folder: Path of its preset folder, in a folder that exists. Default: `model` in the
            `demo_folder()`, where the quickstart keeps its model too.
        steps: Training steps of 32 scenes.
        rooms: Rooms to train in.
        progress: Whether to print to standard error what is done, and how long it will take.

    Returns:
        A trained `AVSSAN`.

    Raises:
        ValueError: If the folder is something else, or its parent does not exist.

    Example:
        >>> model = demo_model("avssan_demo")
    """
    if folder is None:
        folder = demo_folder() / "model"
        folder.parent.mkdir(parents=True, exist_ok=True)
    folder = os.fspath(folder)
    say: Callable[..., None] = tqdm.write if progress else lambda *_, **__: None
    if os.path.exists(folder):
        say(f"Demo model: {as_typed(folder)}", file=sys.stderr)
        return AVSSAN.from_preset(folder)
    if not os.path.isdir(os.path.dirname(os.path.abspath(folder))):
        raise ValueError(f"`folder` must lie in an existing folder. Received: folder={folder!r}")
    say(
        f"No demo model yet in {as_typed(folder)}: training one, about 7 minutes on two cores.\n"
        "This is done once. Ctrl-C stops it, and the same command resumes it.",
        file=sys.stderr,
    )
    say(f"1 of 2: simulating {rooms} rooms", file=sys.stderr)
    plan = demo_plan("train", rooms, progress=progress)
    say(f"2 of 2: training {steps} steps on six classes of sounds and drawings", file=sys.stderr)
    set_random_seed(1)
    model = AVSSAN(dim=32, mlp_dim=128, audio_encoder=LogMelEncoder(filters=(8, 16, 32)))
    fit_scenes(
        model,
        plan,
        steps=steps,
        learning_rate=4e-3,
        checkpoints=f"{folder}.checkpoints",
        callbacks=[_StepsLeft(steps)] if progress else None,
        verbose=0,
    )
    save_atomically(model, folder)
    shutil.rmtree(f"{folder}.checkpoints", ignore_errors=True)
    say(f"The demo model is kept in {as_typed(folder)}", file=sys.stderr)
    return model


class _StepsLeft(keras.callbacks.Callback):
    """A progress bar over all steps of a training, with the time left."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self._bar: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        done = int(self.model.optimizer.iterations)  # of a training that resumes
        interval = 0.5 if sys.stderr.isatty() else 20.0  # seconds; in a log, few lines
        self._bar = tqdm(total=self.steps, initial=done, unit="step", mininterval=interval)

    def on_train_batch_end(self, batch: Any, logs: dict[str, Any] | None = None) -> None:
        self._bar.update()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._bar.close()
