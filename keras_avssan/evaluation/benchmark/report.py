"""The files that a benchmark's rows make: table, breakdown, figure."""

import os
import tempfile
from typing import cast

from matplotlib.figure import Figure

from keras_avssan.evaluation.benchmark.figure import plot_selection
from keras_avssan.evaluation.benchmark.results import TableResults
from keras_avssan.evaluation.evaluation import write_json


def write_report(folder, table):
    """Writes `tableN.md`, `tableN.json`, `tableN.png` and `breakdownN.md` from finished rows.

    Args:
        folder: `ResultsFolder`.
        table: Number N of the table.
    """
    results = TableResults(table, folder.rows(table))
    stem = folder.path / f"table{table}"
    write_json(stem.with_suffix(".json"), results.to_dict())
    _write_text(stem.with_suffix(".md"), results.markdown())
    _write_text(folder.path / f"breakdown{table}.md", results.breakdown())
    if results.scored:
        figure = cast(Figure, plot_selection(results))
        _write_whole(stem.with_suffix(".png"), lambda path: figure.savefig(path, format="png"))


def _write_text(path, text):
    def write(temporary):
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)

    _write_whole(path, write)


def _write_whole(path, write):
    """A file that appears whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        write(temporary)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
