"""Defers the imports of TensorFlow by the modules of a package until they use it."""

import builtins
import contextlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

_DEFERRED = ("tensorflow", "tensorflow_text")


class DeferredModule(ModuleType):
    """A module, or an object in one, that is imported when an attribute of it is first read."""

    def __getattr__(self, name: str) -> Any:
        return getattr(pkgutil.resolve_name(self.__name__), name)


@contextlib.contextmanager
def deferred_tensorflow(package: str) -> Iterator[None]:
    """Within it, modules of a package that import TensorFlow get a `DeferredModule`.

    Imports by other modules, and `sys.modules`, are what they would be without it.
    """
    former, made = builtins.__import__, []

    def import_or_defer(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        importer = str((globals or {}).get("__name__")).partition(".")[0]
        if importer == package and not level and _can_wait(name, fromlist):
            made.append(_deferred(name, fromlist or ()))
            return made[-1]
        return former(name, globals, locals, fromlist or (), level)

    builtins.__import__ = import_or_defer
    try:
        yield
    finally:
        builtins.__import__ = former
        for module in made:
            vars(module).pop("Module", None)


def _can_wait(name: str, fromlist: Sequence[str] | None) -> bool:
    """Whether it is installed TensorFlow, not imported so far, in a form that can be deferred."""
    top, _, submodule = name.partition(".")
    if top not in _DEFERRED or top in sys.modules or (submodule and not fromlist):
        return False
    spec = importlib.util.find_spec(top)
    return spec is not None and spec.origin is not None  # a folder that pip left behind has none


def _deferred(name: str, fromlist: Sequence[str]) -> DeferredModule:
    module = DeferredModule(name)
    for attribute in fromlist:
        setattr(module, attribute, DeferredModule(f"{name}.{attribute}"))
    if name == "tensorflow":
        # KerasHub reads two attributes while it is imported. It looks for the first to see whether
        # TensorFlow is whole, and calls it later to see whether it is in a graph, which is never so
        # before the import. The second is the base of a cache of tokens, or `object` without it.
        vars(module).update(executing_eagerly=_executing_eagerly, Module=object)
    return module


def _executing_eagerly() -> bool:
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is None or bool(tensorflow.executing_eagerly())
