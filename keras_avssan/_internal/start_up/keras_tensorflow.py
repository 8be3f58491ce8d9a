"""Keras's own use of TensorFlow under other backends, without importing it."""

import sys
from collections.abc import Callable
from typing import Any

import keras


class _TensorFlow:
    """What Keras knows as `tf`, but available only once TensorFlow is imported."""

    def __init__(self, lazy: Any) -> None:
        self._lazy = lazy

    @property
    def available(self) -> bool:
        return "tensorflow" in sys.modules and bool(self._lazy.available)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lazy, name)


def serialize_without_tensorflow() -> None:
    """Makes Keras serialise objects without the import of TensorFlow, for the whole process.

    Keras imports it to see whether an object is TensorFlow's; none is before the import.
    """
    _replace(keras.saving.serialize_keras_object)


def set_random_seed(seed: int) -> None:
    """`keras.utils.set_random_seed`, which imports TensorFlow only if it is the backend.

    If TensorFlow is imported already, its seed is set too.
    """
    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(seed)
        return
    put_back = _replace(keras.utils.set_random_seed)
    try:
        keras.utils.set_random_seed(seed)
    finally:
        put_back()


def _replace(function: Any) -> Callable[[], None]:
    """Replaces `tf` in the module of a function of Keras; returns what undoes that."""
    names = function.__globals__
    lazy = names.get("tf")
    if lazy is None or isinstance(lazy, _TensorFlow):
        return lambda: None
    names["tf"] = _TensorFlow(lazy)
    return lambda: names.update(tf=lazy)
