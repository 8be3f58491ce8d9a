r"""Shows where a trained model's selection is lost: encoders, alignment, mask or head.

    KERAS_BACKEND=jax python benchmarks/limits.py --model results/models/baseline --data FOLDER \
        --classes twelve --split val --prompt-embeddings results/prompts.npz --out limits.json

Runs the model over scenes and evaluates each stage separately:

* the semantic space: how often the prompt is nearer to the isolated target than to the isolated
  interferer, if it is a picture of the scene, the mean of all training pictures of the class, or
  the mean of all its training recordings, where only the audio encoder can err; and whether the
  mixture still indicates which of two classes is in it;
* the mask: by how much it raises the level of the target relative to the interferer, in dB;
* the head: the scores with the ideal ratio mask, and with softer and sharper versions of the
  network's own mask;
* the estimate: which source it is near, and which classes are confused.

`docs/benchmarks.md` explains the results. `--out` has all numbers.
"""

import argparse
import dataclasses
import itertools

import keras
import numpy as np
from keras import ops
from prompt_options import open_embeddings, open_plan, open_trained_rooms, parse_trained
from tqdm import tqdm

from keras_avssan import AVSSAN
from keras_avssan._internal.atomic_files import write_json
from keras_avssan._internal.unit_length import unit_length
from keras_avssan.data import SceneBatches
from keras_avssan.doa import GRID_DEGREES
from keras_avssan.evaluation import SceneScores
from keras_avssan.evaluation.scoring import nan_mean, score_with_interval
from keras_avssan.layers.stereo_stft import level_gain
from keras_avssan.models.prompt_embeddings import embed_pictures

_NEAR = 5.0  # degrees
_POWERS = (0.5, 1.5, 2.0)  # of the mask: softer and sharper ones
_PAIRS = 8  # of classes that are listed
_LEAST = 8  # scenes of a pair of classes that is ranked


# ---- The stages of a batch


def run_batch(model, inputs, labels):
    """Results of each stage for a batch, as a dict of arrays with one row per scene."""
    backbone = model.backbone
    outputs = model.predict_on_batch(inputs)
    gain = ops.convert_to_numpy(level_gain(ops.convert_to_tensor(inputs["audio"])))
    target = labels["target"] * gain
    interferer = inputs["audio"] * gain - target
    power = [_power(backbone, part) for part in (target, interferer)]
    ideal = power[0] / (power[0] + power[1] + 1e-12)
    mix = backbone.stft(ops.convert_to_tensor(inputs["audio"] * gain))

    def answer(mask):
        posterior = backbone.locate(mix, ops.convert_to_tensor(mask.astype("float32")))
        return _azimuth(ops.convert_to_numpy(posterior))

    parts = {"target": target, "interferer": interferer, "mix": target + interferer}
    return {
        "estimate": _azimuth(outputs["doa"]),
        "ideal_estimate": answer(ideal),
        **{f"estimate_{power}": answer(np.power(outputs["mask"], power)) for power in _POWERS},
        "gain_db": _level(power, np.square(outputs["mask"])) - _level(power, 1.0),
        "ideal_gain_db": _level(power, np.square(ideal)) - _level(power, 1.0),
        "prompt": _unit(outputs["prompt_semantics"]),
        **{name: _embed(backbone, audio) for name, audio in parts.items()},
    }


def _power(backbone, audio):
    parts = ops.convert_to_numpy(backbone.stft(ops.convert_to_tensor(audio)))
    return np.sum(np.square(parts), axis=-1)


def _embed(backbone, audio):
    return _unit(backbone.embed_target(ops.convert_to_tensor(audio.astype("float32"))))


def _unit(vectors):
    return ops.convert_to_numpy(unit_length(ops.convert_to_tensor(vectors)))


def _azimuth(posterior):
    return GRID_DEGREES[np.argmax(np.asarray(posterior), axis=-1)]


def _level(power, weight):
    """Level of the target relative to the interferer in dB, with weighted bins."""
    target, interferer = (np.sum(weight * part, axis=(1, 2)) for part in power)
    return 10 * np.log10((target + 1e-12) / (interferer + 1e-12))


# ---- Prototypes of the classes


def picture_prototypes(model, plan, vectors):
    """Mean embedding of the pictures of each class of a plan, (classes, D)."""
    places = []
    for name in plan.classes:
        ids = [picture.id for picture in plan.pictures if picture.class_name == name]
        prompts = ops.convert_to_tensor(np.stack([vectors[i] for i in ids]))
        places.append(_mean_direction(model.backbone.bridge.project_prompt(prompts)))
    return np.stack(places)


def recording_prototypes(model, plan):
    """Mean embedding of the recordings of each class, at the mixture's level, (classes, D)."""
    places = []
    for name in plan.classes:
        clips = [c for c in plan.catalog.clips if (c.class_name, c.split) == (name, plan.split)]
        embedded = []
        for clip in clips:
            audio = np.resize(np.array(plan.catalog.load_audio(clip)), plan.num_samples)
            audio = audio / (np.sqrt(2 * np.mean(audio**2)) + 1e-9)
            embedded.append(_embed(model.backbone, np.stack([audio, audio], axis=-1)[None])[0])
        places.append(_mean_direction(ops.convert_to_tensor(np.stack(embedded))))
    return np.stack(places)


def _mean_direction(places):
    mean = ops.mean(unit_length(places), axis=0, keepdims=True)
    return ops.convert_to_numpy(unit_length(mean))[0]


# ---- Scores


def semantics(stages, labels, pictures, recordings):
    """How often the right one of two is nearer to the prompt; a dict of scores."""
    target, interferer, absent = labels["target"], labels["interferer"], labels["absent"]
    prompts = {
        "a picture": stages["prompt"],
        "its class's pictures": pictures[target],
        "its class's recordings": recordings[target],
    }
    rows = {
        f"target or interferer alone, by {name}": _nearer(
            prompt, stages["target"], stages["interferer"]
        )
        for name, prompt in prompts.items()
    }
    for name, places in (("pictures", pictures), ("recordings", recordings)):
        for part, other in (("target", interferer), ("mix", absent)):
            title = "target alone: its class or the interferer's"
            if part == "mix":
                title = "mix: the target's class or an absent one"
            rows[f"{title}, by their {name}"] = _nearer(stages[part], places[target], places[other])
    return rows


def _nearer(anchor, right, wrong):
    """Whether the anchor is nearer to the right one, by cosine; a score with its interval."""
    closer = np.sum(anchor * right, axis=-1) > np.sum(anchor * wrong, axis=-1)
    return score_with_interval(closer.astype("float64"))


def answers(scores):
    """Shares of estimates near each source and elsewhere."""
    target, interferer = scores.error, scores.interferer_error
    low = np.minimum(scores.azimuth, scores.interferer_azimuth)
    high = np.maximum(scores.azimuth, scores.interferer_azimuth)
    near = (target <= _NEAR) | (interferer <= _NEAR)
    between = ~near & (scores.estimate > low) & (scores.estimate < high)
    outside = ~near & ~between
    kinds = {
        "within 5° of the target": near & (target < interferer),
        "within 5° of the interferer": near & (target >= interferer),
        "between the two": between,
        "elsewhere, nearer to the target": outside & (target < interferer),
        "elsewhere, nearer to the interferer": outside & (target >= interferer),
    }
    return {name: score_with_interval(kind.astype("float64")) for name, kind in kinds.items()}


def confusions(selected, labels, names):
    """How often each class is found, and is taken for others; the pairs that err most."""
    target, interferer = labels["target"], labels["interferer"]
    by_class = {
        name: {
            "found": nan_mean(selected[target == number]),
            "taken": 1.0 - nan_mean(selected[interferer == number]),
        }
        for number, name in enumerate(names)
    }
    pairs = []
    for pair in itertools.combinations(range(len(names)), 2):
        met = (np.isin(target, pair)) & (np.isin(interferer, pair))
        if np.sum(met) >= _LEAST:
            classes = [names[number] for number in pair]
            selection = float(np.mean(selected[met]))
            pairs.append({"classes": classes, "scenes": int(met.sum()), "selection": selection})
    return {"by_class": by_class, "by_pair": sorted(pairs, key=lambda pair: pair["selection"])}


def measure(model, plan, prototypes, vectors, options):
    """All results, a dict that JSON can hold."""
    scenes = SceneBatches(
        plan, options.scenes, options.batch_size, prompt="embedding", prompt_embeddings=vectors
    )
    batches = [run_batch(model, *scenes[i]) for i in tqdm(range(len(scenes)), disable=None)]
    stages = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    planned = [plan[index] for index in range(options.scenes)]
    labels = _labels(planned, prototypes.classes)
    azimuths = [(scene.azimuth, scene.interferer_azimuth) for scene in planned]
    scores = {
        name: SceneScores(*np.transpose(azimuths), values)
        for name, values in stages.items()
        if "estimate" in name
    }
    own = scores["estimate"]
    pictures = picture_prototypes(model, prototypes, vectors)
    recordings = recording_prototypes(model, prototypes)
    return {
        "settings": {**vars(options), "backend": keras.backend.backend()},
        "scores": {name: _scores(part) for name, part in scores.items()},
        "semantics": semantics(stages, labels, pictures, recordings),
        "mask": {
            "own": score_with_interval(stages["gain_db"]),
            "ideal": score_with_interval(stages["ideal_gain_db"]),
            "target_above": score_with_interval((stages["gain_db"] > 0).astype("float64")),
            "selection_where_above": nan_mean(_selected(own)[stages["gain_db"] > 0]),
            "selection_where_below": nan_mean(_selected(own)[stages["gain_db"] <= 0]),
        },
        "answers": answers(own),
        "confusions": confusions(_selected(own), labels, prototypes.classes),
    }


def _selected(scores):
    return scores.selected.astype("float64")


def _scores(scores):
    return {name: score_with_interval(values) for name, values in scores.per_scene().items()}


def _labels(scenes, classes):
    """Numbers of the classes of target, of interferer and of one that is absent, of each scene."""
    rng = np.random.default_rng(0)
    rows = []
    for scene in scenes:
        pair = [classes.index(c) for c in (scene.target.class_name, scene.interferer.class_name)]
        rows.append((*pair, rng.choice(np.setdiff1d(np.arange(len(classes)), pair))))
    return dict(zip(("target", "interferer", "absent"), np.transpose(rows), strict=True))


# ---- Tables


def tables(results):
    """The results as Markdown, with 95 % intervals."""
    own, ideal = results["scores"]["estimate"], results["scores"]["ideal_estimate"]
    lines = ["| Stage | |", "|---|---|"]
    lines += [f"| {name} | {_percent(score)} |" for name, score in results["semantics"].items()]
    mask = results["mask"]
    lines += [
        f"| target above interferer by the mask, dB | {_number(mask['own'])} |",
        f"| the same, ideal ratio mask | {_number(mask['ideal'])} |",
        f"| scenes whose mask favours the target | {_percent(mask['target_above'])} |",
        f"| selection where it does / does not | {_share(mask['selection_where_above'], 1)} / "
        f"{_share(mask['selection_where_below'], 1)} |",
        f"| selection | {_percent(own['selection'])} |",
        f"| selection, ideal ratio mask | {_percent(ideal['selection'])} |",
        f"| MAE, ideal ratio mask, degrees | {_number(ideal['mae'])} |",
        f"| ACC@5°, ideal ratio mask | {_percent(ideal['acc_5deg'])} |",
        *(_power_line(power, results["scores"][f"estimate_{power}"]) for power in _POWERS),
        "",
        "| Answer | |",
        "|---|---|",
    ]
    lines += [f"| {name} | {_percent(score)} |" for name, score in results["answers"].items()]
    lines += ["", "| Class | selected as target | selected as interferer |", "|---|---|---|"]
    for name, row in results["confusions"]["by_class"].items():
        lines.append(f"| {name} | {_share(row['found'])} | {_share(row['taken'])} |")
    lines += ["", "| Pair | scenes | selection |", "|---|---|---|"]
    for pair in results["confusions"]["by_pair"][:_PAIRS]:
        title = " and ".join(pair["classes"])
        lines.append(f"| {title} | {pair['scenes']} | {100 * pair['selection']:.0f} % |")
    return "\n".join(lines)


def _power_line(power, scores):
    parts = ", ".join(_percent(scores[name]) for name in ("selection", "acc_5deg"))
    return f"| selection and ACC@5°, mask to the power of {power:g} | {parts} |"


def _share(value, digits=0):
    """A share in percent; a dash if no scene counts."""
    return "–" if np.isnan(value) else f"{100 * value:.{digits}f} %"


def _percent(score):
    low, high = score["interval"]
    return f"{100 * score['mean']:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def _number(score):
    low, high = score["interval"]
    return f"{score['mean']:.1f} ({low:.1f} to {high:.1f})".replace("-", "−")


def main():
    options = _options()
    model = AVSSAN.from_preset(options.model)
    plan = open_plan(options, *open_trained_rooms(options, model))
    if len(plan.classes) < 3:
        raise SystemExit("At least three classes are needed, so that one can be absent.")
    prototypes = dataclasses.replace(plan, split=options.prototype_split)
    if missing := set(plan.classes) - set(prototypes.classes):
        raise SystemExit(f"The split '{prototypes.split}' lacks the classes {sorted(missing)}.")
    vectors = _embeddings(options, model, plan)
    if not options.prompt_embeddings:
        vectors |= _embeddings(options, model, prototypes)
    results = measure(model, plan, prototypes, vectors, options)
    write_json(options.out, results)
    print(tables(results))


def _embeddings(options, model, plan):
    vectors = open_embeddings(options, model, plan)
    return embed_pictures(model, plan) if vectors is None else vectors


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=25, help="scenes a run (25)")
    parser.add_argument(
        "--prototype-split", default="train", help="whose pictures and recordings stand for a class"
    )
    return parse_trained(parser)


if __name__ == "__main__":
    main()
