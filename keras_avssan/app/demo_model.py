"""A small model on built-in data, to try the page with."""

import os

import keras

from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.models import AVSSAN
from keras_avssan.simulation import RIRBank
from keras_avssan.training import fit_scenes, save_whole

CLASSES = ("bell", "bird", "dog", "drum", "engine", "rain")


def demo_plan(split, rooms=150, seed=0):
    """Scenes of six classes that the library makes itself, in simulated rooms.

    Args:
        split: `"train"` or `"test"`.
        rooms: Number of rooms.
        seed: Seed of rooms and scenes.

    Returns:
        A `keras_avssan.data.ScenePlan`.
    """
    bank = RIRBank.build(rooms, seed=seed, sources_per_room=6, progress=False)
    return ScenePlan(SyntheticClasses(CLASSES), bank, split=split, seed=seed)


def demo_model(folder, steps=560, rooms=150):
    """The model of the quickstart: read from a folder, or trained once and kept there.

    Args:
        folder: Path of its preset folder, in a folder that exists.
        steps: Training steps of 32 scenes.
        rooms: Rooms to train in.

    Returns:
        A trained `AVSSAN`.

    Raises:
        ValueError: If the folder is something else, or its parent does not exist.

    Example:
        >>> model = demo_model("avssan_demo")
    """
    if os.path.exists(folder):
        return AVSSAN.from_preset(folder)
    if not os.path.isdir(os.path.dirname(os.path.abspath(folder))):
        raise ValueError(f"`folder` must lie in an existing folder. Received: {folder}")
    keras.utils.set_random_seed(1)
    model = AVSSAN(dim=32, mlp_dim=128, audio_encoder=LogMelEncoder(filters=(8, 16, 32)))
    fit_scenes(
        model,
        demo_plan("train", rooms),
        steps=steps,
        epochs=min(4, steps),
        learning_rate=4e-3,
        checkpoints=f"{folder}.checkpoints",
    )
    save_whole(model, folder)
    return model
