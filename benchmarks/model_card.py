r"""Writes the model card and the notices of a packaged model.

    python benchmarks/model_card.py --preset keras_avssan/presets/avssan_sounds50 --data FOLDER \
        --scores selection.json --extractor extractor.json --directions directions.json \
        --commit COMMIT --date DATE

The scores are those of `benchmarks/selection.py`, the commands those of `benchmarks/extractor.py`
and `benchmarks/directions.py` too, the licences those of the rows of `metadata.csv` that were
trained on: the split `train`, without recordings of an unknown licence.
"""

import argparse
import collections
import csv
import json
import os
import pathlib

from keras_avssan import AVSSAN

DESCRIPTION = (
    "Finds one of 50 kinds of sounds among two by a picture, a word or another recording; trained "
    "in simulated rooms."
)
MODEL_LICENCES = {
    "Apache-2.0": (
        "this model, and in it YAMNet (weights of the TensorFlow models repository, trained on "
        "AudioSet), EfficientNet-Lite0 (trained on ImageNet) and embeddings of names by "
        "all-MiniLM-L6-v2"
    ),
}
CARD = """---
description: {description}
license: {licences}
---

# {name}

Prompted with a picture, a word or another recording, this model estimates the azimuth of that sound
in a recording of two microphones, and the probability that the sound is there.

```python
from keras_avssan import AVSSAN

model = AVSSAN.from_preset("{name}")
azimuth, presence = model.localize("mix.wav", "dog.jpg", return_presence=True)
```

## Intended use

Experiments with selective localisation: recordings at 16 kHz (others are resampled) with two
microphones 0.2 m apart, or another distance named by `microphone_spacing`, and one or two sources
in front of them, from 0 to 180 degrees. Not for decisions on which the safety of people depends,
and not for the identification of persons.

The network is `AVSSAN` with {candidates} candidates (`docs/extraction.md`), {parameters} numbers
in half precision. Prompts: pictures, of any subject; recordings; and the {names} names of its table
(the {classes} classes below and those of AudioSet). For other words attach the sentence encoder
all-MiniLM-L6-v2 by `keras_avssan.models.attach_text_encoder`.

## Training data and licences

{sounds} recordings and {pictures} pictures of {classes} classes, two sources a scene, in {rooms}
simulated rooms of other shapes than those of the validation. Licences as the collection states
them:

| Licence | Recordings | Pictures |
|---|---|---|
{table}

The classes: {class_names}.

YAMNet and EfficientNet-Lite0 are frozen.

## Commands and commit

```bash
{commands}
```

{date}, commit `{commit}`, {machine}; seed {seed}.

## Scores on validation

{scenes} scenes a row of recordings, pictures and rooms that were not trained on, recordings of any
licence, two sources, seed {seed}. Only recordings that serve as prompts are of the split `train`.
Parentheses hold 95 % bootstrap intervals over scenes, of one training. A random choice of one of
the two sources selects the target in 50 %.

| Scenes | Prompt | Selection, % | MAE, degrees | ACC@5°, % |
|---|---|---|---|---|
{scores}

Presence, area under the ROC curve, prompted with pictures: {presence}.

## Known limits

- One in {errors} answers to a picture, at 4 s and 0 dB, is the direction of the other source.
- Trained and scored in simulated rooms only. Real rooms, moving sources, more than two sources and
  levels below -10 dB were not measured.
- Two microphones cannot tell front from back, and resolve little near 0 and 180 degrees.
- The presence is calibrated on scenes of 4 s of the training's recordings.
- Several of the 50 classes have fewer than ten recordings; other sounds rest on what YAMNet,
  EfficientNet-Lite0 and the names have learnt.

## Licence and notices

Apache-2.0. `NOTICES.md` names what it was made from.
"""


def main():
    options = _options()
    folder = pathlib.Path(options.preset)
    stages = [
        (script, json.loads(pathlib.Path(path).read_text("utf-8")))
        for script, path in (
            ("extractor", options.extractor),
            ("directions", options.directions),
            ("selection", options.start),
            ("selection", options.scores),
        )
        if path
    ]
    found = stages[-1][1]
    rows = trained_rows(options.data)
    model = AVSSAN.from_preset(os.fspath(folder))
    settings = found["settings"]
    licences = sorted(MODEL_LICENCES)
    card = CARD.format(
        description=DESCRIPTION,
        licences=", ".join(licences),
        name=folder.name,
        candidates=settings["candidates"],
        parameters=f"{model.count_params() / 1e6:.1f} million",
        names=len(model.backbone.image_encoder.text_encoder.names),
        sounds=sum(row["kind"] == "audio" for row in rows),
        pictures=sum(row["kind"] == "image" for row in rows),
        classes=len({row["class"] for row in rows}),
        rooms=settings["rooms"],
        table=licence_table(rows),
        class_names=", ".join(sorted({row["class"].replace("_", " ") for row in rows})),
        commands="\n".join(command(name, part["settings"]) for name, part in stages),
        date=options.date,
        commit=options.commit,
        machine=f"{found['machine']}, one core",
        seed=settings["seed"],
        scenes=settings["scenes"],
        scores=score_table(found["scores"]),
        presence=presence(found["scores"]),
        errors=errors(found["scores"]),
    )
    (folder / "MODEL_CARD.md").write_text(card, "utf-8")
    (folder / "NOTICES.md").write_text(notices(folder.name, rows), "utf-8")


def trained_rows(data):
    """Rows of `metadata.csv` that a model which is given away may be trained on."""
    with open(pathlib.Path(data) / "metadata.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if row["split"] == "train" and row["license"] != "unknown"]


def licence_table(rows):
    counts = collections.Counter((row["license"], row["kind"]) for row in rows)
    names = sorted({row["license"] for row in rows})
    return "\n".join(
        f"| {name} | {counts[name, 'audio'] or ''} | {counts[name, 'image'] or ''} |"
        for name in names
    )


def notices(name, rows):
    """What the model was made from, by licence and source."""
    lines = [f"# Notices of {name}", "", "No recording or picture is part of this model.", ""]
    lines += [f"{licence}: {what}." for licence, what in sorted(MODEL_LICENCES.items())]
    lines += ["", "Recordings and pictures that it was trained on, by source and licence:", ""]
    counts = collections.Counter((row["source_package"], row["license"]) for row in rows)
    for (source, licence), count in sorted(counts.items()):
        lines.append(f"- {source}: {count}, {licence}")
    return "\n".join(lines) + "\n"


def command(script, settings):
    """The command of a stage, with the settings that were used."""
    arguments = [f"KERAS_BACKEND={settings['backend']} python benchmarks/{script}.py"]
    for key, value in settings.items():
        if key == "backend":
            continue
        option = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            arguments += [option] * value
        elif value not in (None, []):
            is_path = isinstance(value, str)
            arguments.append(f"{option} {pathlib.Path(value).name if is_path else value}")
    return " ".join(arguments)


def score_table(scores):
    """A row for each condition and kind of prompt."""
    rows = []
    for name, found in scores.items():
        if "scores" not in found:
            continue
        condition, prompt = name.rsplit(", ", 1)
        values = found["scores"]
        cells = [
            interval(values["selection"], 100),
            interval(values["mae"], 1),
            interval(values["acc_5deg"], 100),
        ]
        rows.append(f"| {condition} | {prompt} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def interval(score, factor):
    """A mean with its interval, as one writes it in a table."""
    mean, (low, high) = score["mean"] * factor, (bound * factor for bound in score["interval"])
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"


def presence(scores):
    """Areas under the ROC curve with their intervals."""
    parts = []
    for name, found in scores.items():
        if name.endswith("presence"):
            area, (low, high) = found["presence"]["mean"], found["presence"]["interval"]
            parts.append(f"{area:.2f} ({low:.2f} to {high:.2f}) at {name.rsplit(',', 1)[0]}")
    return ", ".join(parts)


def errors(scores):
    """How many answers there are for each wrong one, in words."""
    by_picture = next(found for name, found in scores.items() if name.endswith("dB, picture"))
    wrong = 1.0 - by_picture["scores"]["selection"]["mean"]
    return f"{1.0 / wrong:.1f}" if wrong else "many"


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", required=True, help="folder of the packaged model")
    parser.add_argument("--data", required=True, help="folder that holds metadata.csv")
    parser.add_argument("--scores", required=True, help="JSON file of benchmarks/selection.py")
    parser.add_argument("--extractor", required=True, help="JSON file of benchmarks/extractor.py")
    parser.add_argument("--directions", required=True, help="JSON of benchmarks/directions.py")
    parser.add_argument("--start", help="JSON of the run that made the model of its `--start`")
    parser.add_argument("--commit", required=True, help="commit that it was trained at")
    parser.add_argument("--date", required=True, help="when it was trained")
    return parser.parse_args()


if __name__ == "__main__":
    main()
