import dataclasses
import importlib
import inspect
import pkgutil
import re

import pytest

import keras_avssan

pytestmark = pytest.mark.once

# Keras says what these do; what they take is in the docstring of the class.
FROM_KERAS = {"build", "call", "compute_output_shape", "from_config", "get_config"}


def public_objects():
    """Public classes and functions, by name."""
    found = {}
    packages = pkgutil.walk_packages(keras_avssan.__path__, "keras_avssan.")
    names = ["keras_avssan", *(package.name for package in packages if package.ispkg)]
    for module in map(importlib.import_module, names):
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found[f"{module.__name__}.{name}"] = thing
    return found


PUBLIC = public_objects()


@pytest.mark.parametrize("name", PUBLIC)
def test_says_what_it_takes_with_an_example(name):
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert len(text.splitlines()[0]) > 10
    if not dataclasses.is_dataclass(PUBLIC[name]):
        assert re.search(r"^Example:", text, re.MULTILINE)
    if inspect.signature(PUBLIC[name]).parameters:
        assert re.search(r"^Args:", text, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isclass(PUBLIC[name])])
def test_says_what_its_methods_do(name):
    own = {key for key in vars(PUBLIC[name]) if not key.startswith("_")} - FROM_KERAS
    members = {key: inspect.getattr_static(PUBLIC[name], key) for key in own}
    documented = (property, classmethod, staticmethod)
    silent = [
        key
        for key, member in members.items()
        if (inspect.isfunction(member) or isinstance(member, documented))
        and not inspect.getdoc(getattr(PUBLIC[name], key))
    ]
    assert not silent
