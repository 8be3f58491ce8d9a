"""Loads presets, stores what they predict and what a step of training makes of them then.

`predict_preset.py OUT.npz SCENES.npz PRESET…`, where SCENES holds arrays `inputs/…`, `labels/…`.

Runs in a process of its own, under the backend that KERAS_BACKEND names.
"""

import sys

import keras
import numpy as np

from keras_avssan import AVSSAN


def predict(model, inputs):
    """Weights and outputs of a model, as a flat dict of arrays."""
    outputs = keras.tree.map_structure(np.asarray, model.predict_on_batch(inputs))
    arrays = {f"weights/{i}": weight for i, weight in enumerate(model.get_weights())}
    return arrays | outputs


def train(model, inputs, labels):
    """Change of every weight by a step of plain gradient descent, as a flat dict of arrays."""
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0))
    model.train_on_batch(inputs, labels)
    after = model.get_weights()
    pairs = zip(after, before, strict=True)
    return {f"step/{i}": new - old for i, (new, old) in enumerate(pairs)}


def main(output_file, scenes_file, *presets):
    scenes = dict(np.load(scenes_file))
    inputs, labels = (
        {key.removeprefix(part): scenes[key] for key in scenes if key.startswith(part)}
        for part in ("inputs/", "labels/")
    )
    arrays = {}
    for number, preset in enumerate(presets):
        model = AVSSAN.from_preset(preset)
        outputs = {**predict(model, inputs), **train(model, inputs, labels)}
        arrays |= {f"{number}/{key}": array for key, array in outputs.items()}
    np.savez(output_file, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
