"""Exports one model to every format: size of the file, agreement with Keras, time.

The recording is one of the package's examples, the prompt the picture of its first source. Keras
and each file get the whole recording and, where the file leaves the duration free, its first 0.7 s;
a difference is the largest one of all numbers of an output. Times are medians of `--runs` runs on
the whole recording, after two to warm up, divided by its seconds. Each backend and format has a
process of its own. The table of `docs/export.md` comes from

    python benchmarks/exported_model.py --model avssan_sounds50
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

from machine import processor

# Backend that writes, format, and whether the duration must be fixed.
ROWS = {
    "tensorflow tf_saved_model": False,
    "tensorflow litert": True,
    "tensorflow openvino": False,
    "torch torch": False,
    "torch onnx": False,
    "torch openvino": False,
    "jax tf_saved_model": True,
}
RECORDING, PICTURE = "dog_and_rain.flac", "dog.jpg"
SHORT = 0.7  # seconds: less than a patch of YAMNet
WARM_UPS = 2
# Groups of outputs in the table; probabilities, cosines and degrees.
GROUPS = {
    "Posterior": ("doa", "mixture_doa"),
    "Presence": ("presence",),
    "Candidates": (
        *("candidate_azimuths", "candidate_evidence", "candidate_weights"),
        "candidate_strengths",
    ),
}


def main():
    options = _options()
    if options.task:
        print(json.dumps(_measure(options)))
        return
    rows = {}
    for name in options.row or ROWS:
        rows[name] = _start(name, options)
        print(f"{name}: {rows[name]}", file=sys.stderr, flush=True)
    print(table(rows))
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {processor()}, {os.cpu_count()} cores, "
        f"{options.threads} thread(s), Python {platform.python_version()}, median of "
        f"{options.runs} runs."
    )
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=2) + "\n")


def table(rows):
    """The figures in Markdown."""
    lines = [
        "| Written under | `format` | File | " + " | ".join(GROUPS) + " | Time a second |",
        "|---|---|---|" + "---|" * (len(GROUPS) + 1),
    ]
    for name, row in rows.items():
        backend, format = name.split()
        if "error" in row:
            cells = ["–"] * (len(GROUPS) + 1) + [row["error"]]
        else:
            found = row["differences"]
            cells = [f"{row['bytes'] / 1e6:.1f} MB"]
            cells += [f"{found[group]:.1e}" if group in found else "–" for group in GROUPS]
            cells += [f"{1000 * row['seconds']:.0f} ms"]
        lines.append(f"| {backend} | `{format}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _start(name, options):
    """Runs a row in a process of its own; returns what it prints."""
    backend, _ = name.split()
    command = [sys.executable, __file__, "--task", name, "--model", options.model]
    command += ["--runs", str(options.runs), "--threads", str(options.threads)]
    if options.seconds:
        command += ["--seconds", str(options.seconds)]
    process = subprocess.run(
        command,
        env={**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": str(options.threads)},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        return {"error": (process.stderr.strip().splitlines() or ["killed"])[-1]}
    return json.loads(process.stdout.splitlines()[-1])


def _measure(options):
    """Exports the model, runs the file and compares it with Keras."""
    from keras_avssan import AVSSAN
    from keras_avssan.models import load_exported
    from keras_avssan.models.export.export import SUFFIXES

    _, format = options.task.split()
    model = AVSSAN.from_preset(options.model)
    whole = _inputs(model, options.seconds)
    duration = whole["audio"].shape[1] / model.sampling_rate
    fixed = ROWS[options.task]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / f"model{SUFFIXES[format]}"
        model.export(file, format=format, duration=duration if fixed else None, verbose=False)
        parts = pathlib.Path(folder).rglob("*")
        written = sum(part.stat().st_size for part in parts if part.is_file())
        run = load_exported(file, options.threads)
        short = {**whole, "audio": whole["audio"][:, : round(SHORT * model.sampling_rate)]}
        found = [_differences(model, run, one) for one in ([whole] if fixed else [whole, short])]
        times = []
        for _ in range(WARM_UPS + options.runs):
            started = time.perf_counter()
            run(whole)
            times.append(time.perf_counter() - started)
    return {
        "bytes": written,
        "differences": {group: max(one[group] for one in found) for group in found[0]},
        "seconds": statistics.median(times[WARM_UPS:]) / duration,
    }


def _inputs(model, seconds):
    """A recording and a picture of the package, as the model takes them."""
    import keras_avssan

    folder = pathlib.Path(keras_avssan.__file__).parent / "examples"
    audio = model.preprocessor.without_prompt(folder / RECORDING)["audio"]
    if seconds:
        audio = audio[:, : round(seconds * model.sampling_rate)]
    return {"audio": audio, "images": model.preprocessor.read_picture(folder / PICTURE)[None]}


def _differences(model, run, inputs):
    """Largest difference between Keras and a file, by group of outputs."""
    import numpy as np

    outputs, expected = run(inputs), model.predict_on_batch(inputs)
    found = {}
    for group, names in GROUPS.items():
        pairs = [(outputs[name], np.asarray(expected[name])) for name in names if name in outputs]
        if pairs:
            found[group] = max(float(np.abs(one - other).max()) for one, other in pairs)
    return found


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="avssan_sounds50", help="a preset or its folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, help="only the start of the recording")
    parser.add_argument("--row", action="append", choices=ROWS, help="only this row; repeatable")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
