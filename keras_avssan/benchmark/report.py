"""The files that a benchmark's rows make: table, breakdown, figure."""

from typing import cast

from matplotlib.figure import Figure

from keras_avssan._internal.atomic_files import whole_file, write_json, write_text
from keras_avssan.benchmark.figure import plot_selection
from keras_avssan.benchmark.results import TableResults


def write_report(folder, table):
    """Writes `tableN.md`, `tableN.json`, `tableN.png` and `breakdownN.md` from finished rows.

    Args:
        folder: `ResultsFolder`.
        table: Number N of the table.
    """
    results = TableResults(table, folder.rows(table))
    stem = folder.path / f"table{table}"
    write_json(stem.with_suffix(".json"), results.to_dict())
    write_text(stem.with_suffix(".md"), results.markdown())
    write_text(folder.path / f"breakdown{table}.md", results.breakdown())
    if results.scored:
        figure = cast(Figure, plot_selection(results))
        with whole_file(stem.with_suffix(".png")) as part:
            figure.savefig(part, format="png")
