"""What readers of the notebooks see."""

import base64
import importlib.util
import io
import json
import pathlib
import re

import pytest
from PIL import Image

pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
# Characters that fit the column of code on the site, in a window of 1280 pixels.
COLUMN = 76


def code_cells(path, hidden=False):
    """Sources of the code cells that are shown, or of those that are not."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code" and ("remove-cell" in tags) == hidden:
            yield "".join(cell["source"])


def code_in_text(path):
    """Blocks of code in the text."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            yield from re.findall(r"```.*?\n(.*?)```", "".join(cell["source"]), re.DOTALL)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_code_fits_its_column(path):
    blocks = [*code_cells(path), *code_in_text(path)]
    lines = [line for source in blocks for line in source.splitlines()]
    assert lines and not [line for line in lines if len(line) > COLUMN]


def test_the_quickstart_reads_as_a_tutorial():
    path = ROOT / "notebooks/01_quickstart.ipynb"
    shown = "\n".join(code_cells(path))
    for scaffolding in ("assert", "environ", "AVSSAN_", "FULL", "json"):
        assert scaffolding not in shown
    hidden = "\n".join(code_cells(path, hidden=True))
    assert "AVSSAN_NOTEBOOK_SIZE" in hidden and hidden.count("assert") >= 10
    assert "main([" in hidden  # the command that it prints is run
    # Removed from the site and from what `make demo` writes.
    assert "remove_cell_tags: [remove-cell]" in (ROOT / "mkdocs.yml").read_text()
    assert "remove_cell_tags=remove-cell" in (ROOT / "Makefile").read_text()


@pytest.fixture
def notebook_pages():
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs/notebook_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_figures_are_not_made_smaller_than_their_text_allows(notebook_pages):
    file = io.BytesIO()
    Image.new("RGB", (990, 40)).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    page = notebook_pages._FIGURE.sub(
        notebook_pages.keep_legible, f'<p><img alt="" src="data:image/png;base64,{data}"></p>'
    )
    (least,) = re.findall(r'<img alt="" style="min-width:(\d+)px" src=', page)
    text = 9 / 72 * 110 * int(least) / 990  # pixels of 9 points at 110 pixels an inch
    assert text == pytest.approx(9, abs=0.02) and text >= 9
