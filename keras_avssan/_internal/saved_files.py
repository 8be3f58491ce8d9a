"""Files of saved models and of checkpoints, and packaged models, known before Keras is imported."""

import os
import re
from pathlib import Path

from keras_avssan._internal.types import PathLike

# JSON files of the folder of a model, each with an entry that it always has.
MODEL_ENTRIES = {
    "config.json": "registered_name",
    "task.json": "registered_name",
    "metadata.json": "keras_version",
}
# Weights in one file, or in several, which the second lists.
MODEL_WEIGHTS = ("model.weights.h5", "model.weights.json")
# Checkpoints of a training, by the number of steps done.
CHECKPOINT_NAME = "step-{:08d}.npz"
CHECKPOINT_PATTERN = re.compile(r"step-(\d{8})\.npz")
# Folders of the models with weights that are installed with the library, each named as its model.
PACKAGED = Path(__file__).parents[1] / "presets"
# The packaged model of commands without `--model`.
DEFAULT_MODEL = "avssan_sounds50"
# A packaged model's card; entries such as `description: …` stand at its head between lines `---`.
CARD = "MODEL_CARD.md"


def packaged_presets() -> dict[str, Path]:
    """Folders of the packaged models, by their names in alphabetical order."""
    folders = sorted(PACKAGED.iterdir()) if PACKAGED.is_dir() else []
    return {folder.name: folder for folder in folders if (folder / "config.json").is_file()}


def find_preset(preset: PathLike) -> PathLike:
    """The folder of a packaged model where a string is its name; otherwise `preset` itself."""
    if not isinstance(preset, str) or os.path.basename(preset) != preset:
        return preset
    folder = PACKAGED / preset
    return str(folder) if (folder / "config.json").is_file() else preset


def card_entries(folder: PathLike) -> dict[str, str]:
    """Entries at the head of the model card in a folder; empty where it has none."""
    path = Path(folder) / CARD
    head = re.match(r"---\n(.*?)\n---\n", path.read_text("utf-8") if path.is_file() else "", re.S)
    lines = [line.partition(":") for line in head[1].splitlines()] if head else []
    return {key.strip(): value.strip().strip("\"'") for key, _, value in lines}
