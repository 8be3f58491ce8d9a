r"""Shows where a network with candidates loses the target: prompt, sounds, extraction or search.

    KERAS_BACKEND=tensorflow python benchmarks/candidate_limits.py --preset avssan_sounds50 \
        --data FOLDER --scenes 300 --out candidate_limits.json

On the split `val`, unseen recordings, pictures and rooms, two sources a scene, by kind of prompt:

* `true sounds`: which of the two isolated sources, as they arrive at the microphones, is more
  similar to the prompt; here only prompt and sound encoder can err;
* `extracted`: likewise of what the extractor extracts from the mixture at the true azimuths;
* `network`: which source the network's estimate is nearer to; here the search can err, too.

`one source alone` are the errors of the network and of SRP-PHAT on the isolated target, in degrees,
and their difference, also for targets within 20 degrees of the microphones' axis.
`without prototypes` leaves the prompt as it is projected. `presence` is the area under the ROC
curve of the greater similarity, for prompts of the target against prompts of a class that is not in
the scene. `names` is how often a prompt is nearest to the name of its own class.
"""

import argparse
import dataclasses

import keras
import numpy as np
from extractor import open_catalog
from keras import ops
from machine import processor
from tqdm import tqdm

from keras_avssan import AVSSAN
from keras_avssan._internal.atomic_files import write_json
from keras_avssan._internal.unit_length import unit_length
from keras_avssan.classical import SRPPHAT
from keras_avssan.data import ScenePlan
from keras_avssan.doa import GRID_DEGREES
from keras_avssan.evaluation.absent_targets import auroc
from keras_avssan.evaluation.evaluate_localizer import scene_batches
from keras_avssan.evaluation.scoring import score_with_interval
from keras_avssan.layers.stereo_stft import level_gain
from keras_avssan.models.prompt_embeddings import embed_class_names
from keras_avssan.simulation import RIRBank
from keras_avssan.simulation.bank.room_parts import FIRST_EVALUATION_ROOM

_BATCH_SIZE = 8
_AXIS = 20.0  # degrees from it, at most


def main():
    options = _options()
    model = AVSSAN.from_preset(options.preset)
    bank = RIRBank.build(
        options.validation_rooms, sources_per_room=6, first_index=FIRST_EVALUATION_ROOM
    )
    plan = ScenePlan(
        open_catalog(options.data, licensed=False),
        bank,
        "val",
        seed=options.seed,
        duration=options.duration,
        snr=options.snr,
        reference_split="train",
    )
    results = {
        "settings": {**vars(options), "backend": keras.backend.backend()},
        "machine": processor(),
        "scores": {kind: measure(model, plan, kind, options.scenes) for kind in options.prompts},
        "one source alone": one_source(model, plan, options.scenes),
    }
    print(table(results))
    if options.out:
        write_json(options.out, results)


def measure(model, plan, kind, num_scenes):
    """Scores of the stages for one kind of prompt."""
    plan = dataclasses.replace(plan, prompt_kinds=(kind,))
    batches = scene_batches(
        model, plan, num_scenes, batch_size=_BATCH_SIZE, prompt=kind, progress=False
    )
    names = class_names(model, plan)
    rows = {}
    for index in tqdm(range(len(batches)), desc=kind, unit="batch"):
        inputs, labels = batches[index]
        scenes = [plan[index * _BATCH_SIZE + i] for i in range(len(labels["azimuth"]))]
        for name, values in of_batch(model, inputs, labels, scenes, names, plan.classes).items():
            rows.setdefault(name, []).append(values)
    return summary({name: np.concatenate(parts)[:num_scenes] for name, parts in rows.items()})


def class_names(model, plan):
    """Unit vectors of the names of the plan's classes in the space of prompts, (classes, D)."""
    by_name = embed_class_names(model, plan)
    words = ops.convert_to_tensor(np.stack([by_name[name] for name in plan.classes]))
    projected = model.backbone.bridge.project_prompt(words)
    return ops.convert_to_numpy(unit_length(ops.cast(projected, "float32")))


def of_batch(model, inputs, labels, scenes, names, classes):
    """Similarities to target and interferer, by stage, and what else is measured of a scene."""
    backbone = model.backbone
    outputs = model.predict_on_batch(inputs)
    semantics = np.asarray(outputs["prompt_semantics"])
    audio, target = (ops.convert_to_tensor(x) for x in (inputs["audio"], labels["target"]))
    gain = level_gain(audio)
    azimuths = np.stack([labels["azimuth"], labels["interferer_azimuth"]], axis=1)
    azimuths = ops.convert_to_tensor(azimuths.astype("float32"))
    masks = backbone.candidates.extract(backbone.stft(audio * gain), azimuths)
    whole = ops.ones_like(masks[:, :1])
    alone = (target * gain, (audio - target) * gain)

    sounds = {
        "true sounds": ops.concatenate(
            [backbone.evidence.project(x, whole) for x in alone], axis=1
        ),
        "extracted": backbone.evidence.project(audio * gain, masks),
    }
    sounds = {stage: ops.convert_to_numpy(vectors) for stage, vectors in sounds.items()}
    forms = {"": semantics}
    if backbone.settings["num_prototypes"]:
        moved = backbone.prototypes(ops.convert_to_tensor(semantics))
        forms = {"": ops.convert_to_numpy(moved), ", without prototypes": semantics}
    absent = [other_class(i, scenes) for i in range(len(scenes))]
    rows = {}
    for form, prompts in forms.items():
        prompts = prompts / np.linalg.norm(prompts, axis=-1, keepdims=True)
        for stage, vectors in sounds.items():
            rows[stage + form] = np.sum(vectors * prompts[:, None], axis=-1)
            rows[f"{stage}{form}, absent"] = np.sum(vectors * prompts[absent][:, None], axis=-1)
    true = [labels[name] for name in ("azimuth", "interferer_azimuth")]
    rows["network"] = -np.stack([_error(outputs, azimuth) for azimuth in true], axis=1)
    rows["names"] = np.argmax(semantics @ names.T, axis=1)
    rows["class"] = np.array([classes.index(scene.sources[0].clip.class_name) for scene in scenes])
    return rows


def one_source(model, plan, num_scenes):
    """Errors of network and SRP-PHAT on the isolated targets, and their paired difference."""
    batches = scene_batches(model, plan, num_scenes, batch_size=_BATCH_SIZE, progress=False)
    systems = (model, SRPPHAT())
    errors, axis = [], []
    for index in tqdm(range(len(batches)), desc="one source", unit="batch"):
        inputs, labels = batches[index]
        inputs, azimuth = {**inputs, "audio": labels["target"]}, labels["azimuth"]
        errors.append([_error(s.predict_on_batch(inputs), azimuth) for s in systems])
        axis += list(np.minimum(azimuth, 180.0 - azimuth))
    zones = {"anywhere": 180.0, f"within {_AXIS:g} degrees of the axis": _AXIS}
    scores = {}
    for zone, near in zones.items():
        first, second = np.concatenate(errors, axis=1)[:, np.array(axis) <= near]
        pairs = {"network": first, "SRP-PHAT": second, "difference": first - second}
        scores[zone] = {name: score_with_interval(values) for name, values in pairs.items()}
    return scores


def _error(outputs, azimuth):
    """Distances of the estimates from azimuths in degrees, (batch,)."""
    return np.abs(GRID_DEGREES[np.argmax(outputs["doa"], axis=-1)] - azimuth)


def other_class(index, scenes):
    """Index of the next scene whose target's class a scene lacks; the scene's own without any."""
    present = {source.clip.class_name for source in scenes[index].sources}
    turns = [(index + turn) % len(scenes) for turn in range(1, len(scenes))]
    return next((i for i in turns if scenes[i].sources[0].clip.class_name not in present), index)


def summary(rows):
    """Selection and presence by stage, with 95 % intervals over scenes."""
    scores = {"names": score_with_interval(1.0 * (rows["names"] == rows["class"]))}
    for name, values in rows.items():
        if name in ("names", "class") or name.endswith(", absent"):
            continue
        scores[name] = {"selection": score_with_interval(1.0 * (values[:, 0] > values[:, 1]))}
        if name != "network":
            absent = rows[f"{name}, absent"]
            scores[name]["presence"] = auroc(values.max(axis=1), absent.max(axis=1))
    return scores


def table(results):
    """The scores in Markdown."""
    lines = ["| Prompt | Stage | Selection | Presence |", "|---|---|---|---|"]
    for kind, scores in results["scores"].items():
        for stage, values in scores.items():
            if stage == "names":
                lines.append(f"| {kind} | nearest to the own name | {_cell(values, 100)} | – |")
                continue
            presence = _cell(values["presence"], 1) if "presence" in values else "–"
            lines.append(f"| {kind} | {stage} | {_cell(values['selection'], 100)} | {presence} |")
    lines += ["", "| One source alone, MAE in degrees | Network | SRP-PHAT | Difference |"]
    lines.append("|---|---|---|---|")
    for zone, errors in results["one source alone"].items():
        cells = [_cell(one, 1) if one else "–" for one in errors.values()]
        lines.append(f"| {zone} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(score, factor):
    low, high = (factor * bound for bound in score["interval"])
    form = ".1f" if factor == 100 else ".2f"
    unit = " %" if factor == 100 else ""
    return f"{factor * score['mean']:{form}}{unit} ({low:{form}}–{high:{form}})"


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="avssan_sounds50", help="name or folder of a preset")
    parser.add_argument("--data", required=True, help="folder of classes with metadata.csv")
    parser.add_argument("--prompts", nargs="+", default=["picture", "text", "recording"])
    parser.add_argument("--duration", type=float, default=4.0, help="of the scenes, s")
    parser.add_argument("--snr", type=float, default=0.0, help="of the target, dB")
    parser.add_argument("--validation-rooms", type=int, default=60)
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
