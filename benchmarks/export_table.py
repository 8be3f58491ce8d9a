"""Writes `docs/export-table.md`: which backend exports which format, and how exactly.

Runs the export tests once for each backend, in separate processes, and puts their outcomes into a
table: the largest difference between the posterior in Keras and in the format's own runtime.

    python benchmarks/export_table.py
"""

import argparse
import concurrent.futures
import datetime
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
TESTS = "tests/models/test_export.py"
CODE = (
    "models/export/export.py models/export/load_exported.py layers models/av_ssan "
    "models/localizer.py encoders doa"
)
BACKENDS = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}
FORMATS = {
    "tf_saved_model": "TensorFlow",
    "onnx": "ONNX Runtime",
    "litert": "LiteRT",
    "torch": "PyTorch",
    "openvino": "OpenVINO",
}
PACKAGES = (
    "keras",
    "tensorflow",
    "torch",
    "jax",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "ai-edge-litert",
    "openvino",
)
# Why a backend does not write a format.
REASONS = {
    ("torch", "tf_saved_model"): "needs torch_xla",
    ("torch", "litert"): "needs litert-torch, which these versions exclude",
    ("tensorflow", "torch"): "PyTorch alone writes it",
    ("jax", "torch"): "PyTorch alone writes it",
    ("tensorflow", "onnx"): "tf2onnx lacks operations",
    ("jax", "onnx"): "needs jax2onnx",
    ("jax", "litert"): "Keras writes none from JAX",
    ("jax", "openvino"): "reads no JAX program of free shapes",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=str(ROOT / "docs/export-table.md"))
    options = parser.parse_args()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        outcomes = dict(zip(BACKENDS, pool.map(run_tests, BACKENDS), strict=True))
    pathlib.Path(options.out).write_text(page(outcomes))


def run_tests(backend):
    """Outcome of each format under a backend."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        chosen = f"any_batch_and_duration and ({' or '.join(FORMATS)})"
        command = [sys.executable, "-m", "pytest", "-q", TESTS, "-k", chosen]
        subprocess.run(
            [*command, f"--junitxml={report}"],
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": backend, "AVSSAN_ALL_EXPORTS": "1"},
            stdout=sys.stderr,
        )
        cases = ElementTree.parse(report).iter("testcase")
        return {re.search(r"\[(\w+)\]", case.get("name")).group(1): outcome(case) for case in cases}


def outcome(case):
    """Difference that a test found, or the message that it gives instead."""
    found = case.find(".//property[@name='difference']")
    if case.find("failure") is not None or case.find("error") is not None:
        return "**fails**" if found is None else f"**{found.get('value')}**"
    skipped = case.find("skipped")
    return found.get("value") if skipped is None else None


def page(outcomes):
    """The table in Markdown, with the versions it is valid for."""
    lines = [
        "<!-- Written by `python benchmarks/export_table.py`. -->",
        "",
        "| `format` | Runs in | " + " | ".join(BACKENDS.values()) + " |",
        "|---|---|" + "---|" * len(BACKENDS),
    ]
    for format, runtime in FORMATS.items():
        cells = [
            outcomes[backend].get(format) or REASONS.get((backend, format), "not installed")
            for backend in BACKENDS
        ]
        lines.append(f"| `{format}` | {runtime} | " + " | ".join(cells) + " |")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    # As `docs/figures_age.py` reads it.
    mark = f'<!-- measured: command="benchmarks/export_table.py" code="{CODE}" -->'
    today = datetime.date.today().isoformat()
    head = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    run = f"{today}, commit `{commit.strip()}`; {versions}."
    return "\n".join([*lines, "", mark, "", run, ""])


if __name__ == "__main__":
    main()
