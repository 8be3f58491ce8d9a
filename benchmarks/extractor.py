r"""Trains the extractor of candidate directions on real recordings, and measures what it extracts.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/extractor.py --data FOLDER --licensed \
        --steps 1600 --checkpoints extractor.checkpoints --save extractor.npz --out extractor.json

Training: scenes of one second with two sources, the target 10 dB below to 10 dB above the other,
recordings of the split `train` with changes of speed and spectrum, 200 simulated rooms. Measured on
the split `val`, unseen recordings in 60 other rooms, at several levels and durations. `--licensed`
leaves out the files whose licence `metadata.csv` calls unknown, so that the weights may be given
away. A run that was stopped resumes from its checkpoints.
"""

import argparse
import csv
import pathlib
import tempfile
import time

import keras
import numpy as np
from machine import processor

from keras_avssan._internal.atomic_files import write_json
from keras_avssan.data import ClassFolders, ScenePlan
from keras_avssan.evaluation.evaluate_extractor import evaluate_extractor
from keras_avssan.layers.extraction.source_candidates import SourceCandidates
from keras_avssan.simulation import RIRBank
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM
from keras_avssan.training.extraction.fit_extractor import fit_extractor


def main():
    options = _options()
    keras.utils.set_random_seed(options.seed)
    layer = SourceCandidates(options.candidates, options.filters)
    layer.build((None, None, 513, 4))
    train = training_plan(options, options.seed, options.duration)
    started = time.time()
    fit_extractor(
        layer,
        train,
        steps=options.steps,
        epochs=options.epochs,
        batch_size=options.batch_size,
        checkpoints=options.checkpoints,
        verbose=2,
    )
    seconds = time.time() - started
    if options.save:
        np.savez_compressed(options.save, *layer.extractor.get_weights())
    results = {
        "settings": {**vars(options), "backend": keras.backend.backend()},
        "machine": processor(),
        "seconds": seconds,
        "scores": measure(layer, options),
    }
    if options.out:
        write_json(options.out, results)


def training_plan(options, seed, duration):
    """Scenes of two sources in simulated rooms, varied by speed and spectrum, to train on."""
    return ScenePlan(
        open_catalog(options.data, options.licensed),
        RIRBank.build(options.rooms, sources_per_room=6),
        split="train",
        seed=seed,
        duration=duration,
        snr=(-10.0, 10.0),
        min_separation=8.0,
        swap_channels=True,
        speed=(0.9, 1.1),
        equalise=6.0,
    )


def measure(layer, options):
    """Scores on unseen recordings and rooms, by duration and level."""
    catalog = open_catalog(options.data, licensed=False)
    bank = RIRBank.build(
        options.validation_rooms, sources_per_room=6, first_index=FIRST_EVALUATION_ROOM
    )
    scores = {}
    for duration in (1.0, 4.0):
        for snr in (0.0, -10.0):
            plan = ScenePlan(catalog, bank, "val", seed=options.seed, duration=duration, snr=snr)
            # The target's azimuth alone; with rivals, as in a network, the gain is larger.
            result = evaluate_extractor(layer, plan, num_scenes=options.scenes, rivals=False)
            scores[f"{duration:g} s, {snr:g} dB"] = result["scores"]
            print(f"{duration:g} s, {snr:g} dB: {result['scores']}", flush=True)
    return scores


def open_catalog(folder, licensed):
    """The classes of a folder; with `licensed`, without the files of an unknown licence."""
    if not licensed:
        return ClassFolders(folder, allow_single_picture=True)
    with open(pathlib.Path(folder) / "metadata.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["license"] != "unknown"]
    with tempfile.TemporaryDirectory() as temporary:
        path = pathlib.Path(temporary) / "licensed.csv"
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        return ClassFolders.from_csv(path, root=folder, allow_single_picture=True)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of classes with metadata.csv")
    parser.add_argument("--licensed", action="store_true", help="train on stated licences alone")
    parser.add_argument("--candidates", type=int, default=3)
    parser.add_argument("--filters", type=int, default=24)
    parser.add_argument("--duration", type=float, default=1.0, help="of training scenes, s")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rooms", type=int, default=200)
    parser.add_argument("--validation-rooms", type=int, default=60)
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoints", help="folder to resume from")
    parser.add_argument("--save", help="npz file for the weights of the extractor")
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
