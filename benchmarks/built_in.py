r"""Compares settings on the built-in data: one training for each, scored on validation scenes.

Every run sees the same scenes in the same order; a run is named and changes, by JSON, the network,
the audio encoder, the loss or the training. The rows of `docs/design-decisions.md`,
"Ablations on built-in data", come from

    export KERAS_BACKEND=torch OMP_NUM_THREADS=1
    small='"encoder": {"filters": [8, 16, 32]}'
    python benchmarks/built_in.py --steps 480 \
        --run 'no alignment' '{"loss": {"reconstruction": "mse", "alignment_weight": 0}}' \
        --run 'alignment' '{"loss": {"reconstruction": "mse"}}' \
        --run '32 bands' '{"loss": {"reconstruction": "mse"}, "encoder": {"num_mels": 32}}' \
        --run 'small' "{\"loss\": {\"reconstruction\": \"mse\"}, $small}" \
        --run 'compressed' "{$small}" \
        --run 'weight 20' "{\"loss\": {\"reconstruction_weight\": 20}, $small}"
"""

import argparse
import json
import time

import keras

from keras_avssan import AVSSAN
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.doa import JointLoss
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.evaluation import evaluate_localizer
from keras_avssan.simulation import RIRBank
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM
from keras_avssan.training import fit_scenes


def main():
    options = _options()
    catalog = SyntheticClasses()
    bank = RIRBank.build(options.rooms, sources_per_room=6)
    validation_bank = RIRBank.build(40, sources_per_room=6, first_index=FIRST_EVALUATION_ROOM)
    train_plan = ScenePlan(catalog, bank, split="train", seed=options.seed)
    validation_plan = ScenePlan(catalog, validation_bank, split="val", seed=options.seed)
    for name, changes in options.run:
        changes = json.loads(changes)
        keras.utils.set_random_seed(options.seed)
        settings = {"dim": 32, "mlp_dim": 128, **changes.get("network", {})}
        encoder = LogMelEncoder(**{"filters": (16, 32, 64), **changes.get("encoder", {})})
        model = AVSSAN(audio_encoder=encoder, **settings)
        model.compile(loss=JointLoss(**{**model.loss.get_config(), **changes.get("loss", {})}))
        training = {"steps": options.steps, **changes.get("training", {})}
        started = time.time()
        fit_scenes(model, train_plan, epochs=1, verbose=0, **training)
        seconds = time.time() - started
        evaluation = evaluate_localizer(model, validation_plan, options.scenes, progress=False)
        print(f"\n{name}: {training['steps']} steps in {seconds:.0f} s, {keras.backend.backend()}")
        print(evaluation.table(), flush=True)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--run",
        nargs=2,
        action="append",
        required=True,
        metavar=("NAME", "CHANGES"),
        help="name, and a JSON object of arguments: `network` of AVSSAN, `encoder` of "
        "LogMelEncoder, `loss` of JointLoss, `training` of fit_scenes; may be given several times",
    )
    parser.add_argument("--steps", type=int, default=480)
    parser.add_argument("--rooms", type=int, default=150)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
