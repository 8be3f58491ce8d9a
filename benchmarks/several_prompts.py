"""Times `localize` with several prompts for one recording against one prompt.

Each backend has a separate process for each network, limited to `--threads` cores. The network
answers one prompt and `--prompts` prompts in turn, `--runs` times after three to warm up; the ratio
is that of the medians. The last column is the greatest difference of a confidence from that of a
call with its prompt alone. The table of `docs/prompts.md` comes from

    python benchmarks/several_prompts.py --threads 2 --runs 9 --json several_prompts.json
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

from latency import SAMPLING_RATE, WARM_UPS
from processes import describe_run, limit_cores, limit_threads, start

BACKENDS = ("torch", "tensorflow", "jax")
NETWORKS = (
    "avssan_sounds50, words",
    "avssan_sounds50, recordings",
    "avssan_sounds50, pictures",
    "AVSSAN(), pictures",
    "AVSSAN('paper') with VGGish, embeddings",
)


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
    words = ["--runs", options.runs, "--prompts", options.prompts, "--seconds", options.seconds]
    for backend in options.backend or BACKENDS:
        for network in options.network or NETWORKS:
            row = start(__file__, backend, network, options.threads, *words)
            rows[f"{backend}, {network}"] = row
            print(f"{backend}, {network}: {row}", file=sys.stderr, flush=True)
    return {**describe_run(options), "rows": rows}


def table(results):
    """The figures in Markdown."""
    count = results["prompts"]
    lines = [
        f"| Backend, network, prompts | 1 prompt | {count} prompts | Ratio | Difference |",
        "|---|---|---|---|---|",
    ]
    for name, row in results["rows"].items():
        if "error" in row:
            lines.append(f"| {name} | – | – | – | {row['error']} |")
            continue
        times = [f"{1000 * row[which]:.0f} ms" for which in ("one", "several")]
        ratio = row["several"] / row["one"]
        lines.append(f"| {name} | {' | '.join(times)} | {ratio:.2f} | {row['difference']:.0e} |")
    lines.append(
        "\n{date}, {machine}, {cores} cores, load {load:.1f}, {threads} thread(s), "
        "Python {python}, {seconds:g} s recording, medians of {runs} runs.".format(**results)
    )
    return "\n".join(lines)


def _run_task(options):
    limit_cores(options.threads)
    limit_threads(options.threads)
    import numpy as np

    rng = np.random.default_rng(0)
    model, prompts = _network(options.task, options.prompts, rng)
    audio = 0.1 * rng.normal(size=(round(options.seconds * SAMPLING_RATE), 2))

    def ask(prompt):
        return model.localize(audio, prompt, return_confidence=True)[1]

    # In turn, so that what else the machine does meets both.
    times = {"one": [], "several": []}
    for _ in range(WARM_UPS + options.runs):
        for name, prompt in (("one", prompts[0]), ("several", prompts)):
            started = time.perf_counter()
            ask(prompt)
            times[name].append(time.perf_counter() - started)
    alone = np.concatenate([ask(prompt) for prompt in prompts])
    medians = {name: statistics.median(all_[WARM_UPS:]) for name, all_ in times.items()}
    difference = float(np.abs(ask(prompts) - alone).max())
    print(json.dumps({**medians, "difference": difference}))


def _network(name, count, rng):
    """A network with `count` prompts of the kind that its name says."""
    import itertools

    from keras_avssan import AVSSAN
    from keras_avssan.data import example_file
    from keras_avssan.encoders import VGGish

    if name.startswith("avssan_sounds50"):
        names = ["dog", "rain", "rooster", "helicopter", "fire", "clock"]
        if name.endswith("words"):
            names += ["cat", "cow", "siren", "wind"]
        ending = {"words": "", "recordings": ".ogg", "pictures": ".jpg"}[name.split(", ")[1]]
        files = [example_file(f"{one}{ending}") if ending else one for one in names]
        return AVSSAN.from_preset("avssan_sounds50"), list(
            itertools.islice(itertools.cycle(files), count)
        )
    if "paper" in name:
        encoder = VGGish(gain=0.1, drop_remainder=True)
        model = AVSSAN(configuration="paper", prompt_dim=512, audio_encoder=encoder)
        return model, list(rng.normal(size=(count, 512)).astype("float32"))
    pictures = rng.integers(0, 255, size=(count, 64, 64, 3))
    return AVSSAN(), list(pictures.astype("uint8"))


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="repeatable")
    parser.add_argument("--network", action="append", choices=NETWORKS, help="repeatable")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
