"""Options that several scripts share: classes and prompts, and the objects made from them."""

import os

import keras
import numpy as np
import tqdm

from keras_avssan.cli.options import (
    add_scene_options,
    choose_test_rooms,
    choose_test_split,
    open_bank,
    open_catalog,
    open_image_encoder,
)
from keras_avssan.data import ScenePlan
from keras_avssan.simulation import RIRBank, RoomRanges
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM

# The classes of the measurements on real recordings: those of the folder with the most of them.
TWELVE = (
    *("dog", "cat", "songbird", "cow", "lion", "rooster"),
    *("fire", "rain", "drums", "helicopter", "saw", "violin"),
)
_SOURCES = 4  # a room


def expand_classes(options):
    """Lets `--classes twelve` stand for `TWELVE`."""
    if options.classes == ["twelve"]:
        options.classes, options.allow_single_picture = list(TWELVE), True
    return options


def open_plan(options, bank, rooms=None):
    """The scenes to evaluate a trained model on, in a range of the rooms of a bank."""
    catalog = open_catalog(options)
    return ScenePlan(
        catalog,
        bank,
        rooms=rooms,
        split=choose_test_split(options, catalog),
        seed=options.seed,
        duration=options.duration,
        snr=options.snr,
    )


def parse_trained(parser):
    """Adds the options of the trained model and the scenes; parses all options."""
    parser.add_argument("--model", required=True, help="folder of a trained AVSSAN")
    parser.add_argument("--out", required=True, help="JSON file for the results")
    parser.add_argument("--scenes", type=int, default=1000, help="scenes (1000)")
    add_embedding_options(parser)
    add_scene_options(parser, split=None, rooms=60, seed=0)
    options = expand_classes(parser.parse_args())
    options.model = os.path.abspath(options.model)
    return options


def open_trained_rooms(options, model):
    """The bank and rooms of the evaluation: of `--bank`, or simulated for the model."""
    if options.bank:
        return choose_test_rooms(options, open_bank(options))
    return simulate_rooms(options, model.microphone_spacing), None


def simulate_rooms(options, spacing):
    """The rooms of an evaluation; with another spacing they differ in nothing else."""
    return RIRBank.build(
        options.rooms,
        sources_per_room=_SOURCES,
        ranges=RoomRanges(spacing=spacing),
        first_index=FIRST_EVALUATION_ROOM,
    )


def add_image_encoder_options(parser):
    """Adds the options of the image encoder."""
    parser.add_argument("--image-encoder", metavar="PRESET", help="encoder of pictures")
    parser.add_argument("--image-size", type=int, default=224, help="its input size in pixels")
    parser.add_argument("--image-mean", type=float, default=0.5, help="its mean, pixels in [0, 1]")
    parser.add_argument("--image-std", type=float, default=0.5, help="its standard deviation")
    parser.set_defaults(text_encoder=None)  # prompts are pictures here


def add_embedding_options(parser):
    """Adds the options of the prompt embeddings of a trained model."""
    parser.add_argument("--prompt-embeddings", metavar="NPZ", help="embeddings of all pictures")
    add_image_encoder_options(parser)


def open_embeddings(options, model, plan):
    """Embeddings of all pictures by their ids; `None` if the model computes them itself."""
    if options.prompt_embeddings:
        with np.load(options.prompt_embeddings, allow_pickle=False) as file:
            prefix = "picture_" if "picture_ids" in file else ""  # as a benchmark's folder has it
            ids, vectors = file[f"{prefix}ids"], file[f"{prefix}vectors"]
            return dict(zip(ids.tolist(), vectors, strict=True))
    if model.backbone.image_encoder is not None:
        return None
    encoder = open_image_encoder(options)
    if encoder is None:
        raise SystemExit(
            "The model has no image encoder: give --image-encoder or --prompt-embeddings"
        )
    load = plan.catalog.load_image
    return {
        picture.id: _embed(encoder, load(picture, encoder.image_size))
        for picture in tqdm.tqdm(plan.pictures, desc="pictures", disable=None)
    }


def _embed(encoder, image):
    image = keras.ops.convert_to_tensor(np.array(image)[None])
    return keras.ops.convert_to_numpy(encoder(image, training=False))[0]
