"""Times one scene at a time: Keras on each backend and the exported model in other runtimes.

A model of the default size with random weights; inputs are noise and a picture of noise. Each
runtime has a separate process, limited to `--threads` cores; it runs three times to warm up, and
the median of `--runs` further runs counts, from NumPy arrays in to NumPy arrays out. The table of
`docs/export.md` comes from

    python benchmarks/latency.py --threads 2 --runs 15 --json latency.json
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

from processes import describe_run, limit_cores, limit_threads, start

SAMPLING_RATE = 16_000  # hertz
WARM_UPS = 3
# Name of a row → backend of its process, and what runs: the model in Keras, as it is, layer by
# layer (`eager`) or compiled by XLA or TorchInductor, an exported file, or `model.localize` with
# an embedding, of the packaged model with a word.
ROWS = {
    "Keras, TensorFlow": ("tensorflow", "keras"),
    "Keras, TensorFlow, XLA": ("tensorflow", "keras-compiled"),
    "Keras, PyTorch": ("torch", "keras"),
    "Keras, PyTorch, eager": ("torch", "keras-eager"),
    "Keras, PyTorch, Inductor": ("torch", "keras-compiled"),
    "Keras, JAX, XLA": ("jax", "keras-compiled"),
    "ONNX Runtime": ("torch", "model.onnx"),
    "LiteRT": ("tensorflow", "model_{seconds:g}s.tflite"),
    "OpenVINO": ("torch", "model.xml"),
    "localize, PyTorch": ("torch", "localize"),
    "localize, PyTorch, eager": ("torch", "localize-eager"),
    "localize, packaged model, PyTorch": ("torch", "localize-packaged"),
    "localize, packaged model, PyTorch, eager": ("torch", "localize-packaged-eager"),
    "localize, TensorFlow": ("tensorflow", "localize"),
    "localize, JAX": ("jax", "localize"),
}
# Which backend writes which file, before the runs; LiteRT has one file per duration.
EXPORTS = {
    "torch": {"model.onnx": "onnx"},
    "tensorflow": {"model.xml": "openvino", "model_{seconds:g}s.tflite": "litert"},
}


def main():
    options = _options()
    if options.task:
        _run_task(options)
        return
    results = measure(options)
    print(table(results))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=2) + "\n")


def measure(options):
    """Runs all processes; returns figures and the machine's description."""
    rows = {}
    chosen = {name: row for name, row in ROWS.items() if not options.row or name in options.row}
    with tempfile.TemporaryDirectory() as folder:
        for backend, files in EXPORTS.items():
            if any(what in files for _, what in chosen.values()):
                _start(backend, "export", folder, options)
        for name, (backend, what) in chosen.items():
            rows[name] = _start(backend, what, folder, options)
            print(f"{name}: {rows[name]}", file=sys.stderr, flush=True)
    return {**describe_run(options), "rows": rows}


def table(results):
    """The figures in Markdown: median, real-time factor, ratio to the first row that ran."""
    seconds = results["seconds"]
    head = [f"{duration:g} s clip" for duration in seconds]
    lines = [
        "| Runtime | "
        + " | ".join(head)
        + " | Real-time factor | Time, first row = 1 | CPU time | "
        "CPU time, first row = 1 |",
        "|---|" + "---|" * (len(head) + 4),
    ]
    ran = [row for row in results["rows"].values() if "median" in row]
    for name, row in results["rows"].items():
        if "median" not in row:
            lines.append(f"| {name} | " + "– | " * (len(head) + 4) + f" {row['error']}")
            continue
        times = [f"{1000 * median:.0f} ms" for median in row["median"]]
        factor = row["median"][-1] / seconds[-1]
        used = " / ".join(f"{1000 * median:.0f}" for median in row["processor"]) + " ms"
        ratios = [
            " / ".join(
                f"{own / first:.2f}" for own, first in zip(row[kind], ran[0][kind], strict=True)
            )
            for kind in ("median", "processor")
        ]
        cells = [*times, f"{factor:.3f}", ratios[0], used, ratios[1]]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append(
        "\n{date}, {machine}, {cores} cores, load {load:.1f}, {threads} thread(s), "
        "Python {python}, median of {runs} runs.".format(**results)
    )
    return "\n".join(lines)


def _start(backend, task, folder, options):
    """Runs a task in a separate process; returns the object that it prints."""
    words = ["--folder", folder, "--runs", options.runs, "--seconds", *options.seconds]
    return start(__file__, backend, task, options.threads, *words)


def _run_task(options):
    """Task of a separate process: write the exported files, or time one runtime."""
    limit_cores(options.threads)
    if options.task == "export":
        _export(options)
        print(json.dumps({}))
        return
    medians, fastest, processor_medians = [], [], []
    model = None
    if options.task.startswith(("keras", "localize")):
        model = _keras_model(options)
    for duration in options.seconds:
        run = model or _load(options, duration)
        times, processor = zip(*_times(run, _inputs(duration), options.runs), strict=True)
        medians.append(statistics.median(times))
        fastest.append(min(times))
        processor_medians.append(statistics.median(processor))
    print(json.dumps({"median": medians, "fastest": fastest, "processor": processor_medians}))


def _export(options):
    import keras

    from keras_avssan import AVSSAN

    model = AVSSAN(compile=False)
    for file, format in EXPORTS[keras.config.backend()].items():
        fixed = format == "litert"
        for seconds in options.seconds if fixed else [None]:
            path = pathlib.Path(options.folder) / file.format(seconds=seconds or 0)
            model.export(path, format=format, duration=seconds, verbose=False)


def _load(options, duration):
    """An exported file as a function of the inputs."""
    from keras_avssan.models import load_exported

    file = options.task.format(seconds=duration)
    return load_exported(pathlib.Path(options.folder) / file, options.threads)


def _keras_model(options):
    """The model in Keras as a function of the inputs."""
    limit_threads(options.threads)
    import numpy as np

    from keras_avssan import AVSSAN

    packaged = "packaged" in options.task
    model = AVSSAN.from_preset("avssan_sounds50") if packaged else AVSSAN(compile=False)
    eager = "eager" in options.task
    model.compile(jit_compile=options.task == "keras-compiled", run_eagerly=eager)
    if options.task.startswith("keras"):
        return model.predict_on_batch
    embedding = np.random.default_rng(0).normal(size=model.backbone.prompt_dim).astype("float32")
    prompt = "dog" if packaged else embedding
    return lambda inputs: model.localize(inputs["audio"][0], prompt)


def _inputs(duration):
    import numpy as np

    rng = np.random.default_rng(0)
    samples = round(duration * SAMPLING_RATE)
    return {
        "audio": (0.1 * rng.normal(size=(1, samples, 2))).astype("float32"),
        "images": rng.uniform(size=(1, 64, 64, 3)).astype("float32"),
    }


def _times(run, inputs, runs):
    times = []
    for _ in range(WARM_UPS + runs):
        started, used = time.perf_counter(), time.process_time()
        run(inputs)
        times.append((time.perf_counter() - started, time.process_time() - used))
    return times[WARM_UPS:]


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 4.0, 10.0])
    parser.add_argument("--row", action="append", choices=ROWS, help="only this row; repeatable")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
