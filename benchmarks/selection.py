r"""Trains a network with candidates on real recordings, stage by stage, and scores it.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/selection.py --data FOLDER --licensed \
        --image-encoder PRESET --yamnet yamnet.npz --sentences MINILM --extractor extractor.npz \
        --directions directions.npz --checkpoints selection.checkpoints --save MODEL \
        --out selection.json

Stages: the extractor (`benchmarks/extractor.py --save`), the search for sources
(`benchmarks/directions.py --save`; without it, candidates are found by steering), the alignment of
prompts with what is extracted, the network of the paper within it (`--path-steps`, with the aligned
projections frozen), the prototypes of the classes (unless `--no-prototypes`), the fit of the
fusion. Scored on the split `val`: unseen recordings, pictures
and rooms, at 1 s and 4 s, 0 and -10 dB, by kind of prompt, at 1 s beside a constant prompt; and
presence. `--held-out` keeps classes out of all stages and scores them alone. `--save` stores the
weights in half precision, with a table of the names' embeddings in place of the sentence encoder;
what is scored is the stored model. `--start MODEL` keeps the extractor (unless `--extractor` is
given), the alignment and the network of the paper of a stored model; the search, the prototypes and
the fusion are new.
"""

import argparse
import dataclasses
import time

import keras
import keras_hub
import numpy as np
from extractor import open_catalog
from machine import processor

from keras_avssan import AVSSAN
from keras_avssan._internal.atomic_files import write_json
from keras_avssan.data import ScenePlan
from keras_avssan.encoders import ImageEncoder, PictureTextEncoder, SentenceEncoder, WordTable
from keras_avssan.encoders.converters.yamnet import convert_yamnet
from keras_avssan.evaluation import evaluate_localizer, evaluate_presence
from keras_avssan.models import AVSSANBackbone
from keras_avssan.models.fitting.training_record import join_records
from keras_avssan.simulation import RIRBank
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM
from keras_avssan.training import align_prompts, fit_fusion, fit_prototypes, fit_scenes

# What differs in the scenes that train the network of the paper.
_PATH = {"duration": 1.0, "prompt_kinds": ("picture", "text")}
# Duration in seconds, level of the target in dB, and kinds of prompt.
_CONDITIONS = (
    (4.0, 0.0, ("picture", "text", "recording")),
    (1.0, 0.0, ("picture", "text", "recording", "constant")),
    (4.0, -10.0, ("picture", "text")),
)


def main():
    options = _options()
    keras.utils.set_random_seed(options.seed)
    model = restart(options) if options.start else make_model(options)
    started = time.time()
    train(model, options)
    seconds = time.time() - started
    if options.save:
        model.save_to_preset(options.save, weights_dtype="float16")
        model = AVSSAN.from_preset(options.save)
    results = {
        "settings": {**vars(options), "backend": keras.backend.backend()},
        "machine": processor(),
        "seconds": seconds,
        "scores": score(model, options),
    }
    if options.out:
        write_json(options.out, results)


def make_model(options):
    """The network with the weights of its frozen parts."""
    pictures = keras_hub.models.Backbone.from_preset(options.image_encoder)
    sounds = convert_yamnet(options.yamnet, gain=0.1)
    names = [*open_catalog(options.data, licensed=False).classes, *sounds.class_names]
    sentences = SentenceEncoder.from_preset(options.sentences, title=options.title)
    model = AVSSAN(
        image_encoder=PictureTextEncoder(
            ImageEncoder(pictures, (224, 224), mean=0.5, std=0.5),
            WordTable.from_encoder(sentences, names),
        ),
        audio_encoder=sounds,
        dim=options.dim,
        num_candidates=options.candidates,
        candidate_search="learned" if options.directions else "steered",
        candidate_masks=options.masks,
        candidate_posteriors=options.posteriors,
        num_prototypes=count_prototypes(options),
    )
    candidates = model.backbone.candidates
    load_weights(candidates.extractor, options.extractor)
    if options.directions:
        load_weights(candidates.directions, options.directions)
    return model


def restart(options):
    """A stored model with the learned search in place of its own; its fusion is new."""
    stored = AVSSAN.from_preset(options.start)
    config = {
        **stored.backbone.get_config(),
        "candidate_search": "learned",
        "candidate_masks": options.masks,
        "candidate_posteriors": options.posteriors,
        "num_prototypes": count_prototypes(options),
    }
    model = AVSSAN(AVSSANBackbone.from_config(config))
    new = ("candidates", "fusion", "prototypes")
    for layer in stored.backbone.layers:
        if layer.name not in new:
            model.backbone.get_layer(layer.name).set_weights(layer.get_weights())
    found, candidates = stored.backbone.candidates, model.backbone.candidates
    candidates.extractor.set_weights(found.extractor.get_weights())
    if options.extractor:
        load_weights(candidates.extractor, options.extractor)
    load_weights(candidates.directions, options.directions)
    model.training_record = stored.training_record
    return model


def count_prototypes(options):
    """Number of the classes that are trained on; 0 without prototypes."""
    return 0 if options.no_prototypes else len(known_classes(options))


def known_classes(options):
    """Names of the classes that are trained on."""
    classes = open_catalog(options.data, options.licensed).classes
    return [name for name in classes if name not in options.held_out]


def load_weights(layer, path):
    """Weights of a layer from a file of arrays in their order."""
    with np.load(path) as arrays:
        layer.set_weights([arrays[name] for name in arrays.files])


def train(model, options):
    """Aligns prompts with extracted sounds, trains the paper's network, fits the fusion."""
    catalog = open_catalog(options.data, options.licensed)
    bank = RIRBank.build(options.rooms, sources_per_room=6)
    plan = ScenePlan(
        catalog.select(known_classes(options)),
        bank,
        split="train",
        seed=options.seed + 10,
        duration=2.0,
        snr=(-8.0, 8.0),
        min_separation=8.0,
        swap_channels=True,
        speed=(0.9, 1.1),
        equalise=6.0,
    )
    if not options.start:
        align_prompts(model, plan, steps=options.steps, scenes=options.scenes_to_align)
    if options.path_steps:
        train_path(model, dataclasses.replace(plan, seed=options.seed + 12, **_PATH), options)
    if not options.no_prototypes:
        fit_prototypes(model, plan)
    plan = dataclasses.replace(plan, seed=options.seed + 11, duration=4.0, speed=(1.0, 1.0))
    found = fit_fusion(
        model, plan, dataclasses.replace(plan, absent=True), scenes=options.scenes_to_fit
    )
    print(f"fusion: {found}", flush=True)


def train_path(model, plan, options):
    """Trains the network of the paper with the projections of `model`, and puts it there."""
    config = {**model.backbone.get_config(), "num_candidates": 0, "num_prototypes": 0}
    path = AVSSAN(AVSSANBackbone.from_config(config))
    for layer in path.backbone.layers:
        layer.set_weights(model.backbone.get_layer(layer.name).get_weights())
    bridge = path.backbone.bridge
    frozen = [bridge.audio_projection, bridge.prompt_projection]
    for layer in frozen:
        layer.trainable = False
    fit_scenes(
        path,
        plan,
        steps=options.path_steps,
        batch_size=16,
        checkpoints=options.checkpoints,
        verbose=2,
    )
    for layer in path.backbone.layers:
        model.backbone.get_layer(layer.name).set_weights(layer.get_weights())
    model.training_record = join_records(model.training_record, path.training_record)


def score(model, options):
    """Scores on unseen recordings, pictures and rooms by duration, level and kind of prompt."""
    catalog = open_catalog(options.data, licensed=False)
    if options.held_out:
        catalog = catalog.select(options.held_out)
    bank = RIRBank.build(
        options.validation_rooms, sources_per_room=6, first_index=FIRST_EVALUATION_ROOM
    )
    scores = {}
    for duration, snr, prompts in _CONDITIONS:
        plan = ScenePlan(
            catalog,
            bank,
            "val",
            seed=options.seed,
            duration=duration,
            snr=snr,
            reference_split="train",
        )
        for prompt in prompts:
            result = evaluate_localizer(
                model, plan, options.scenes, prompt=prompt, batch_size=8, progress=False
            )
            name = f"{duration:g} s, {snr:g} dB, {prompt}"
            scores[name] = result.summary()
            print(f"\n{name}\n{result.table()}", flush=True)
        if snr == 0:
            name = f"{duration:g} s, {snr:g} dB, presence"
            scores[name] = evaluate_presence(
                model, plan, options.scenes, batch_size=8, progress=False
            )
            print(f"\n{name}: {scores[name]}", flush=True)
    return scores


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of classes with metadata.csv")
    parser.add_argument("--licensed", action="store_true", help="train on stated licences alone")
    parser.add_argument("--start", help="stored model to keep all but the search and fusion of")
    parser.add_argument("--image-encoder", help="KerasHub image preset folder")
    parser.add_argument("--yamnet", help="file or folder that convert_yamnet reads")
    parser.add_argument("--sentences", help="folder of a sentence encoder")
    parser.add_argument("--title", default="all-MiniLM-L6-v2", help="name of that encoder")
    parser.add_argument("--extractor", help="weights from benchmarks/extractor.py")
    parser.add_argument("--directions", help="weights from benchmarks/directions.py")
    parser.add_argument(
        "--masks", choices=("separate", "shared"), default="shared", help="of the candidates"
    )
    parser.add_argument(
        "--posteriors", choices=("steered", "equal"), default="equal", help="of the candidates"
    )
    parser.add_argument("--no-prototypes", action="store_true", help="prompts stay as they are")
    parser.add_argument("--held-out", nargs="+", default=[], metavar="CLASS")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--candidates", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600, help="steps of the alignment")
    parser.add_argument("--path-steps", type=int, default=0, help="steps of the paper's network")
    parser.add_argument("--checkpoints", help="folder to resume these steps from")
    parser.add_argument("--scenes-to-align", type=int, default=2400)
    parser.add_argument("--scenes-to-fit", type=int, default=400)
    parser.add_argument("--rooms", type=int, default=200)
    parser.add_argument("--validation-rooms", type=int, default=60)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="JSON file for the results")
    parser.add_argument("--save", help="folder for the trained model")
    options = parser.parse_args()
    parts = ("image_encoder", "yamnet", "sentences", "extractor")
    missing = [name for name in parts if not getattr(options, name)]
    if missing and not options.start:
        parser.error(f"--start, or all of {', '.join(parts)}, must be given; missing: {missing}")
    if options.start and not options.directions:
        parser.error("--start needs --directions")
    return options


if __name__ == "__main__":
    main()
