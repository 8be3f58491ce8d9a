"""The public names and their signatures, against what `public_api.txt` has of them.

`python tests/project/test_public_api.py` writes that file anew: commit it with the change.
"""

import dataclasses
import difflib
import importlib
import inspect
import pathlib
import pkgutil
import re

import keras
import pytest

import keras_avssan
from keras_avssan import data

pytestmark = pytest.mark.backend_agnostic

FROZEN = pathlib.Path(__file__).with_name("public_api.txt")
REWRITE = "KERAS_BACKEND=torch python tests/project/test_public_api.py"


def public_packages():
    """Names of the packages with an `__all__`."""
    packages = pkgutil.walk_packages(keras_avssan.__path__, "keras_avssan.")
    names = ["keras_avssan", *(package.name for package in packages if package.ispkg)]
    return [name for name in names if hasattr(importlib.import_module(name), "__all__")]


def signature_of(function):
    """Its signature, with addresses in memory left out and annotations, which do not bind."""
    signature = inspect.signature(function)
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    text = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r"<(?:function|class|factory)?\s*'?([\w.]*)[^>]*>", r"<\1>", text)


def mixins_of(thing):
    """Bases of the library that only complete a class: plain ones of Keras's, private catalogs."""
    ours = [base for base in thing.__mro__[1:] if base.__module__.startswith("keras_avssan.")]
    if not issubclass(thing, keras.Layer):
        return [
            base
            for base in ours
            if base.__name__ not in data.__all__ and issubclass(base, data.Catalog)
        ]
    parents = [base for base in ours if issubclass(base, keras.Layer)]
    return [base for base in ours if not any(issubclass(parent, base) for parent in parents)]


def lines_of_class(name, thing):
    """The class and its own public methods and properties, one line each.

    What it has from a mixin of the library is its own.
    """
    yield f"{name}{signature_of(thing)}"
    bases = [*reversed(mixins_of(thing)), thing]
    members = {key: member for base in bases for key, member in vars(base).items()}
    for key, member in sorted(members.items()):
        if key.startswith("_") or key in getattr(thing, "__dataclass_fields__", {}):
            continue
        if isinstance(member, property):
            yield f"{name}.{key}"
        elif isinstance(member, (classmethod, staticmethod)) or inspect.isfunction(member):
            yield f"{name}.{key}{signature_of(getattr(thing, key))}"


def public_lines():
    """All public objects as they are now."""
    lines = []
    for package in public_packages():
        module = importlib.import_module(package)
        for attribute in sorted(module.__all__):
            name, thing = f"{package}.{attribute}", getattr(module, attribute)
            if inspect.isclass(thing):
                lines.extend(lines_of_class(name, thing))
            elif inspect.isfunction(thing):
                lines.append(f"{name}{signature_of(thing)}")
            else:
                lines.append(f"{name}: {type(thing).__name__}")
    return lines


def test_public_names_and_signatures_are_the_frozen_ones():
    frozen, now = FROZEN.read_text().splitlines(), public_lines()
    difference = difflib.unified_diff(frozen, now, "public_api.txt", "now", n=0, lineterm="")
    changed = "\n".join(difference)
    assert not changed, f"the public API has changed; if it should, {REWRITE}\n{changed}"


def test_a_changed_signature_would_be_seen():
    @dataclasses.dataclass(frozen=True)
    class One:
        angle: float = 90.0

        def turn(self, by: float = 1.0) -> "One":
            return One(self.angle + by)

    assert list(lines_of_class("One", One)) == ["One(angle=90.0)", "One.turn(self, by=1.0)"]


def test_whatever_is_in_all_exists_once():
    for package in public_packages():
        module = importlib.import_module(package)
        assert len(set(module.__all__)) == len(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)


if __name__ == "__main__":
    FROZEN.write_text("\n".join(public_lines()) + "\n")
