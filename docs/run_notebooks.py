r"""Runs notebooks from top to bottom and saves their outputs.

    KERAS_BACKEND=tensorflow python docs/run_notebooks.py notebooks/*.ipynb

Standard error (messages of backends, progress) and TensorFlow's log are
not saved. The last cell records when the notebook ran, with which commit and backend, see
`docs/figures_age.py`. A notebook whose cell fails stays as it was.
"""

import argparse
import pathlib
import time

import keras
import nbformat
from figures_age import make_mark, name_run
from nbclient import NotebookClient

from keras_avssan._internal.atomic_files import write_text

# What the numbers of a notebook depend on.
CODE = "simulation data layers models encoders doa training evaluation visualization"
MARK_ID = "measured"
# Beginnings of the lines of TensorFlow's log.
_LOG = ("INFO:", "WARNING:tensorflow:")


def stamp(notebook, path):
    """Puts a last cell that says when and by which code a notebook ran in place of the old one."""
    backends = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}
    mark = make_mark(f"docs/run_notebooks.py {path.name}", CODE)
    backend = backends[keras.backend.backend()]
    cell = nbformat.v4.new_markdown_cell(f"{mark}\n\nRun on {name_run()}, {backend}.", id=MARK_ID)
    notebook.cells = [*(kept for kept in notebook.cells if kept.id != MARK_ID), cell]


def without_log(output):
    """An output without lines of TensorFlow's log, which name folders of this machine."""
    if output.get("output_type") == "stream":
        lines = output["text"].splitlines(keepends=True)
        output["text"] = "".join(line for line in lines if not line.startswith(_LOG))
    return output


def shows(output):
    """Whether a reader is to see an output."""
    return output.get("name") != "stderr" and output.get("text") != ""


def run(path):
    """Runs one notebook in its folder; returns the seconds it took."""
    notebook = nbformat.read(path, as_version=4)
    started = time.perf_counter()
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": path.parent}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day
        if cell.cell_type == "code":
            cell.outputs = [out for out in map(without_log, cell.outputs) if shows(out)]
    notebook.metadata.language_info = {"name": "python"}
    stamp(notebook, path)
    write_text(path, nbformat.writes(notebook) + "\n")
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=pathlib.Path)
    for path in parser.parse_args().notebooks:
        seconds = run(path)
        print(f"{path}: {seconds:.0f} s, {path.stat().st_size / 1e6:.2f} MB", flush=True)


if __name__ == "__main__":
    main()
