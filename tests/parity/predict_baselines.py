"""Loads presets of baselines and stores what they predict.

`predict_baselines.py OUT.npz SCENES.npz PRESET…`, where SCENES holds the inputs.

Runs in a process of its own, under the backend that KERAS_BACKEND names.
"""

import sys

import numpy as np

import keras_avssan.models.baselines  # noqa: F401  (makes them known to the loader)
from keras_avssan.models import Localizer


def main(output_file, scenes_file, *presets):
    inputs = dict(np.load(scenes_file))
    posteriors = {
        str(number): np.asarray(Localizer.from_preset(preset).predict_on_batch(inputs)["doa"])
        for number, preset in enumerate(presets)
    }
    np.savez(output_file, **posteriors)


if __name__ == "__main__":
    main(*sys.argv[1:])
