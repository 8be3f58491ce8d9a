"""Variables of models whose weights are loaded, without the random values that these replace."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

_METHOD = "_initialize_with_initializer"
_RANDOM = tuple(
    getattr(keras.initializers, name)
    for name in ("Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal")
) + (keras.initializers.VarianceScaling,)
_CONSTANT: dict[type, Callable[..., np.ndarray]] = {
    keras.initializers.Zeros: np.zeros,
    keras.initializers.Ones: np.ones,
}


# Held while Keras's method is replaced: of two threads that load, the second one waits.
_ONE_THREAD = threading.RLock()


@contextlib.contextmanager
def weights_to_be_loaded() -> Iterator[None]:
    """Under JAX, variables that this thread makes within it have zeros until they are loaded.

    Those that are not loaded have their random values afterwards. JAX compiles initializers for
    each shape, which takes half a minute for a network with encoders.
    """
    if keras.backend.backend() != "jax" or not hasattr(keras.Variable, _METHOD):
        yield
        return
    with _ONE_THREAD:
        initialize, thread = getattr(keras.Variable, _METHOD), threading.get_ident()
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

        setattr(keras.Variable, _METHOD, initialize_later)
        try:
            yield
        finally:
            setattr(keras.Variable, _METHOD, initialize)
        for variable, zeros, initializer in waiting:
            if variable._value is zeros:
                initialize(variable, initializer)
