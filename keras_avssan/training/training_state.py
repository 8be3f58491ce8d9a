"""State needed to resume training."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from keras_avssan.training.run_configuration import frozen_weights


@dataclass(frozen=True, eq=False)
class TrainingState:
    """State needed to resume training, besides its configuration."""

    step: int  # number of steps done, from which the scenes of the next batch follow
    history: dict[str, list[float]]  # one number a finished epoch
    weights: list[np.ndarray]  # of all that changes in the network, with its random generators
    optimizer: list[np.ndarray]
    metrics: list[np.ndarray]  # within the epoch
    random: list[np.ndarray]  # states of random generators outside of the model

    @classmethod
    def of(
        cls, model: keras.Model, step: int, history: Mapping[str, Sequence[float]]
    ) -> TrainingState:
        """Returns the state of a compiled model within `fit`."""
        if hasattr(model, "jax_state_sync"):  # a compiled step may keep the variables' values
            model.jax_state_sync()
        arrays = {kind: list(map(_to_numpy, part)) for kind, part in _variables(model).items()}
        return cls(
            step=step,
            history={name: list(values) for name, values in history.items()},
            random=read_random_state(),
            **arrays,
        )

    @property
    def is_finite(self) -> bool:
        """Whether weights and optimizer hold neither NaN nor infinity."""
        return all(np.isfinite(array).all() for array in (*self.weights, *self.optimizer))

    def apply(self, model: keras.Model) -> None:
        """Restores network and optimizer; raises a ValueError for a model of other variables."""
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        variables = _variables(model)
        for kind in ("weights", "optimizer"):
            _assign(variables[kind], getattr(self, kind))

    def apply_weights(self, model: keras.Model) -> None:
        """Restores the network alone; raises a ValueError if the model has other variables."""
        _assign(_changing(model), self.weights)

    def apply_metrics(self, model: keras.Model) -> None:
        """Restores the metrics within an epoch; raises a ValueError if the model has others."""
        # Scores create their variables when they are first computed.
        model.compute_metrics(
            None,
            {"azimuth": np.zeros(1, "float32")},
            {"doa": keras.ops.full((1, 180), 1 / 180)},
        )
        _assign(model.metrics_variables, self.metrics)


def read_random_state() -> list[np.ndarray]:
    """States of PyTorch's generators, which dropout uses, one uint8 array a device.

    Empty if PyTorch is not in use: other backends only use the generators of the model.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states += torch.cuda.get_rng_state_all()
    return [np.array(state.cpu().numpy()) for state in states]


def restore_random_state(states: list[np.ndarray]) -> None:
    """Restores PyTorch's generators, also on a machine with other devices."""
    torch = sys.modules.get("torch")
    if torch is None or not states:
        return
    first, *others = (torch.from_numpy(np.array(state)) for state in states)
    torch.set_rng_state(first)
    for device, state in zip(range(torch.cuda.device_count()), others, strict=False):
        torch.cuda.set_rng_state(state, device)


def _variables(model: keras.Model) -> dict[str, list[keras.Variable]]:
    return {
        "weights": _changing(model),
        "optimizer": list(model.optimizer.variables),
        "metrics": list(model.metrics_variables),
    }


def _changing(model: keras.Model) -> list[keras.Variable]:
    """Variables of a network, random generators included, except those of frozen layers."""
    frozen = {id(weight) for weight in frozen_weights(model)}
    return [variable for variable in model.variables if id(variable) not in frozen]


def _to_numpy(variable: keras.Variable) -> np.ndarray:
    array = np.asarray(keras.ops.convert_to_numpy(variable))
    # NumPy's files do not support bfloat16, whose values float32 holds exactly.
    return array.astype("float32") if array.dtype.kind == "V" else np.array(array)


def _assign(variables: Sequence[keras.Variable], arrays: Sequence[np.ndarray]) -> None:
    shapes, given = ([tuple(v.shape) for v in part] for part in (variables, arrays))
    if shapes != given:
        raise ValueError(
            "The checkpoint is of another model: its arrays must be as many as the "
            f"{len(shapes)} of `model`, and of their shapes. Received: {len(given)} arrays"
            f"{' of other shapes' if len(given) == len(shapes) else ''}"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
