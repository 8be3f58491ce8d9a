r"""Scores models on measured responses, trained in simulated rooms that vary in more and more.

    export KERAS_BACKEND=jax OMP_NUM_THREADS=1
    python benchmarks/carry_over.py mit_kemar_normal_pinna.sofa --out carry_over

Each variant is one small model on the built-in sounds, trained in rooms of its own bank with the
same seeds: without any variation, and with errors of gain, phase or position of the microphones,
directional sources, absorption by octave band, sensor noise, or all of these. The rooms have the
spacing of the measured pair; `--spacing` takes that of an array. All models are scored on the same
scenes of two sources, in the measured rooms and in simulated ones that do not vary, both unseen in
training. Differences to the first variant are paired; intervals are 95 % bootstrap intervals. Banks
and models are stored in the folder `--out`, and read from there the next time.
"""

import argparse
from pathlib import Path

import keras

from keras_avssan import AVSSAN
from keras_avssan._internal.atomic_files import write_json
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.evaluation import evaluate_localizer, paired_difference
from keras_avssan.simulation import RIRBank, RoomRanges
from keras_avssan.training import fit_scenes

CLASSES = ("bell", "bird", "dog", "drum", "engine", "rain")
# Settings of `RoomRanges` by variant; noise is one of the plan.
VARIANTS = {
    "plain": {},
    "gain": {"gain_error": 3.0},
    "phase": {"phase_error": 20.0},
    "position": {"position_error": 0.01},
    "directivity": {"source_pattern": "subcardioid"},
    "bands": {"absorption_factor": (0.7, 1.4)},
    "noise": {},
}
VARIANTS["all"] = {name: value for ranges in VARIANTS.values() for name, value in ranges.items()}
_NOISY = ("noise", "all")
_NOISE = (20.0, 40.0)  # dB
_SCORES = {"selection": (100, " %"), "mae": (1, "°"), "acc_5deg": (100, " %")}


def main():
    options = _options()
    out = Path(options.out)
    out.mkdir(exist_ok=True)
    measured = RIRBank.from_sofa(
        options.files,
        microphone_spacing=options.spacing,
        sources_per_room=options.sources_per_room,
    )
    spacing = measured.microphone_spacing
    simulated = _bank(out, "simulated", {}, spacing, options.test_rooms, 1, options)
    plans = {
        name: ScenePlan(_catalog(), bank, split="test", seed=1, min_separation=15.0)
        for name, bank in (("measured", measured), ("simulated", simulated))
    }
    rows = {}
    for variant in options.variants:
        model = _model(out, variant, spacing, options)
        rows[variant] = {
            name: evaluate_localizer(model, plan, options.scenes, progress=False)
            for name, plan in plans.items()
        }
    results = summarize(rows)
    settings = {**vars(options), "backend": keras.backend.backend(), "spacing_used": spacing}
    write_json(out / "carry_over.json", {"rows": results, "settings": settings})
    print(table(results))


def summarize(rows):
    """Scores of each variant and kind of room, and differences to the first variant."""
    first = next(iter(rows))
    return {
        variant: {
            name: {
                "scores": {key: evaluation.summary()["scores"][key] for key in _SCORES},
                "difference": None
                if variant == first
                else paired_difference(evaluation, rows[first][name])["mae"],
            }
            for name, evaluation in found.items()
        }
        for variant, found in rows.items()
    }


def table(results):
    """The results as Markdown."""
    lines = ["| Trained with | Rooms | Selection | MAE | ACC@5° | MAE, difference |"]
    lines.append("|---" * 6 + "|")
    for variant, found in results.items():
        for name, row in found.items():
            cells = [_cell(row["scores"][key], *form) for key, form in _SCORES.items()]
            cells.append("–" if row["difference"] is None else _cell(row["difference"], 1, "°"))
            lines.append(f"| {variant} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(score, factor, unit):
    low, high = (factor * bound for bound in score["interval"])
    return f"{factor * score['mean']:.1f}{unit} ({low:.1f} to {high:.1f})"


def _model(out, variant, spacing, options):
    folder = out / f"model-{variant}"
    if folder.exists():
        return AVSSAN.from_preset(str(folder))
    keras.utils.set_random_seed(options.seed)
    model = AVSSAN(
        dim=options.dim,
        mlp_dim=4 * options.dim,
        audio_encoder=LogMelEncoder(filters=(8, 16, 32)),
        microphone_spacing=spacing,
    )
    bank = _bank(out, variant, VARIANTS[variant], spacing, options.rooms, 0, options)
    noise = _NOISE if variant in _NOISY else None
    plan = ScenePlan(_catalog(), bank, split="train", seed=0, sensor_noise=noise)
    fit_scenes(
        model,
        plan,
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=4e-3,
        verbose=2,
    )
    model.save_to_preset(str(folder))
    return model


def _catalog():
    return SyntheticClasses(CLASSES)


def _bank(out, name, varied, spacing, rooms, seed, options):
    path = out / f"{name}.npz"
    if not path.exists():
        ranges = RoomRanges(spacing=spacing, t60=tuple(options.t60), **varied)
        RIRBank.build(rooms, seed=seed, ranges=ranges, progress=False).save(path)
    return RIRBank.load(path)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", help="measured responses, SOFA files")
    parser.add_argument("--out", required=True, help="folder of banks, models and results")
    parser.add_argument("--spacing", type=float, help="of the microphones to take, in metres")
    parser.add_argument("--sources-per-room", type=int, default=6, help="of measured rooms (6)")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="all by default"
    )
    parser.add_argument("--steps", type=int, default=560, help="training steps (560)")
    parser.add_argument("--batch-size", type=int, default=32, help="scenes per step (32)")
    parser.add_argument("--dim", type=int, default=32, help="width of the network (32)")
    parser.add_argument("--rooms", type=int, default=150, help="rooms for training (150)")
    parser.add_argument("--test-rooms", type=int, default=40, help="simulated ones to test (40)")
    parser.add_argument("--t60", type=float, nargs=2, default=(0.2, 0.8), help="seconds (0.2 0.8)")
    parser.add_argument("--scenes", type=int, default=1000, help="scenes to score (1000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of weights (1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
