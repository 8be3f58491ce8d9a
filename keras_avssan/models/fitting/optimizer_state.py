"""The state of an optimizer, loaded where there is one."""

from typing import Any


def build_when_loaded(model: Any) -> None:
    """Lets a compiled model's optimizer create its variables when stored ones are loaded.

    Keras creates them before, and then warns that a model stored before its first step has none;
    or does not, and then warns that those of a trained model are left out.
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
