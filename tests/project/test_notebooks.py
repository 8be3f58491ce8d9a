"""What readers of the notebooks see."""

import base64
import importlib.util
import io
import json
import pathlib
import re

import pytest
from PIL import Image

pytestmark = pytest.mark.backend_agnostic

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
def pictures():
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs/legible_pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def png(width, **settings):
    file = io.BytesIO()
    Image.new("RGB", (width, 40)).save(file, "PNG", **settings)
    return file.getvalue()


@pytest.mark.parametrize(
    ("settings", "dpi"), [({}, 110), ({"dpi": (150, 150)}, 150), ({"dpi": (72, 72)}, 72)]
)
def test_figures_are_not_made_smaller_than_their_text_allows(pictures, settings, dpi):
    data = base64.b64encode(png(990, **settings)).decode()
    page = pictures.keep_legible(
        f'<div><img alt="" src="data:image/png;base64,{data}"></div>', None
    )
    (least,) = re.findall(r'<img alt="" style="min-width:(\d+)px" src=', page)
    text = 9 / 72 * dpi * int(least) / 990  # pixels of 9 points
    assert text == pytest.approx(9, abs=0.02) and text > 8.999


def test_pictures_of_pages_are_in_a_box_that_scrolls(pictures):
    files = {"images/a.png": png(1100, dpi=(110, 110)), "images/b.png": png(1100)}
    page = '<p><img alt="a" src="images/a.png" /></p><p><img alt="b" src="images/b.png" /></p>'
    a, b = pictures.keep_legible(page, files.__getitem__).split("</p>")[:2]
    assert a.startswith('<p class="picture"><img alt="a" style="min-width:72')
    assert "min-width" not in b  # nothing says how large its text is
    assert ".picture { overflow-x: auto; }" in (ROOT / "docs/stylesheets/site.css").read_text()


def test_a_resolution_is_written_and_pixels_stay(pictures, tmp_path):
    file = tmp_path / "a.png"
    Image.linear_gradient("L").save(file, dpi=(300, 300))
    pictures.write_resolution(file, 96)
    with Image.open(file) as picture:
        assert picture.info["dpi"] == pytest.approx((96, 96), abs=0.02)
        assert picture.tobytes() == Image.linear_gradient("L").tobytes()
    assert pictures.least_width(file.read_bytes()) == 192


def test_pictures_in_the_docs_say_how_large_their_text_is(pictures):
    found = sorted((ROOT / "docs/images").iterdir())
    assert found
    assert [file.name for file in found if not pictures.least_width(file.read_bytes())] == []
