r"""Linear probe of a frozen encoder: class separation of clean clips or pictures.

Embeds every recording (or picture) of the split `train` of a folder of classes, averaged over
time, fits a multinomial logistic regression to the standardised embeddings, and scores it on the
split `val`, which holds other recordings. Prints a row of a Markdown table.

    python benchmarks/encoder_probe.py FOLDER --audio-encoder PRESET
    python benchmarks/encoder_probe.py FOLDER --image-encoder PRESET --image-size 224

Top-1 is the share of validation clips whose highest score is their own class; the share of class
pairs distinguished is the mean over clips and other classes of whether the own class scores higher.
Guessing yields 1 / classes and 50 %.
"""

import argparse
import json
import os
import time

import keras
import keras_hub
import numpy as np
import scipy.optimize
import scipy.special
import tqdm

import keras_avssan.encoders  # noqa: F401  its encoders can be read from presets then
from keras_avssan.data import ClassFolders
from keras_avssan.encoders import ImageEncoder
from keras_avssan.evaluation import bootstrap_interval


def main():
    options = _options()
    keras.utils.set_random_seed(options.seed)
    catalog = ClassFolders(options.data, classes=options.classes, allow_single_picture=True)
    preset = options.audio_encoder or options.image_encoder
    encoder = keras_hub.models.Backbone.from_preset(preset)
    items = catalog.clips
    if options.image_encoder:
        items = catalog.pictures
        size = (options.image_size, options.image_size)
        encoder = ImageEncoder(encoder, size, mean=options.image_mean, std=options.image_std)
    started = time.time()
    train, train_labels = _embed(encoder, catalog, items, options.train_split, options.duration)
    test, test_labels = _embed(encoder, catalog, items, options.test_split, options.duration)
    scores = probe(train, train_labels, test, len(catalog.classes), options.penalty)
    first, pairs = top_1(scores, test_labels), pairs_told_apart(scores, test_labels)
    results = {
        "encoder": os.path.basename(os.path.normpath(preset)),
        "kind": "audio" if options.audio_encoder else "image",
        "classes": len(catalog.classes),
        "train": len(train),
        "test": len(test),
        "dim": train.shape[1],
        "top_1": [float(first.mean()), *bootstrap_interval(first)],
        "pairs": [float(pairs.mean()), *bootstrap_interval(pairs)],
        "seconds": time.time() - started,
        "backend": keras.backend.backend(),
        "settings": vars(options),
    }
    print(row(results))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2)


def _embed(encoder, catalog, items, split, duration):
    """Embeddings (n, d) and class numbers (n,) of a split."""
    items = [item for item in items if item.split == split]
    if not items:
        raise SystemExit(f"No recording or picture is in the split {split!r}: {catalog.splits}")
    embeddings = []
    for item in tqdm.tqdm(items, desc=split, disable=None):
        if isinstance(encoder, ImageEncoder):
            inputs = catalog.load_image(item, encoder.image_size)
        else:
            inputs = catalog.load_audio(item)
            inputs = inputs[: round(duration * catalog.sampling_rate)] if duration else inputs
        # Through NumPy once more: arrays of the catalog are read-only.
        output = keras.ops.convert_to_numpy(encoder(np.array(inputs)[None], training=False))[0]
        embeddings.append(output.reshape(-1, output.shape[-1]).mean(axis=0))
    labels = [catalog.classes.index(item.class_name) for item in items]
    return np.stack(embeddings).astype("float64"), np.array(labels)


def probe(train, labels, test, num_classes, penalty):
    """Scores (tests, classes) of a multinomial logistic regression with an L2 penalty."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    used = std > 1e-6 * std.max()
    train, test = ((x[:, used] - mean[used]) / std[used] for x in (train, test))
    truth = np.eye(num_classes)[labels]
    shape = (train.shape[1] + 1, num_classes)

    def objective(parameters):
        weights = parameters.reshape(shape)
        logits = train @ weights[1:] + weights[0]
        residual = scipy.special.softmax(logits, axis=1) - truth
        loss = -np.sum(truth * scipy.special.log_softmax(logits, axis=1))
        loss += 0.5 * penalty * np.sum(weights[1:] ** 2)
        slope = np.vstack([residual.sum(axis=0), train.T @ residual + penalty * weights[1:]])
        return loss, slope.ravel()

    found = scipy.optimize.minimize(
        objective, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 1000}
    )
    weights = found.x.reshape(shape)
    return test @ weights[1:] + weights[0]


def top_1(scores, labels):
    """Whether the highest score is the own class's, (n,)."""
    return (scores.argmax(axis=1) == labels).astype("float64")


def pairs_told_apart(scores, labels):
    """Share of the other classes that score lower than the own class, (n,)."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    return np.sum(scores < own, axis=1) / (scores.shape[1] - 1)


def row(results):
    """A row of a Markdown table: encoder, dimension, clips, top-1 and pairs with intervals."""
    top, pairs = (
        "{:.1f} % ({:.1f}–{:.1f})".format(*(100 * value for value in results[key]))
        for key in ("top_1", "pairs")
    )
    counts = f"{results['train']} / {results['test']}"
    return f"| {results['encoder']} | {results['dim']} | {counts} | {top} | {pairs} |"


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder of classes")
    encoder = parser.add_mutually_exclusive_group(required=True)
    encoder.add_argument("--audio-encoder", metavar="DIR", help="preset folder, from mono audio")
    encoder.add_argument("--image-encoder", metavar="DIR", help="preset folder, from pictures")
    parser.add_argument("--image-size", type=int, default=224, help="its input size in pixels")
    parser.add_argument("--image-mean", type=float, default=0.5, help="its mean, pixels in [0, 1]")
    parser.add_argument("--image-std", type=float, default=0.5, help="its standard deviation")
    parser.add_argument("--classes", nargs="+", help="classes to use; default: all")
    parser.add_argument("--train-split", default="train")
    parser.add_argument("--test-split", default="val")
    parser.add_argument("--duration", type=float, help="seconds of each recording; default: all")
    parser.add_argument("--penalty", type=float, default=1.0, help="weight of the L2 penalty")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
