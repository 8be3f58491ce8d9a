import importlib
import pathlib
import re

import numpy as np
import pytest

pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).parents[2]
PAPER_MAP = (ROOT / "docs/paper-map.md").read_text()


def resolve(name):
    """The object of a dotted name below `keras_avssan`."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(keras_avssan\.[\w.]+)`", PAPER_MAP))))
def test_paper_map_names_what_exists(name):
    assert callable(resolve(name))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w./]+)`", PAPER_MAP))))
def test_paper_map_names_tests_that_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_relative_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_blind_choice_is_what_the_concepts_say():
    azimuths = np.arange(1, 181)
    apart = np.abs(azimuths[:, None] - azimuths)
    concepts = (ROOT / "docs/concepts.md").read_text()
    assert f"**{apart.mean() / 2:.1f}°**" in concepts
    assert f"**{50 + 50 * (apart <= 5).mean():.1f} %**" in concepts


def test_blocks_of_the_export_page_run(tmp_path, monkeypatch):
    """In their order, in one namespace; PyTorch's own block belongs to another backend."""
    for package in ("ai_edge_litert", "openvino"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/export.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) > 4
    names: dict = {}
    for block in blocks:
        if "import torch" not in block:
            exec(block, names)
            if "posterior" in names:
                np.testing.assert_allclose(names["posterior"], names["outputs"]["doa"], atol=1e-4)


def test_blocks_of_the_page_on_input_pipelines_run(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/input-pipelines.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) > 6
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert names["dry"]["rirs"].shape == (8, 2, 2, 1600) and names["audio"].shape == (4, 16000)
