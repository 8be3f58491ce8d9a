"""Small files, and folders that can be read at a glance."""

import pathlib

import pytest

import keras_avssan

pytestmark = pytest.mark.backend_agnostic

PACKAGE = pathlib.Path(keras_avssan.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400
MOST_MODULES = 14


def test_no_file_is_longer_than_can_be_read():
    lines = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in FILES
    }
    assert len(lines) > 200
    assert not {name: count for name, count in lines.items() if count > MOST_LINES}


def test_no_folder_holds_more_than_can_be_seen():
    modules = [path.parent for path in FILES if path.name != "__init__.py"]
    assert not {folder.name for folder in modules if modules.count(folder) > MOST_MODULES}


def test_every_folder_says_what_it_holds():
    for folder in {path.parent for path in FILES}:
        first = (folder / "__init__.py").read_text("utf-8").splitlines()[0]
        assert first.startswith('"""') and first.rstrip('"').endswith(".")
