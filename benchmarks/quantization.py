"""Effect of 8-bit weights: size, time and scores of a model and its quantised copy.

python benchmarks/quantization.py --model PRESET --data FOLDER --out int8.json

Both are evaluated on the same scenes, of the split `val` and in rooms that no training of this
repository uses.
"""

import argparse
import json
import os
import tempfile
import time

import keras
import numpy as np

from keras_avssan import AVSSAN
from keras_avssan.data import ClassFolders, ScenePlan
from keras_avssan.evaluation import evaluate_localizer
from keras_avssan.simulation import RIRBank
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM

_RUNS = 15


def main():
    options = _options()
    catalog = ClassFolders(options.data, classes=options.classes, allow_single_picture=True)
    bank = RIRBank.build(60, sources_per_room=6, first_index=FIRST_EVALUATION_ROOM, progress=False)
    plan = ScenePlan(catalog, bank, split=options.split, seed=options.seed)
    results = {"backend": keras.backend.backend(), "settings": vars(options)}
    print("| Weights | File | One scene | Selection | MAE | ACC@5° |\n|---|---|---|---|---|---|")
    for name in ("float32", "int8"):
        model = AVSSAN.from_preset(options.model)
        if name == "int8":
            model.quantize("int8")
        evaluation = evaluate_localizer(model, plan, options.scenes, progress=False)
        results[name] = {
            **evaluation.summary(),
            "megabytes": _megabytes(model),
            "seconds": _seconds(model, plan),
            "azimuths": np.asarray(evaluation.scores.estimate).tolist(),
        }
        print(_row(name, results[name]), flush=True)
    float_azimuths, int8_azimuths = (results[n]["azimuths"] for n in ("float32", "int8"))
    moved = np.mean(np.not_equal(float_azimuths, int8_azimuths))
    print(f"\nanother direction in {100 * moved:.1f} % of scenes")
    if options.out:
        with open(options.out, "w") as file:
            json.dump(results, file, indent=2)


def _megabytes(model):
    """Size of the saved weights in megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.weights.h5")
        model.save_weights(path)
        return os.path.getsize(path) / 1e6


def _seconds(model, plan):
    """Median time of one recording of a second, embedded prompt, after the first run."""
    rng = np.random.default_rng(0)
    audio = 0.1 * rng.normal(size=(1, plan.num_samples, 2)).astype("float32")
    prompt = rng.normal(size=(1, model.backbone.prompt_dim)).astype("float32")
    inputs = {"audio": audio, "prompt_embedding": prompt}
    model.predict_on_batch(inputs)
    times = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        model.predict_on_batch(inputs)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def _row(name, result):
    scores = result["scores"]
    low, high = scores["selection"]["interval"]
    return (
        f"| {name} | {result['megabytes']:.2f} MB | {1000 * result['seconds']:.0f} ms "
        f"| {100 * scores['selection']['mean']:.1f} % ({100 * low:.1f}–{100 * high:.1f}) "
        f"| {scores['mae']['mean']:.1f}° | {100 * scores['acc_5deg']['mean']:.1f} % |"
    )


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="preset folder of a trained model")
    parser.add_argument("--data", required=True, help="folder of classes")
    parser.add_argument("--classes", nargs="+", help="classes to use; default: all")
    parser.add_argument("--split", default="val")
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
