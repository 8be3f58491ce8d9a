"""Names of the files of saved models and of checkpoints, known before Keras is imported."""

import re

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
