"""Times imports and short commands from the start of a process to its end.

Each row runs in a process of its own, and all rows of a backend take turns, `--runs` times, after a
round that is not counted and fills the caches of files. What is compared is compared within a
round, the import of this library after that of Keras within a process; the values are medians of
the rounds. The table of `docs/performance.md` comes from

    python benchmarks/start_up.py --threads 2 --runs 5 --out start_up.json
"""

import argparse
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from processes import describe_run, limit_cores

BACKENDS = ("torch", "tensorflow", "jax")
# Rows and their code; MIX is a recording of one second.
COMMAND = (
    "import sys\nfrom keras_avssan.__main__ import main\nsys.argv = ['keras-avssan', {}]\n"
    "try:\n    main()\nexcept SystemExit:\n    pass"
)
ROWS = {
    "import keras": "import keras",
    "import keras, keras_avssan": "import time\nimport keras\nstarted = time.perf_counter()\n"
    "import keras_avssan\nbeyond = time.perf_counter() - started",
    "import keras_hub": "import keras_hub",
    "localize": COMMAND.format("'localize', 'MIX', '--prompt', 'dog'"),
    "--help": COMMAND.format("'--help'"),
    "--version": COMMAND.format("'--version'"),
    "wrong argument": COMMAND.format("'localize', '--nothing'"),
}
# What a process says of itself last: libraries that it has imported, CPU time, peak memory in MB.
REPORT = """
import json, resource, sys
heavy = [name for name in ("keras", "numpy", "tensorflow") if name in sys.modules]
used = resource.getrusage(resource.RUSAGE_SELF)
times = {"cpu": used.ru_utime + used.ru_stime, "beyond": globals().get("beyond")}
print(json.dumps({"imported": heavy, "memory": used.ru_maxrss // 1024, **times}))
"""
OURS = "import keras, keras_avssan"
RATIOS = ("ratio", "ratio_of_cpu")
SECONDS = 1.0


def main():
    options = _options()
    results = measure(options)
    print(table(results))
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(results, indent=2) + "\n")


def measure(options):
    """Runs all processes; returns figures by backend and the machine's description."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        mixture = os.path.join(folder, "mix.wav")
        _write_mixture(mixture)
        for backend in options.backend or BACKENDS:
            rows = {name: [] for name in options.row or ROWS}
            for index in range(options.runs + 1):
                for name in rows:
                    run = _run(ROWS[name].replace("MIX", mixture), backend, options.threads)
                    if index:
                        rows[name].append(run)
                print(f"{backend}, round {index}", file=sys.stderr, flush=True)
            figures[backend] = {name: _summary(runs) for name, runs in rows.items()}
            figures[backend]["compared"] = _comparisons(rows)
    return {**describe_run(options), "figures": figures}


def table(results):
    """The figures in Markdown."""
    lines = [
        "| Backend, process | Time | By CPU time | Memory | Imports TensorFlow |",
        "|---|---|---|---|---|",
    ]
    for backend, rows in results["figures"].items():
        for name in [name for name in ROWS if name in rows]:
            row = rows[name]
            imports = "yes" if "tensorflow" in row["imported"] else "no"
            elapsed = f"{row['median']:.2f} s ({row['least']:.2f}–{row['most']:.2f})"
            cells = (f"{backend}, `{name}`", elapsed, f"{row['cpu']:.2f} s", f"{row['memory']} MB")
            lines.append(f"| {' | '.join(cells)} | {imports} |")
    lines += [
        "",
        "| Backend | `keras_avssan` beyond `keras` "
        "| `localize` / `import keras_hub` | By CPU time |",
        "|---|---|---|---|",
    ]
    for backend, rows in results["figures"].items():
        compared = rows["compared"]
        beyond = f"{1000 * compared['beyond_keras']:.1f} ms" if "beyond_keras" in compared else "–"
        ratios = [f"{compared[name]:.2f}" if name in compared else "–" for name in RATIOS]
        lines.append(f"| {backend} | {' | '.join([beyond, *ratios])} |")
    lines.append(
        "\n{date}, {machine}, {cores} cores, load {load:.1f}, {threads} thread(s), "
        "Python {python}, {runs} rounds.".format(**results)
    )
    return "\n".join(lines)


def _run(code, backend, threads):
    """Seconds of a process, and what it reports."""
    started = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-c", code + REPORT],
        env={**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        preexec_fn=functools.partial(limit_cores, threads),
    )
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{code!r} failed under {backend}: {process.stderr[-2000:]}")
    return {"seconds": seconds, **json.loads(process.stdout.splitlines()[-1])}


def _summary(runs):
    seconds = [run["seconds"] for run in runs]
    return {
        "median": statistics.median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "cpu": statistics.median(run["cpu"] for run in runs),
        "memory": round(statistics.median(run["memory"] for run in runs)),
        "imported": runs[-1]["imported"],
    }


def _comparisons(rows):
    """Medians over the rounds of what is compared within a process or a round."""
    compared = {}
    if OURS in rows:
        compared["beyond_keras"] = statistics.median(run["beyond"] for run in rows[OURS])
    if {"localize", "import keras_hub"} <= set(rows):
        pairs = list(zip(rows["localize"], rows["import keras_hub"], strict=True))
        for name, key in zip(RATIOS, ("seconds", "cpu"), strict=True):
            compared[name] = statistics.median(one[key] / other[key] for one, other in pairs)
    return compared


def _write_mixture(path):
    """The first second of a recording of the package."""
    import soundfile

    import keras_avssan

    package = pathlib.Path(keras_avssan.__file__).parent
    with soundfile.SoundFile(package / "examples/dog_and_rain.flac") as file:
        samples = file.read(round(SECONDS * file.samplerate))
        soundfile.write(path, samples, file.samplerate)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5, help="rounds after the first")
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="repeatable")
    parser.add_argument("--row", action="append", choices=ROWS, help="repeatable")
    parser.add_argument("--out", help="file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
