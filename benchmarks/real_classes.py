"""Trains and scores AV-SSAN on recordings and pictures of real sound classes.

Trains on the split `train` of a folder of classes with a frozen, pretrained image encoder, and
scores on the split `val`: unseen recordings, pictures and rooms, compared with the random-source
baseline and with the same model prompted with a constant. With `--prompts picture recording`
one model learns both kinds of prompt and is scored on both; prompt recordings come from the split
`train`, since many classes have a single recording in `val`.

    python benchmarks/real_classes.py --data FOLDER --image-encoder PRESET --classes twelve \
        --steps 2000 --out results.json
"""

import argparse
import json
import time

import keras
import keras_hub

from keras_avssan import AVSSAN
from keras_avssan.data import ClassFolders, ScenePlan
from keras_avssan.doa import JointLoss
from keras_avssan.encoders import ImageEncoder, LogMelEncoder
from keras_avssan.evaluation import evaluate_localizer
from keras_avssan.simulation import RIRBank
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM
from keras_avssan.training import fit_scenes

# Well-filled classes, chosen by their number of recordings before any training.
TWELVE = (
    "airplane",
    "car_engine",
    "cow",
    "drums",
    "female_speech",
    "fire",
    "hammer",
    "horse",
    "songbird",
    "thunder",
    "train",
    "violin",
)


def main():
    options = _options()
    keras.utils.set_random_seed(options.seed)
    catalog = ClassFolders(
        options.data,
        classes=TWELVE if options.classes == "twelve" else None,
        allow_single_picture=True,
    )
    train_bank = RIRBank.build(options.rooms, sources_per_room=6)
    test_bank = RIRBank.build(60, sources_per_room=6, first_index=FIRST_EVALUATION_ROOM)
    train_plan = ScenePlan(
        catalog,
        train_bank,
        split="train",
        seed=options.seed,
        duration=options.duration,
        prompt_kinds=tuple(options.prompts),
    )
    test_plan = ScenePlan(
        catalog,
        test_bank,
        split="val",
        seed=options.seed,
        duration=options.duration,
        reference_split="train",
    )

    backbone = keras_hub.models.Backbone.from_preset(options.image_encoder)
    model = AVSSAN(
        image_encoder=ImageEncoder(backbone, (224, 224), mean=0.5, std=0.5),
        audio_encoder=_audio_encoder(options),
        dim=options.dim,
        mlp_dim=4 * options.dim,
        dropout=0.1,
    )
    if options.reconstruction:
        settings = {**model.loss.get_config(), "reconstruction": options.reconstruction}
        model.compile(loss=JointLoss(**settings))
    started = time.time()
    fit_scenes(
        model,
        train_plan,
        steps=options.steps,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_plan=test_plan if options.watch else None,
        verbose=2,
    )
    seconds = time.time() - started
    results = {"seconds": seconds, "backend": keras.backend.backend(), "settings": vars(options)}
    for prompt in (*options.prompts, "constant"):
        evaluation = evaluate_localizer(
            model, test_plan, options.scenes, prompt=prompt, progress=False
        )
        print(f"\nprompt: {prompt}\n{evaluation.table()}", flush=True)
        results[prompt] = evaluation.summary()
    if options.out:
        with open(options.out, "w") as file:
            json.dump(results, file, indent=2)
    if options.save:
        model.save_to_preset(options.save)
    print(f"\ntrained {options.steps} steps in {seconds:.0f} s")


def _audio_encoder(options):
    """A frozen, pretrained one from a preset folder, or a small trainable one."""
    if options.audio_encoder:
        return keras_hub.models.Backbone.from_preset(options.audio_encoder)
    return LogMelEncoder(filters=(16, 32, 64), dropout=0.3)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of classes with metadata.csv")
    parser.add_argument("--image-encoder", required=True, help="KerasHub image preset folder")
    parser.add_argument(
        "--audio-encoder", help="audio preset folder; a trainable encoder if not given"
    )
    parser.add_argument("--prompts", nargs="+", default=["picture"], help="kinds of prompt: KIND …")
    parser.add_argument("--classes", choices=("twelve", "all"), default="twelve")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument(
        "--reconstruction", help="form of the reconstruction loss; the configuration's if not given"
    )
    parser.add_argument("--duration", type=float, default=1.0)
    parser.add_argument("--rooms", type=int, default=200)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--watch", action="store_true", help="score every epoch on the test plan")
    parser.add_argument("--out", help="JSON file for the results")
    parser.add_argument("--save", help="folder for the trained model")
    return parser.parse_args()


if __name__ == "__main__":
    main()
