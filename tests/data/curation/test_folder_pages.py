"""The page on folders of one's own: its blocks run."""

import pathlib
import re

import pytest

pytestmark = pytest.mark.backend_agnostic

DOCS = pathlib.Path(__file__).parents[3] / "docs"


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_blocks_on_folders_run(folder, monkeypatch, capsys):
    for name in ("dog", "rain"):
        folder.files(name, clips=5, pictures=5)
    monkeypatch.chdir(folder.root.parent)
    names: dict = {}
    for block in blocks("folders.md", "python"):
        exec(block, names)
    assert names["leaks"] == [] and len(names["again"].clips) == 10
    assert "10 recordings" in capsys.readouterr().out
