"""Loading of the stored state of optimizers."""

from typing import Any

import keras


def build_when_loaded(model: keras.Model) -> None:
    """Lets a compiled model's optimizer create its variables when stored ones are loaded.

    Keras creates all or none beforehand, and warns about models stored before or after a step.
    """
    optimizer = model.optimizer
    if optimizer is None:
        return
    load = optimizer.load_own_variables

    def load_own_variables(store: Any) -> None:
        if not optimizer.built and len(store.keys()) > len(optimizer.variables):
            optimizer.build(model.trainable_variables)
        load(store)

    optimizer.load_own_variables = load_own_variables
