"""Stores impulse responses of some rooms: `simulate_rooms.py OUT.npz`.

Runs in a process of its own, under the backend that KERAS_BACKEND names.
"""

import sys

import numpy as np
from keras import ops

from keras_avssan.simulation import simulate_rirs

SIZES = np.array([(5.3, 4.1, 2.7), (8.9, 7.2, 3.6)])
SOURCES = np.array([[(1.7, 2.9, 1.6), (3.9, 0.8, 1.1)], [(6.1, 2.3, 1.9), (1.2, 6.5, 1.5)]])
MICROPHONES = np.array([(3.13, 1.52, 1.2), (2.95, 1.44, 1.21)])
ROOMS = {
    "images": dict(t60=[0.25, 0.6]),
    "tail": dict(t60=[0.25, 0.6], image_attenuation=15, tail=True, seed=3, calibrate=True),
    "six walls and patterns": dict(
        reflection=np.array([(0.9, 0.7, -0.8, 0.6, 0.85, 0.5), (0.7, 0.9, 0.8, 0.95, -0.6, 0.9)]),
        duration=0.3,
        source_pattern="cardioid",
        source_orientation=(1.0, 0.5, 0.1),
        microphone_pattern="hypercardioid",
        microphone_orientation=[(1.0, 0.0, 0.0), (-0.3, 1.0, 0.2)],
    ),
}


def main(output_file):
    arrays = {
        name: ops.convert_to_numpy(simulate_rirs(SIZES, SOURCES, MICROPHONES, **settings))
        for name, settings in ROOMS.items()
    }
    np.savez(output_file, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
