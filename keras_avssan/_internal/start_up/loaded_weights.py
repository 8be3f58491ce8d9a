"""Variables of models whose weights are loaded, without the random values that these replace."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

_RANDOM = tuple(
    getattr(keras.initializers, name)
    for name in ("Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal")
) + (keras.initializers.VarianceScaling,)
_CONSTANT: dict[type, Callable[..., np.ndarray]] = {
    keras.initializers.Zeros: np.zeros,
    keras.initializers.Ones: np.ones,
}


@contextlib.contextmanager
def weights_to_be_loaded() -> Iterator[None]:
    """Under JAX, variables that this thread makes within it have zeros until they are loaded.

    Those that are not loaded have their random values afterwards. JAX compiles initializers for
    each shape, which takes half a minute for a network with encoders.
    """
    owner, method = keras.Variable, "_initialize_with_initializer"
    if keras.backend.backend() != "jax" or not hasattr(owner, method):
        yield
        return
    initialize, thread = getattr(owner, method), threading.get_ident()
    waiting: list[tuple[Any, Any, Any]] = []

    def initialize_later(variable: Any, initializer: Any) -> None:
        is_random = isinstance(initializer, _RANDOM)
        fill = np.zeros if is_random else _CONSTANT.get(type(initializer))
        if fill is None or threading.get_ident() != thread:
            initialize(variable, initializer)
            return
        values = fill(variable.shape, "float32")
        variable._initialize(variable._convert_to_tensor(values, dtype=variable.dtype))
        if is_random:
            waiting.append((variable, variable._value, initializer))

    setattr(owner, method, initialize_later)
    try:
        yield
    finally:
        setattr(owner, method, initialize)
    for variable, zeros, initializer in waiting:
        if variable._value is zeros:
            initialize(variable, initializer)
