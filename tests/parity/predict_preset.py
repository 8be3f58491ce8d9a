"""Loads presets and stores what they predict: `predict_preset.py INPUTS.npz OUT.npz PRESET…`.

Runs in a process of its own, under the backend that KERAS_BACKEND names.
"""

import sys

import keras
import numpy as np

from keras_avssan import AVSSAN


def predict(preset, inputs):
    """Weights and outputs of a preset, as a flat dict of arrays."""
    model = AVSSAN.from_preset(preset)
    outputs = keras.tree.map_structure(np.asarray, model.predict_on_batch(inputs))
    arrays = {f"weights/{i}": weight for i, weight in enumerate(model.get_weights())}
    for key in ("doa", "mask", "masked_spectrogram", "band_weights"):
        arrays[key] = outputs[key]
    for band, beta in outputs["band_attention"].items():
        arrays[f"band_attention/{band}"] = beta
    return arrays


def main(inputs_file, output_file, *presets):
    inputs = dict(np.load(inputs_file))
    arrays = {}
    for number, preset in enumerate(presets):
        for key, array in predict(preset, inputs).items():
            arrays[f"{number}/{key}"] = array
    np.savez(output_file, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
