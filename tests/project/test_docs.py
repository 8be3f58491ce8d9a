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
