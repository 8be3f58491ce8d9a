r"""Draws masks and band attention of a trained model, as in the paper's Figures 2 and 3.

    python benchmarks/figures.py --model FOLDER --data built-in --out FOLDER

writes into the folder `--out`

- `figure2.png`: a scene for each pair of frequency regions that the model answers, and a failure;
- `figure3.png`: weights of patches and band types by class, next to the energy of the classes;
- `figure3_scenes.png`: for the scenes of `figure2.png`, both sounds' energies next to the weights;
- `figures.json`: the chosen scenes and the numbers in the figures.

The rooms are those of `keras-avssan evaluate`. A model that was trained on
embeddings and has no image encoder needs the one that made them, or the embeddings themselves, a
file as `EmbeddingStore` writes it (arrays `ids` and `vectors`):

    python benchmarks/figures.py --model FOLDER --data CLASSES --allow-single-picture --split val \
        --image-encoder PRESET --image-size 224 --out FOLDER
    python benchmarks/figures.py --model FOLDER --data CLASSES --prompt-embeddings vectors.npz \
        --out FOLDER
"""

import argparse
import json
import pathlib

import keras
import numpy as np
from prompt_options import add_embedding_options, open_embeddings, open_plan

from keras_avssan import AVSSAN
from keras_avssan.cli.options import (
    add_scene_options,
    choose_test_rooms,
    open_bank,
)
from keras_avssan.evaluation import class_band_attention, separation_examples
from keras_avssan.visualization import (
    plot_attended_energy,
    plot_class_band_attention,
    plot_separation,
)


def main():
    options = _options()
    model = AVSSAN.from_preset(options.model)
    rooms = choose_test_rooms(options, open_bank(options), model.microphone_spacing)
    plan = open_plan(options, *rooms)
    settings = {"prompt_embeddings": open_embeddings(options, model, plan)}
    examples = separation_examples(model, plan, options.scenes, **settings)
    result = class_band_attention(model, plan, options.scenes, **settings)
    folder = pathlib.Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    plot_separation(examples).savefig(folder / "figure2.png")
    plot_class_band_attention(result).savefig(folder / "figure3.png")
    if {"fine", "mid"} <= set(result.bands):
        plot_attended_energy(examples).savefig(folder / "figure3_scenes.png")
    results = {
        "settings": vars(options),
        "backend": keras.backend.backend(),
        "scenes": [_numbers(example) for example in examples],
        "classes": _by_class(result),
    }
    (folder / "figures.json").write_text(json.dumps(results, indent=2))
    for scene in results["scenes"]:
        verdict = "" if scene["correct"] else "failure, "
        line = "{region_pair}: scene {scene}, error {error:.1f}°".format(**scene)
        print(verdict + line, end=", ")
        print("target {target_gain:+.1f} dB, interferer {interferer_gain:+.1f} dB".format(**scene))


def _numbers(example):
    names = ("region_pair", "scene", "target_class", "interferer_class", "azimuth", "estimate")
    names += ("interferer_azimuth", "error", "correct", "target_gain", "interferer_gain")
    return {name: getattr(example, name) for name in names}


def _by_class(result):
    """Numbers of every class; an unknown agreement is `None`."""
    return {
        name: {
            "scenes": int(result.num_scenes[row]),
            "band_weights": dict(zip(result.bands, result.band_weights[row].tolist(), strict=True)),
            "attention": {band: result.attention[band][row].tolist() for band in result.bands},
            "agreement": {
                band: None if np.isnan(values[row]) else float(values[row])
                for band, values in result.agreement.items()
            },
        }
        for row, name in enumerate(result.classes)
    }


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of a trained AVSSAN")
    parser.add_argument("--out", required=True, help="folder for the figures")
    parser.add_argument("--scenes", type=int, default=500, help="scenes to choose from (500)")
    add_embedding_options(parser)
    add_scene_options(parser, split=None, rooms=40, seed=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
