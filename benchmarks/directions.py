r"""Trains the search for sources on real recordings, and measures how many sources it finds.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/directions.py --data FOLDER --licensed \
        --steps 5000 --checkpoints directions.checkpoints --save directions.npz \
        --out directions.json

Training: scenes of one, two and four seconds, most with two sources and some with three, the target
10 dB below to 10 dB above the other, recordings of the split `train` with changes of speed and
spectrum, 200 simulated rooms. Measured on the split `val`, unseen recordings in 60 other rooms, at
several levels and durations, beside the steered response alone (SRP-PHAT). `--licensed` leaves out
the files whose licence `metadata.csv` calls unknown, so that the weights may be given away. A run
that was stopped resumes from its checkpoints.
"""

import argparse
import dataclasses
import time

import keras
import numpy as np
from extractor import open_catalog, training_plan
from keras import ops
from machine import processor

from keras_avssan._internal.atomic_files import write_json
from keras_avssan.data import ScenePlan
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.layers import SourceDirections, StereoSTFT
from keras_avssan.layers.stereo_stft import level_gain
from keras_avssan.simulation import RIRBank
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM
from keras_avssan.training import fit_directions

_APART = 10.0  # degrees between two directions that are found, more than this


def main():
    options = _options()
    keras.utils.set_random_seed(options.seed)
    layer = SourceDirections(options.filters)
    plan = training_plan(options, options.seed + 20, 2.0)
    changes = ({}, {"duration": 1.0}, {"duration": 4.0}, {"num_interferers": 2})
    plans = [
        dataclasses.replace(plan, seed=plan.seed + i, **change) for i, change in enumerate(changes)
    ]
    started = time.time()
    fit_directions(
        layer,
        plans,
        steps=options.steps,
        epochs=options.epochs,
        batch_size=options.batch_size,
        checkpoints=options.checkpoints,
        verbose=2,
    )
    seconds = time.time() - started
    if options.save:
        np.savez_compressed(options.save, *layer.get_weights())
    results = {
        "settings": {**vars(options), "backend": keras.backend.backend()},
        "machine": processor(),
        "seconds": seconds,
        "scores": measure(layer, options),
    }
    if options.out:
        write_json(options.out, results)


def measure(layer, options):
    """Share of sources within 5 degrees of two and of three directions, by duration and level."""
    catalog = open_catalog(options.data, licensed=False)
    bank = RIRBank.build(
        options.validation_rooms, sources_per_room=6, first_index=FIRST_EVALUATION_ROOM
    )
    scores = {}
    for duration in (1.0, 4.0):
        for snr in (0.0, -10.0):
            plan = ScenePlan(catalog, bank, "val", seed=options.seed, duration=duration, snr=snr)
            found = _found(layer, plan, options.scenes)
            scores[f"{duration:g} s, {snr:g} dB"] = found
            print(f"{duration:g} s, {snr:g} dB: {found}", flush=True)
    return scores


def _found(layer, plan, count):
    """Shares of targets that are found, in percent, by method and number of directions."""
    stft, near = StereoSTFT(), {}
    for index in range(count):
        scene = plan[index]
        audio = ops.convert_to_tensor(render_scenes(plan, [scene], interferer_alone=False)["audio"])
        spectrogram = stft(audio * level_gain(audio))
        responses, _ = layer._maps(spectrogram, None)
        widths = np.array([high - low for low, high in layer._ranges])
        steered = ops.convert_to_numpy(ops.mean(responses, axis=1))[0] @ widths
        learned = ops.convert_to_numpy(layer(spectrogram))[0]
        for name, values in (("steered", steered), ("learned", learned)):
            for number in (2, 3):
                distance = np.abs(_peaks(values, number) - scene.azimuth).min()
                near.setdefault(f"{name}, {number}", []).append(distance <= 5)
    return {name: round(100 * float(np.mean(values)), 1) for name, values in near.items()}


def _peaks(values, number):
    """Directions of the greatest values in degrees, more than 10 degrees from each other."""
    values, grid, found = np.array(values), np.arange(1, 181), []
    for _ in range(number):
        found.append(grid[np.argmax(values)])
        values[np.abs(grid - found[-1]) <= _APART] = -np.inf
    return np.array(found)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of classes with metadata.csv")
    parser.add_argument("--licensed", action="store_true", help="train on stated licences alone")
    parser.add_argument("--filters", type=int, default=24)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rooms", type=int, default=200)
    parser.add_argument("--validation-rooms", type=int, default=60)
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoints", help="folder to resume from")
    parser.add_argument("--save", help="npz file for the weights")
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
