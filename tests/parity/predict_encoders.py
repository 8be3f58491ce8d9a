"""Loads presets of audio encoders and stores what they make of recordings.

`predict_encoders.py OUT.npz RECORDINGS.npz PRESET…`, where RECORDINGS holds `audio`.

Runs in a process of its own, under the backend that KERAS_BACKEND names.
"""

import sys

import keras_hub
import numpy as np
from keras import ops

import keras_avssan.encoders  # noqa: F401  (makes them known to the loader)


def main(output_file, recordings_file, *presets):
    audio = np.load(recordings_file)["audio"]
    arrays = {}
    for number, preset in enumerate(presets):
        encoder = keras_hub.models.Backbone.from_preset(preset)
        arrays[f"{number}/embeddings"] = np.asarray(encoder.predict(audio, verbose=0))
        if hasattr(encoder, "scores"):
            arrays[f"{number}/scores"] = ops.convert_to_numpy(encoder.scores(audio))
    np.savez(output_file, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
