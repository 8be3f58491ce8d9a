r"""Scores a trained model on scenes that are harder than those it was trained on.

    python benchmarks/robustness.py --model FOLDER --data CLASSES --classes twelve --split val \
        --image-encoder PRESET --out robustness.json

scores the same scenes under each condition: levels of the target, three sources, noise of the
microphones, an interferer of the target's own class, pairs of microphones of other spacings (which
the model gets as an input), and prompts whose class is absent. `docs/robustness.md` explains the
rows. The command resumes an interrupted run; it prints the tables, and `--out` has all numbers.

A model that was trained on embeddings needs `--image-encoder`, or the embeddings
themselves, such as `prompts.npz` of `recipe.py`.
"""

import argparse
import dataclasses

import keras
from prompt_options import (
    open_embeddings,
    open_plan,
    open_trained_rooms,
    parse_trained,
    simulate_rooms,
)

from keras_avssan import AVSSAN
from keras_avssan._internal.atomic_files import read_json, write_json
from keras_avssan.evaluation import evaluate_localizer, evaluate_presence
from keras_avssan.evaluation.former_keys import with_current_keys

# Changes of the plan, by the name of the row.
CONDITIONS: dict[str, dict] = {
    "as trained": {},
    **{f"SNR {snr:+d} dB": {"snr": float(snr)} for snr in (10, 5, -5, -10)},
    "three sources": {"num_interferers": 2},
    **{f"noise {level} dB below": {"sensor_noise": float(level)} for level in (30, 20, 10)},
    "interferer of the same class": {"same_class_interferer": 1.0},
}
SPACINGS = (0.04, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3)  # metres
ABSENT = "absent"
ROWS = (*CONDITIONS, *(f"pair of {100 * s:.0f} cm" for s in SPACINGS), ABSENT)
_SCORES = ("selection", "mae", "acc_5deg", "nearest_acc_5deg")


def run(options, model, results):
    """Fills what is missing in the results, row by row."""
    plan = open_plan(options, *open_trained_rooms(options, model))
    prompts = {"prompt_embeddings": open_embeddings(options, model, plan)}
    for name in options.rows:
        if "left_out" not in results["rows"].get(name, {"left_out": ""}):
            continue
        print(f"{name} …", flush=True)
        try:
            row = _row(name, options, model, plan, prompts)
        except ValueError as error:  # too few classes, recordings or positions
            row = {"left_out": str(error)}
        results["rows"][name] = row
        write_json(options.out, results)


def _row(name, options, model, plan, prompts):
    if name == ABSENT:
        return evaluate_presence(model, plan, options.scenes, **prompts)
    changes = CONDITIONS.get(name, {})
    if name not in CONDITIONS:
        spacing = SPACINGS[ROWS.index(name) - len(CONDITIONS)]
        changes = {"bank": simulate_rooms(options, spacing), "rooms": None}
        prompts = {**prompts, "microphone_spacing": spacing}
    plan = dataclasses.replace(plan, **changes)
    evaluation = evaluate_localizer(model, plan, options.scenes, **prompts)
    return evaluation.to_dict()


def tables(rows):
    """The rows as Markdown, with 95 % intervals."""
    lines = [
        "| condition | selection | MAE | ACC@5° | within 5° of any source | random source |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_line(name, rows[name]) for name in ROWS if name in rows and name != ABSENT]
    if ABSENT in rows:
        lines += ["", "| score for absent or present | AUROC | where present | where absent |"]
        lines += ["|---|---|---|---|", *_absent_lines(rows[ABSENT])]
    return "\n".join(lines)


def _line(name, row):
    if "left_out" in row:
        return f"| {name} | left out: {row['left_out']} | | | | |"
    scores, chance = row["scores"], with_current_keys(row)["random_source_baseline"]
    cells = [_degrees(scores[key]) if key == "mae" else _percent(scores[key]) for key in _SCORES]
    cells.append(f"{100 * chance['selection']:.0f} %, {chance['mae']:.1f}°")
    return f"| {name} | " + " | ".join(cells) + " |"


def _absent_lines(row):
    if "left_out" in row:
        return [f"| left out: {row['left_out']} | | | |"]
    lines = []
    for key, entry in row.items():
        if key in ("scenes", "training_overlap"):
            continue
        title = "entropy, nats" if key == "entropy" else key
        low, high = entry["interval"]
        lines.append(
            f"| {title} | {entry['mean']:.3f} ({low:.3f} to {high:.3f}) | {entry['present']:.2f} "
            f"| {entry['absent']:.2f} |"
        )
    return lines


def _percent(score):
    low, high = score["interval"]
    return f"{100 * score['mean']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _degrees(score):
    low, high = score["interval"]
    return f"{score['mean']:.1f}° ({low:.1f} to {high:.1f})"


def _begin(options):
    """The results so far, or new ones."""
    settings = {name: value for name, value in vars(options).items() if name not in ("out", "rows")}
    settings["backend"] = keras.backend.backend()
    results = read_json(options.out)
    if results is None:
        return {"settings": settings, "rows": {}}
    if results.get("settings") != settings:
        raise SystemExit(f"'{options.out}' has results of other options: name another file.")
    return results


def main():
    options = _options()
    results = _begin(options)
    run(options, AVSSAN.from_preset(options.model), results)
    print(tables(results["rows"]))


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW")
    return parse_trained(parser)


if __name__ == "__main__":
    main()
