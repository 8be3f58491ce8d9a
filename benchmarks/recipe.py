r"""Compares recipes: one training for each variant, a single change to the baseline.

Except for their change, all variants train from the same weights on the same scenes, and are
scored on the same validation scenes: unseen recordings, pictures and rooms. The table has the
paired difference of every score to the baseline.

    KERAS_BACKEND=jax python benchmarks/recipe.py --data FOLDER --classes twelve \
        --image-encoder PRESET --steps 2000 --out results

The same command resumes an interrupted run, and `--variants` may differ from call to call.
`--run NAME CHANGES` adds a variant by JSON: `plan` of ScenePlan, `encoder` of LogMelEncoder,
`network` of AVSSAN, `loss` of JointLoss, `optimizer` of AdamW, `rate` a factor on the learning
rate, `seed` added to that of weights and scenes:

    --run slower '{"plan": {"speed": [0.7, 1.0]}, "rate": 0.5}'

The folder holds `recipe.md`, the table; `rows/NAME.json` with every estimate; `models/NAME`, the
trained networks, without the image encoder; and `prompts.npz`, the prompt embeddings.
"""

import argparse
import dataclasses
import hashlib
import json
import time
import zlib

import keras
from prompt_options import add_image_encoder_options, expand_classes

from keras_avssan import AVSSAN
from keras_avssan._internal.atomic_files import read_json, write_json
from keras_avssan.benchmark import BenchmarkSettings
from keras_avssan.benchmark.prompt_vectors import PromptVectors, default_image_encoder
from keras_avssan.benchmark.rooms import build_banks
from keras_avssan.benchmark.scenes import BenchmarkScenes
from keras_avssan.benchmark.train_and_score import ResultsFolder, default_rate
from keras_avssan.cli.options import add_data_options, open_catalog, open_image_encoder
from keras_avssan.data.scenes.scene_files import SceneStore
from keras_avssan.doa import JointLoss
from keras_avssan.encoders import LogMelEncoder
from keras_avssan.evaluation import Evaluation, evaluate_localizer, paired_difference
from keras_avssan.models.prompt_embeddings import encoder_fingerprint
from keras_avssan.training import fit_scenes, save_atomically

_SWAP = {"swap_channels": True}
_RECORDINGS = {"speed": [0.85, 1.15], "equalise": 6.0}
_MASKS = {"spec_augment": [12, 8]}

VARIANTS: dict[str, dict] = {
    "baseline": {},
    "another-seed": {"seed": 1},  # the variation between seeds
    "swap": {"plan": _SWAP},
    "speed-equalise": {"plan": _RECORDINGS},
    "spec-augment": {"encoder": _MASKS},
    "all-augmentation": {"plan": {**_SWAP, **_RECORDINGS}, "encoder": _MASKS},
    "snr-jitter": {"plan": {"snr": [-5.0, 5.0]}},
    "sensor-noise": {"plan": {"sensor_noise": [20.0, 40.0]}},
    "alignment-0": {"loss": {"alignment_weight": 0.0}},
    "alignment-3": {"loss": {"alignment_weight": 3.0}},
    "reconstruction-mse": {"loss": {"reconstruction": "mse"}},
    "sigma-10": {"loss": {"sigma": 10.0}},
    "ema": {"optimizer": {"use_ema": True, "ema_momentum": 0.99}},
    "magnitude-cues": {"network": {"magnitude": "cues"}},
    "magnitude-mask": {"network": {"magnitude": "mask"}},
    "dropout-0.3": {"network": {"dropout": 0.3}},
    "rate-0.3": {"rate": 0.3},
    "rate-3": {"rate": 3.0},
}
_PARTS = {"plan", "encoder", "network", "loss", "optimizer", "rate", "seed"}


class Comparison:
    """What all variants have in common: data, rooms, prompts and budget."""

    def __init__(self, options):
        self.options = options
        self.settings = BenchmarkSettings(
            budget=options.steps,
            batch_size=options.batch_size,
            trials=1,
            scenes=options.scenes,
            duration=options.duration,
            rooms=options.rooms,
            test_rooms=options.validation_rooms,
            seed=options.seed,
            test_split="val",
        )
        catalog = open_catalog(options)
        encoder = open_image_encoder(options) or default_image_encoder(options.seed)
        self.vectors = PromptVectors(encoder)
        self.folder = ResultsFolder(options.out, self._config(catalog, encoder))
        banks = build_banks(self.settings, self.folder.path / "rooms", catalog.sampling_rate)
        scenes = BenchmarkScenes(self.settings, catalog, banks)
        self.train, self.validation = scenes.train, scenes.test
        self.pictures, _ = self.vectors.embed(scenes.plans(), self.folder.path / "prompts.npz")

    def _config(self, catalog, encoder):
        """All settings that determine the results."""
        items = "\n".join(sorted(map(repr, (*catalog.clips, *catalog.pictures))))
        return {
            **dataclasses.asdict(self.settings),
            "snr": list(self.settings.snr),
            "dim": self.options.dim,
            "train_scenes": self.options.train_scenes,
            "backend": keras.backend.backend(),
            "data": hashlib.sha256(items.encode()).hexdigest(),
            "image_encoder": encoder_fingerprint(encoder),
        }

    def row(self, name, changes):
        """The row of a variant, trained and scored unless that was done before."""
        path = self.folder.row_path(name, 2)
        row = read_json(path)
        if row is None:
            row = {"name": name, "changes": changes, **self._run(name, changes)}
            write_json(path, row, indent=None)
        elif row["changes"] != changes:
            raise SystemExit(f"'{path}' is of other changes, {row['changes']}: name it otherwise.")
        return row

    def _run(self, name, changes):
        seed = self.settings.seed + changes.get("seed", 0)
        plan = dataclasses.replace(self.train, seed=seed, **_tuples(changes.get("plan", {})))
        store = SceneStore(
            self.folder.path / "scenes" / _digest(changes.get("plan", {}), seed),
            plan,
            self.options.scene_cache * 1e9,
        )
        model = self._make(seed, changes)
        started = time.perf_counter()
        fit_scenes(
            model,
            plan,
            steps=self.settings.budget,
            batch_size=self.settings.batch_size,
            epochs=1,
            learning_rate=changes.get("rate", 1.0) * default_rate(model),
            prompt_embeddings=self.pictures,
            make=store.make_dataset,
            callbacks=self.callbacks(model),
            verbose=2,
        )
        seconds = time.perf_counter() - started
        save_atomically(model, str(self.folder.model_path(name)))
        # New scenes of the training recordings: the difference shows the generalisation.
        first = self.settings.budget * self.settings.batch_size
        known = self._score(model, self.train, self.options.train_scenes, start=first)
        unseen = self._score(model, self.validation, self.settings.scenes)
        known_scores = known.summary()["scores"]
        row = {"seconds": seconds, "training": known_scores, "evaluation": unseen.to_dict()}
        return {**row, **self.further(model)}

    def callbacks(self, model):
        """Callbacks of a training, for comparisons that record more."""
        return []

    def further(self, model):
        """Further entries of the row of a trained model."""
        return {}

    def _make(self, seed, changes):
        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        encoder = {"filters": (16, 32, 64), "dropout": 0.3, **changes.get("encoder", {})}
        network = {"dim": self.options.dim, "mlp_dim": 4 * self.options.dim, "dropout": 0.1}
        model = AVSSAN(
            audio_encoder=LogMelEncoder(**encoder),
            prompt_dim=self.vectors.prompt_dim,
            sampling_rate=self.train.sampling_rate,
            **{**network, **changes.get("network", {})},
        )
        model.compile(loss=JointLoss(**{**model.loss.get_config(), **changes.get("loss", {})}))
        if "optimizer" in changes:
            made = model.default_optimizer()
            config = {**made.get_config(), **changes["optimizer"]}
            model.default_optimizer = lambda: type(made).from_config(config)
        return model

    def _score(self, model, plan, count, start=0):
        return evaluate_localizer(
            model, plan, count, start=start, prompt_embeddings=self.pictures, progress=False
        )


def table(rows):
    """The rows as a Markdown table, with 95 % intervals."""
    lines = [
        "| variant | selection | MAE | ACC@5° | selection over baseline | MAE over baseline "
        "| selection, training recordings | minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    baseline = rows.get("baseline") and Evaluation.from_dict(rows["baseline"]["evaluation"])
    for name, row in rows.items():
        evaluation = Evaluation.from_dict(row["evaluation"])
        scores = evaluation.summary()["scores"]
        cells = [_percent(scores["selection"]), _degrees(scores["mae"])]
        cells.append(_percent(scores["acc_5deg"]))
        if baseline is None or name == "baseline":
            cells += ["–", "–"]
        else:
            difference = paired_difference(evaluation, baseline)
            cells.append(_percent(difference["selection"], "+"))
            cells.append(_degrees(difference["mae"], "+"))
        known = row["training"]["selection"]
        cells += [_percent(known), f"{row['seconds'] / 60:.1f}"]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _percent(score, sign=""):
    low, high = score["interval"]
    text = f"{100 * score['mean']:{sign}.1f} % ({100 * low:{sign}.1f} to {100 * high:{sign}.1f})"
    return text.replace("-", "−")


def _degrees(score, sign=""):
    low, high = score["interval"]
    return f"{score['mean']:{sign}.1f}° ({low:{sign}.1f} to {high:{sign}.1f})".replace("-", "−")


def _tuples(changes):
    """Arguments of a plan from JSON, whose pairs are lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in changes.items()}


def _digest(*parts):
    return f"{zlib.crc32(json.dumps(parts, sort_keys=True).encode()):08x}"


def main():
    options = _options()
    chosen = {name: VARIANTS[name] for name in options.variants}
    for name, text in options.run:
        changes = json.loads(text)
        unknown = set(changes) - _PARTS
        if unknown:
            raise SystemExit(f"A variant changes {sorted(_PARTS)}, not {sorted(unknown)}")
        chosen[name] = changes
    comparison = Comparison(options)
    for number, (name, changes) in enumerate(chosen.items(), 1):
        print(f"[{number}/{len(chosen)}] {name}: {json.dumps(changes)}", flush=True)
        comparison.row(name, changes)
        finished = {row["name"]: row for row in _rows(comparison.folder)}
        order = {**dict.fromkeys(VARIANTS), **dict.fromkeys(sorted(finished))}
        text = table({name: finished[name] for name in order if name in finished})
        (comparison.folder.path / "recipe.md").write_text(text + "\n")
    print(text)


def _rows(folder):
    return [read_json(path) for path in (folder.path / "rows").glob("*.json")]


def add_comparison_options(parser, steps):
    """Adds the options of `Comparison`, with a default number of steps."""
    add_data_options(parser)
    add_image_encoder_options(parser)
    parser.add_argument("--out", required=True, help="folder of the results")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--duration", type=float, default=1.0)
    parser.add_argument("--rooms", type=int, default=200)
    parser.add_argument("--validation-rooms", type=int, default=60)
    parser.add_argument("--scenes", type=int, default=1000, help="validation scenes")
    parser.add_argument("--train-scenes", type=int, default=300, help="of the training split")
    parser.add_argument("--scene-cache", type=float, default=5.0, help="gigabytes a set of scenes")
    parser.add_argument("--seed", type=int, default=0)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_comparison_options(parser, steps=2000)
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument(
        "--run", nargs=2, action="append", default=[], metavar=("NAME", "CHANGES"), help="see above"
    )
    options = expand_classes(parser.parse_args())
    if not options.variants and not options.run:
        parser.error("nothing to run: give --variants or --run")
    return options


if __name__ == "__main__":
    main()
