"""Reads batches and notes after each where it stands: `python read_batches.py NOTE`."""

import json
import os
import pathlib
import sys
from types import SimpleNamespace

import numpy as np

from keras_avssan.data import ScenePlan, SyntheticClasses, make_dataset


def make_iterator():
    """An endless, shuffled shard of scenes as an iterator whose position can be kept."""
    bank = SimpleNamespace(
        rirs=np.eye(64, dtype="float32")[[3, 5, 7, 9]].reshape(1, 2, 2, 64),
        azimuths=np.array([[30.0, 120.0]]),
        sampling_rate=16000,
    )
    plan = ScenePlan(SyntheticClasses(instances_per_class=3), bank, split=None, duration=0.05)
    dataset = make_dataset(
        plan, 12, batch_size=2, loader="grain", shuffle=True, repeat=True, shard=(1, 2)
    )
    return iter(dataset.to_iter_dataset())


def main(note):
    iterator = make_iterator()
    for number, (inputs, _) in enumerate(iterator, start=1):
        position = {
            "state": iterator.get_state(),
            "read": number,
            "first": inputs["audio"][0, 0, 0],
        }
        part = note.with_suffix(".part")
        part.write_text(json.dumps(position, default=float))
        os.replace(part, note)
        print(number, flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
