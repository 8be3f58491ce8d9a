r"""Compares models with SRP-PHAT on one source alone, by its angle from the microphones' axis.

    export KERAS_BACKEND=jax OMP_NUM_THREADS=1
    python benchmarks/near_axis.py --out near_axis \
        --train first '{"phase_transform": false, "doa_padding": "zeros"}' --train default '{}'

A model is that of the quickstart, trained on two sources, with arguments of `AVSSANBackbone` that
differ. It is stored in the folder `--out`, as are the rooms, and read from there the next time.
Each model and SRP-PHAT, in its own frequency range and in the models', localise the isolated
target of test scenes, in rooms unseen in training; so does the head without a network, before it
has learned any correction, with bins weighted by amplitude or by phase only. Differences to
SRP-PHAT are paired, with 95 % bootstrap intervals. The differences of the other models to the first
one with two sources come last. Without `--train` no model is trained.
"""

import argparse
import json
from pathlib import Path

import keras
import numpy as np

from keras_avssan import AVSSAN
from keras_avssan._internal.atomic_files import write_json
from keras_avssan.classical import SRPPHAT
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.data.scenes.rendering import render_scenes
from keras_avssan.doa import GRID_DEGREES
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.evaluation import evaluate_localizer, paired_difference
from keras_avssan.evaluation.scoring import score_with_interval
from keras_avssan.layers import DoAHead, StereoSTFT
from keras_avssan.layers.stereo_stft import level_gain
from keras_avssan.simulation import RIRBank
from keras_avssan.training import fit_scenes

CLASSES = ("bell", "bird", "dog", "drum", "engine", "rain")
ZONES = {"0–10°": (0, 10), "10–20°": (10, 20), "20–45°": (20, 45), "45–90°": (45, 90)}
_EVERYWHERE = "all"
_FAR = 10.0  # degrees
_AT_ONCE = 32


def main():
    options = _options()
    out = Path(options.out)
    out.mkdir(exist_ok=True)
    systems = {
        name: _model(out, name, json.loads(net), options) for name, net in options.train or []
    }
    references = {
        "SRP-PHAT": SRPPHAT(),
        "SRP-PHAT, all frequencies": SRPPHAT(frequency_range=(1.0, 8000.0)),
    }
    heads = {"head, amplitudes": _HeadAlone(phases=False), "head, phases": _HeadAlone(phases=True)}
    single = ScenePlan(_catalog(), _bank(out, "single", options), split="test", seed=2)
    zones = {_EVERYWHERE: range(options.scenes)}
    zones |= {zone: _scenes_of(single, *limits, options) for zone, limits in ZONES.items()}
    errors = {
        zone: _errors(single, scenes, references | heads | systems)
        for zone, scenes in zones.items()
    }
    both = {}
    if systems:
        two = ScenePlan(_catalog(), _bank(out, "test", options), split="test", seed=1)
        both = {
            name: evaluate_localizer(model, two, options.scenes, progress=False)
            for name, model in systems.items()
        }
    results = summarize(errors, both, references)
    results["settings"] = {**vars(options), "backend": keras.backend.backend()}
    write_json(out / "near_axis.json", results)
    print(tables(results))


def summarize(errors, both, references):
    """Content of the tables, as a JSON-serialisable dict.

    Args:
        errors: Dict from zone to a dict from system to the errors of one source alone in degrees.
        both: Dict from model to its `Evaluation` on two sources.
        references: Names of the systems that the models are compared with.

    Returns:
        Dict with `alone` and `two_sources`.
    """
    alone = {}
    for zone, by_system in errors.items():
        alone[zone] = {}
        for name, error in by_system.items():
            row = {"mae": score_with_interval(error), "far": score_with_interval(_far(error))}
            for reference in references:
                if name not in references:
                    other = by_system[reference]
                    row[f"mae above {reference}"] = score_with_interval(error - other)
                    row[f"far above {reference}"] = score_with_interval(_far(error) - _far(other))
            alone[zone][name] = row
    first = next(iter(both.values()), None)
    two_sources = {
        name: {**_scores(evaluation), "difference": paired_difference(evaluation, first)}
        for name, evaluation in both.items()
    }
    return {"alone": alone, "two_sources": two_sources}


def _far(error):
    return (error > _FAR).astype("float64")


def _scores(evaluation):
    per_scene = evaluation.scores.per_scene()
    return {name: score_with_interval(values) for name, values in per_scene.items()}


# ---- Systems and scenes


class _HeadAlone:
    """A `DoAHead` without correction, on unmasked recordings."""

    def __init__(self, phases):
        self.phases = phases
        self.stft = StereoSTFT()
        self.head = DoAHead()

    def predict_on_batch(self, inputs):
        audio = keras.ops.convert_to_tensor(inputs["audio"])
        spectrogram = self.stft(audio * level_gain(audio))
        ones = keras.ops.ones_like(spectrogram[..., 0]) if self.phases else None
        return {"doa": keras.ops.convert_to_numpy(self.head(spectrogram, None, ones))}


def _model(out, name, network, options):
    folder = out / name
    if folder.exists():
        return AVSSAN.from_preset(str(folder))
    keras.utils.set_random_seed(options.seed)
    encoder = LogMelEncoder(filters=(8, 16, 32))
    model = AVSSAN(**{"dim": 32, "mlp_dim": 128, "audio_encoder": encoder, **network})
    plan = ScenePlan(_catalog(), _bank(out, "train", options), split="train", seed=0)
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


def _bank(out, name, options):
    """Rooms for training, for two sources and for one, no two of them the same."""
    path = out / f"{name}.npz"
    if not path.exists():
        seed = ("train", "test", "single").index(name)
        rooms = options.rooms[seed]
        sources = 12 if name == "single" else 6
        bank = RIRBank.build(rooms, seed=seed, sources_per_room=sources, progress=False)
        bank.save(path)
    return RIRBank.load(path)


def _scenes_of(plan, low, high, options):
    """The first scenes whose target has such an angle to the axis, in degrees."""
    scenes = []
    for index in range(options.search):
        azimuth = plan[index].azimuth
        if low <= min(azimuth, 180.0 - azimuth) < high:
            scenes.append(index)
        if len(scenes) == options.zone_scenes:
            break
    return scenes


def _errors(plan, scenes, systems):
    """Errors of all systems in degrees on the isolated target of each scene."""
    errors = {name: [] for name in systems}
    for start in range(0, len(scenes), _AT_ONCE):
        chosen = [plan[index] for index in scenes[start : start + _AT_ONCE]]
        pictures = [plan.catalog.load_image(scene.picture, (64, 64)) for scene in chosen]
        rendered = render_scenes(plan, chosen, interferer_alone=False)
        inputs = {"audio": rendered["target"], "images": np.stack(pictures)}
        for name, system in systems.items():
            posterior = np.asarray(system.predict_on_batch(inputs)["doa"])
            estimate = GRID_DEGREES[np.argmax(posterior, axis=-1)]
            errors[name].append(np.abs(estimate - rendered["azimuth"]))
    return {name: np.concatenate(parts) for name, parts in errors.items()}


# ---- Tables


def tables(results):
    """The results as Markdown, with 95 % intervals."""
    alone = results["alone"]
    names = list(alone[_EVERYWHERE])
    lines = ["| One source alone | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    for score, title, form in (
        ("mae", "MAE", _degrees),
        ("far", f"off by more than {_FAR:g}°", _percent),
    ):
        for zone, rows in alone.items():
            cells = [form(rows[name][score]) for name in names]
            lines.append(f"| {title}, {zone} | " + " | ".join(cells) + " |")
    lines += ["", "| Difference to | in | MAE | off by more than 10° |", "|---|---|---|---|"]
    for zone, rows in alone.items():
        for name, row in rows.items():
            for reference in (key.removeprefix("mae above ") for key in row if "mae above" in key):
                mae, far = (row[f"{score} above {reference}"] for score in ("mae", "far"))
                lines.append(
                    f"| {name} − {reference} | {zone} | {_degrees(mae)} | {_percent(far)} |"
                )
    two = results["two_sources"]
    if not two:
        return "\n".join(lines)
    lines += [
        "",
        "| Two sources | Selection | MAE | ACC@5° | MAE when selected |",
        "|---" * 5 + "|",
    ]
    forms = {"selection": _percent, "mae": _degrees, "acc_5deg": _percent, "selected_mae": _degrees}
    for number, (name, row) in enumerate(two.items()):
        cells = [form(row[score]) for score, form in forms.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        if number:
            cells = [form(row["difference"][score]) for score, form in forms.items()]
            lines.append(f"| {name} − {next(iter(two))} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _percent(score):
    low, high = score["interval"]
    return f"{100 * score['mean']:.1f} % ({100 * low:.1f} to {100 * high:.1f})".replace("-", "−")


def _degrees(score):
    low, high = score["interval"]
    return f"{score['mean']:.1f}° ({low:.1f} to {high:.1f})".replace("-", "−")


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--train",
        nargs=2,
        action="append",
        metavar=("NAME", "NETWORK"),
        help="name, and a JSON object of arguments of `AVSSAN`; may be given several times",
    )
    parser.add_argument("--out", required=True, help="folder of rooms, models and results")
    parser.add_argument("--steps", type=int, default=560, help="training steps (560)")
    parser.add_argument("--batch-size", type=int, default=32, help="scenes per step (32)")
    parser.add_argument(
        "--rooms",
        type=int,
        nargs=3,
        default=(150, 40, 120),
        help="rooms for training, two sources, one source (150 40 120)",
    )
    parser.add_argument("--scenes", type=int, default=1000, help="scenes at any angle (1000)")
    parser.add_argument("--zone-scenes", type=int, default=400, help="scenes of each zone (400)")
    parser.add_argument("--search", type=int, default=20_000, help="scenes to take them from")
    parser.add_argument("--seed", type=int, default=1, help="seed of weights (1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
