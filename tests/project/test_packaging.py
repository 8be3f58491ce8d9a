import importlib
import importlib.metadata
import pathlib
import re
import tomllib

import pytest
from packaging.specifiers import SpecifierSet

import keras_avssan

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, TOOLS = SETTINGS["project"], SETTINGS["tool"]
# Extras that the constraints pin; the others exclude them, or need a machine of their own.
TESTED_EXTRAS = (
    "tensorflow",
    "torch",
    "jax",
    "export",
    "media",
    "scale",
    "app",
    "notebooks",
    "docs",
    "dev",
)


def normalised(requirement):
    """The name of the distribution that a requirement asks for."""
    name = re.match(r"[\w.-]+", requirement).group()
    return re.sub(r"[-_.]+", "-", name).lower()


def lines_of(name):
    lines = (ROOT / name).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def test_one_version_everywhere():
    version = keras_avssan.__version__
    assert "version" not in PROJECT and PROJECT["dynamic"] == ["version"]
    source = ROOT / TOOLS["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.+)"$', source.read_text(), re.MULTILINE) == [version]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    changes = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(name for name in changes if name != "Unreleased") == version


def test_constraints_are_exact_pins_of_all_that_is_tested():
    pins = lines_of("constraints.txt")
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert "torch==2.13.0" in pins
    pinned = {normalised(pin) for pin in pins}
    extras = PROJECT["optional-dependencies"]
    wanted = PROJECT["dependencies"] + [one for extra in TESTED_EXTRAS for one in extras[extra]]
    assert {normalised(one) for one in wanted} <= pinned


def test_the_pins_install_on_the_oldest_python():
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    refused = {}
    for pin in lines_of("constraints.txt"):
        name = pin.split("==")[0]
        try:
            pythons = importlib.metadata.metadata(name)["Requires-Python"] or ""
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        if oldest not in SpecifierSet(pythons):
            refused[name] = pythons
    assert not refused


def test_an_environment_without_tensorflow_gets_everything_else():
    hub = [one for one in importlib.metadata.requires("keras-hub") if "extra ==" not in one]
    wanted = {normalised(one) for one in [*PROJECT["dependencies"], *hub]}
    wanted -= {"keras-hub", "tensorflow-text"}
    assert {normalised(one) for one in lines_of("requirements-no-tensorflow.txt")} == wanted


def test_the_environment_of_tensorflow_io_gets_all_but_grain():
    wanted = {normalised(one) for one in PROJECT["dependencies"]} - {"grain"}
    wanted |= {"tensorflow", "tensorflow-io", "tensorflow-text"}
    pins = lines_of("requirements-tfio.txt")
    assert {normalised(one) for one in pins} == wanted
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)


def test_the_command_is_there():
    module, function = PROJECT["scripts"]["keras-avssan"].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_type_hints_are_published():
    assert (pathlib.Path(keras_avssan.__file__).parent / "py.typed").is_file()


def test_nothing_is_installed_from_an_index_that_does_not_have_it():
    files = [*ROOT.glob("*.md"), *ROOT.glob("*.txt"), *ROOT.glob("docs/**/*.md")]
    files += [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("keras_avssan/**/*.py")]
    wrong = re.compile(r"pip install[^\n`]*[ \"']keras[-_]avssan(?!\.)")
    assert [str(path) for path in files if wrong.search(path.read_text(encoding="utf-8"))] == []
    assert wrong.search('pip install "keras-avssan[torch]"')
