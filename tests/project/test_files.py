"""Files that appear whole or not at all."""

import hashlib
import os

import numpy as np
import pytest

from keras_avssan._internal.atomic_files import (
    PART_SUFFIX,
    read_json,
    remove_parts,
    sha256,
    sha256_of_file,
    whole_file,
    write_json,
    write_text,
    write_whole,
)
from keras_avssan.data.curation.fingerprints import content_digest
from keras_avssan.training.run_configuration import digest

pytestmark = pytest.mark.backend_agnostic


def test_nothing_shows_before_the_end(tmp_path):
    path = tmp_path / "table.md"
    path.write_text("old")
    with whole_file(path) as part:
        part.write_text("new")
        assert part.parent == tmp_path and part.suffix == PART_SUFFIX
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "table.md"
    path.write_text("old")
    with pytest.raises(error):
        with whole_file(path) as part:
            part.write_text("half")
            raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_it_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append("fsync") or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("replace") or replace(*paths))
    assert write_whole(tmp_path / "data", lambda file: file.write(b"four")) == 4
    assert calls[:2] == ["fsync", "replace"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "data", "text")
    assert not list(tmp_path.iterdir())


def test_json_round_trip(tmp_path):
    path = tmp_path / "content.json"
    assert read_json(path) is None
    write_json(path, {"angle": "5°"}, indent=None)
    assert path.read_bytes() == '{"angle": "5°"}\n'.encode()
    assert read_json(path) == {"angle": "5°"}
    path.write_text("{")
    with pytest.raises(ValueError, match=r"content\.json' is damaged"):
        read_json(path)


def test_left_over_parts_are_removed(tmp_path):
    (tmp_path / f"data.0123{PART_SUFFIX}").touch()
    (tmp_path / "data").touch()
    remove_parts(tmp_path)
    remove_parts(tmp_path / "absent")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_digest_is_that_of_the_parts_in_turn(tmp_path):
    array = np.arange(6, dtype="float32").reshape(2, 3)
    content = "5°".encode() + b"\0\1" + array.tobytes()
    known = hashlib.sha256(content).hexdigest()
    assert sha256("5°", b"\0\1", array) == known
    assert sha256("5°", b"\0\1", np.asfortranarray(array)) == known
    (tmp_path / "data").write_bytes(content)
    assert sha256_of_file(tmp_path / "data") == known


def test_digests_of_configurations_stay_those_of_stored_ones():
    """Checkpoints and results of earlier versions hold them."""
    array = np.arange(6, dtype="int16").reshape(2, 3)
    content = b"int16 (2, 3)" + array.tobytes() + b"float64 ()" + np.float64(0.5).tobytes()
    assert digest(array, 0.5) == hashlib.sha256(content).hexdigest()
    content = b"(2, 3) int16" + array.tobytes()
    assert content_digest(array) == hashlib.sha256(content).hexdigest()
