"""Measures what a live stream costs: the share of a processor, and the delay of its estimates.

Noise arrives in blocks of 20 ms, and `LocalizerStream` localises it in windows of 1 s, one every
0.25 s, with the online filter. Networks are the installed one, which extracts sounds at candidate
directions, and `AVSSAN()` with random weights; prompts are pictures. Each runtime has a separate
process, limited to `--threads` cores. Exported files take one window, and stand in for the model in
the same stream. The processor share is the seconds of processor time for a second of sound. The
delay is the time from the last sample of a window to its estimates, the median over windows and the
longest; blocks are pushed one after another, so that nothing waits. The table of
`docs/over-time.md` comes from

    python benchmarks/live.py --seconds 30 --json live.json
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

from processes import describe_run, limit_cores, limit_threads, start

WINDOW, HOP, BLOCK = 1.0, 0.25, 0.02  # seconds
WARM_UP = 3.0  # seconds of sound before the measurement
NETWORKS = ("avssan_sounds50", "AVSSAN()")
# Name of a row → backend of its process, and what runs: the model in Keras, as it is or compiled
# by XLA, or an exported file.
ROWS = {
    "Keras, TensorFlow": ("tensorflow", "keras"),
    "Keras, TensorFlow, XLA": ("tensorflow", "keras-compiled"),
    "Keras, PyTorch": ("torch", "keras"),
    "Keras, JAX, XLA": ("jax", "keras-compiled"),
    "ONNX Runtime": ("torch", "model.onnx"),
    "LiteRT": ("tensorflow", "model.tflite"),
}
FORMATS = {"model.onnx": "onnx", "model.tflite": "litert"}


def main():
    options = _options()
    if options.task:
        limit_cores(options.threads)
        print(json.dumps(_export(options) if options.task == "export" else _follow(options)))
        return
    results = measure(options)
    print(table(results))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=2) + "\n")


def measure(options):
    """Runs all processes; returns figures and the machine's description."""
    rows = {}
    for network in options.network or NETWORKS:
        for name in options.row or ROWS:
            row = rows[f"{network}, {name}"] = _start(network, name, options)
            print(f"{network}, {name}: {row}", file=sys.stderr, flush=True)
    return {**describe_run(options), "rows": rows}


def table(results):
    """The figures in Markdown."""
    lines = [
        "| Network, runtime | Processor share | Delay, median | Longest | Share, first row = 1 |",
        "|---|---|---|---|---|",
    ]
    first = next((row["share"] for row in results["rows"].values() if "share" in row), None)
    for name, row in results["rows"].items():
        if "error" in row:
            lines.append(f"| {name} | – | – | – | {row['error']} |")
            continue
        delays = [f"{1000 * row[which]:.0f} ms" for which in ("median", "longest")]
        cells = [f"{100 * row['share']:.1f} %", *delays, f"{row['share'] / first:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append(
        "\n{date}, {machine}, {cores} cores, load {load:.1f}, {threads} thread(s), "
        "Python {python}, {prompts} prompt(s), {seconds:g} s of sound.".format(**results)
    )
    return "\n".join(lines)


def _start(network, name, options):
    """Runs a row in a process of its own, after another one that writes its file."""
    backend, what = ROWS[name]
    words = ["--network", network, "--seconds", options.seconds, "--prompts", options.prompts]
    with tempfile.TemporaryDirectory() as folder:
        words += ["--folder", folder]
        if what in FORMATS:
            written = start(__file__, backend, "export", options.threads, *words, "--file", what)
            if "error" in written:
                return written
        return start(__file__, backend, what, options.threads, *words)


def _export(options):
    """Writes a network for one window, and its embedded prompts, into the folder."""
    import numpy as np

    model, pictures = _network(options)
    folder = pathlib.Path(options.folder)
    inputs = [model.prompt_inputs(picture)["prompt_embedding"] for picture in pictures]
    np.save(folder / "prompts.npy", np.concatenate(inputs))
    (folder / "outputs.json").write_text(json.dumps(_outputs(model)))
    model.export(
        folder / options.file,
        format=FORMATS[options.file],
        prompt="embedding",
        duration=WINDOW,
        outputs=_outputs(model),
        verbose=False,
    )
    return {}


def _follow(options):
    """Processor share and delays in seconds of a stream."""
    import numpy as np

    from keras_avssan.tracking import LocalizerStream

    if options.task in FORMATS:
        model = ExportedModel(pathlib.Path(options.folder), options)
        prompts = model.embeddings
    else:
        limit_threads(options.threads)
        model, prompts = _network(options)
        model.compile(jit_compile=options.task == "keras-compiled")
    rate = model.preprocessor.sampling_rate
    # An exported file takes one row.
    size = 1 if options.task in FORMATS else 32
    stream = LocalizerStream(model, list(prompts), WINDOW, HOP, batch_size=size)
    noise = 0.1 * np.random.default_rng(0).normal(size=(round(BLOCK * rate), 2))
    noise = noise.astype("float32")
    for _ in range(round(WARM_UP / BLOCK)):
        stream.push(noise)
    delays = []
    used = time.process_time()
    for _ in range(round(options.seconds / BLOCK)):
        arrived = time.perf_counter()
        if stream.push(noise):
            delays.append(time.perf_counter() - arrived)
    share = (time.process_time() - used) / options.seconds
    return {"share": share, "median": statistics.median(delays), "longest": max(delays)}


class ExportedModel:
    """An exported network in place of a model: what `LocalizerStream` asks of it."""

    def __init__(self, folder, options):
        import numpy as np

        from keras_avssan.models import LocalizerPreprocessor, load_exported

        self.embeddings = np.load(folder / "prompts.npy")
        self.preprocessor = LocalizerPreprocessor(16000, None, self.embeddings.shape[1])
        self.output = json.loads((folder / "outputs.json").read_text())
        self.predict_on_batch = load_exported(folder / options.task, options.threads)

    def prompt_inputs(self, prompt, sampling_rate=None, microphone_spacing=None):
        return {"prompt_embedding": prompt[None]}


def _network(options):
    """A network, and as many pictures as there are prompts."""
    import itertools

    from keras_avssan import AVSSAN
    from keras_avssan.data import example_file

    (network,) = options.network
    model = AVSSAN() if network == "AVSSAN()" else AVSSAN.from_preset(network)
    names = itertools.cycle(["dog", "rain", "rooster", "helicopter", "fire", "clock"])
    pictures = [example_file(f"{name}.jpg") for name in itertools.islice(names, options.prompts)]
    return model, pictures


def _outputs(model):
    """The outputs that a stream uses."""
    return [name for name in ("doa", "presence") if name in model.output]


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0, help="of sound")
    parser.add_argument("--prompts", type=int, default=1)
    parser.add_argument("--row", action="append", choices=ROWS, help="only this row; repeatable")
    parser.add_argument("--network", action="append", help="name or folder; repeatable")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
