"""The page of the documentation: its blocks run, and it lists all reasons."""

import pathlib
import re
import shutil

import pytest

from keras_avssan.data import build_vggsound_ssl
from keras_avssan.simulation import RIRBank

pytestmark = pytest.mark.backend_agnostic

PAGE = (pathlib.Path(__file__).parents[3] / "docs/vggsound-ssl.md").read_text()


def test_blocks_run(material, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build_vggsound_ssl(
        "vggsound-ssl", material.csv, material.videos, clip=None, min_instances=2, progress=False
    )
    RIRBank.build(3, max_duration=0.02, progress=False).save("rooms.npz")
    shutil.move("rooms.npz", "rooms")
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    names: dict = {}
    for block in blocks:
        exec(block, names)
    inputs, _ = names["dataset"][0]
    assert inputs["audio"].shape == (32, 16000, 2)
    assert names["clips"][0]["audio"].shape[1] == 2


def test_every_reason_is_told(reasons):
    for reason in {*reasons.values(), "small class", "class not chosen", "not chosen"}:
        assert f"`{reason}`" in PAGE
