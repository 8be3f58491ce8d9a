"""The page on folders of one's own: its blocks run, and the page on clusters names what exists."""

import pathlib
import re

import pytest

from keras_avssan.cli import main

pytestmark = pytest.mark.once

DOCS = pathlib.Path(__file__).parents[2] / "docs"


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


@pytest.mark.parametrize("page", ["folders.md", "clusters.md"])
def test_commands_have_these_options(page, capsys):
    commands = re.findall(
        r"python -m keras_avssan ((?:.|\\\n)*?)(?:\n(?! )|$)", "".join(blocks(page, "bash"))
    )
    assert len(commands) > 2
    for command in commands:
        action = command.split()[:2]
        with pytest.raises(SystemExit):
            main([*action, "--help"])
        known = capsys.readouterr().out
        assert all(option in known for option in re.findall(r" (--[a-z-]+)", command)), command
