"""Packaged models: their cards, notices and size, and that they reach wheel and source archive."""

import importlib.util
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest

import keras_avssan
from keras_avssan._internal.saved_files import (
    MODEL_ENTRIES,
    MODEL_WEIGHTS,
    PACKAGED,
    card_entries,
    packaged_presets,
)

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(keras_avssan.__file__).parents[1]
MOST_BYTES = 25_000_000
HEADINGS = (
    "Intended use",
    "Training data and licences",
    "Commands and commit",
    "Scores on validation",
    "Known limits",
    "Licence and notices",
)
CARD = "---\ndescription: A model.\nlicense: Apache-2.0, CC-BY-4.0\n---\n# model\n\n" + "".join(
    f"## {heading}\n\nSomething.\n\n" for heading in HEADINGS
)
CARD = CARD.replace("Commands and commit\n\nSomething", "Commands and commit\n\nAt `0123abc`")
CARD = CARD.replace("validation\n\nSomething", "validation\n\n80.1 % (79.0 to 81.2)")
NOTICES = "Apache-2.0: this. CC-BY-4.0: that.\n"


def faults_of(folder):
    """What a packaged model lacks."""
    files = {path.name: path for path in folder.iterdir()}
    wanted = {*MODEL_ENTRIES, "preprocessor.json", "MODEL_CARD.md", "NOTICES.md"}
    missing = wanted - set(files)
    if missing:
        return [f"no {name}" for name in sorted(missing)]
    faults = [] if set(MODEL_WEIGHTS) & set(files) else ["no weights"]
    entries = card_entries(folder)
    faults += [f"no {name}:" for name in ("description", "license") if not entries.get(name)]
    _, *parts = re.split(r"^## ", files["MODEL_CARD.md"].read_text("utf-8"), flags=re.MULTILINE)
    sections = {head: body.strip() for head, _, body in (part.partition("\n") for part in parts)}
    faults += [f"no section {name}" for name in HEADINGS if not sections.get(name)]
    if not re.search(r"`[0-9a-f]{7,40}`", sections.get("Commands and commit", "")):
        faults.append("no commit")
    if not re.search(r"\d(?: %)? \(\d[\d.]* to \d|± ?\d", sections.get("Scores on validation", "")):
        faults.append("no intervals")
    notices = files["NOTICES.md"].read_text("utf-8")
    licences = re.split(r",\s*", entries.get("license", ""))
    return faults + [f"no notice of {name}" for name in licences if name not in notices]


def test_every_packaged_model_has_a_card_and_notices():
    found = {name: faults_of(folder) for name, folder in packaged_presets().items()}
    assert not {name: faults for name, faults in found.items() if faults}


def write_model(folder, card=CARD, notices=NOTICES, without=()):
    folder.mkdir(parents=True)
    for name in {*MODEL_ENTRIES, "preprocessor.json", MODEL_WEIGHTS[0]} - {*without}:
        (folder / name).write_text("{}")
    (folder / "MODEL_CARD.md").write_text(card)
    (folder / "NOTICES.md").write_text(notices)
    return folder


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"without": ["task.json"]}, "no task.json"),
        ({"without": [MODEL_WEIGHTS[0]]}, "no weights"),
        ({"card": CARD.replace("## Known limits", "## Limits")}, "no section Known limits"),
        ({"card": CARD.replace("description:", "text:")}, "no description:"),
        ({"card": CARD.replace("0123abc", "main")}, "no commit"),
        ({"card": CARD.replace(" (79.0 to 81.2)", "")}, "no intervals"),
        ({"notices": "Apache-2.0"}, "no notice of CC-BY-4.0"),
    ],
)
def test_what_is_missing_is_found(change, fault, tmp_path):
    assert faults_of(write_model(tmp_path / "model", **change)) == ([fault] if fault else [])


def test_all_packaged_models_together_are_small():
    assert sum(path.stat().st_size for path in PACKAGED.rglob("*") if path.is_file()) <= MOST_BYTES


def test_no_rule_of_git_hides_a_packaged_model():
    """Wheel and source archive leave out what git ignores."""
    names = [f"keras_avssan/presets/any/{name}" for name in (*MODEL_ENTRIES, *MODEL_WEIGHTS)]
    names += [f"keras_avssan/presets/any/{name}" for name in ("MODEL_CARD.md", "NOTICES.md")]
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    found = subprocess.run(
        command, input="\n".join(names), cwd=ROOT, capture_output=True, text=True
    )
    if found.returncode == 128:
        pytest.skip("this is no clone")
    assert found.returncode == 1 and not found.stdout


@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="needs hatchling")
def test_wheel_and_source_archive_hold_the_packaged_models(tmp_path):
    """Built from a small copy of the project, with a model of two files in it."""
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"))
    package = tmp_path / "keras_avssan"
    write_model(package / "presets" / "any")
    (package / "__init__.py").write_text((ROOT / "keras_avssan/__init__.py").read_text("utf-8"))
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path / "dist")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    (wheel,), (source,) = ((tmp_path / "dist").glob(name) for name in ("*.whl", "*.tar.gz"))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    with tarfile.open(source) as archive:
        stored = [name.partition("/")[2] for name in archive.getnames()]
    for path in (package / "presets" / "any").iterdir():
        assert f"keras_avssan/presets/any/{path.name}" in names
        assert f"keras_avssan/presets/any/{path.name}" in stored
