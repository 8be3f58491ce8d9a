"""State needed to resume training."""

import sys
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_avssan.training.run_configuration import frozen_weights


@dataclass(frozen=True, eq=False)
class TrainingState:
    """State needed to resume training, besides its configuration.

    Args:
        step: Number of steps done; the scenes of the next batch follow from it.
        history: Dict from name to a list of one number a finished epoch.
        weights: Arrays of all that the network learns, and of its random generators.
        optimizer: Arrays of the optimizer.
        metrics: Arrays of the metrics within the epoch.
        random: Arrays of random generators that belong to no model.
    """

    step: int
    history: dict
    weights: list
    optimizer: list
    metrics: list
    random: list

    @classmethod
    def of(cls, model: Any, step, history):
        """The state of a model in training.

        Args:
            model: A compiled `Localizer` within `fit`.
            step: Number of steps done.
            history: Dict from name to a list of one number a finished epoch.

        Returns:
            A `TrainingState`.
        """
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
    def is_finite(self):
        """Whether weights and optimizer hold neither NaN nor infinity."""
        return all(np.isfinite(array).all() for array in (*self.weights, *self.optimizer))

    def apply(self, model: Any) -> None:
        """Brings network and optimizer to this state.

        Args:
            model: A compiled `Localizer` of the same configuration.

        Raises:
            ValueError: If it has other variables.
        """
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        variables = _variables(model)
        for kind in ("weights", "optimizer"):
            _assign(variables[kind], getattr(self, kind))

    def apply_weights(self, model: Any) -> None:
        """Brings the network alone to this state.

        Args:
            model: A `Localizer` of the same configuration.

        Raises:
            ValueError: If it has other variables.
        """
        _assign(_changing(model), self.weights)

    def apply_metrics(self, model: Any) -> None:
        """Brings the metrics within an epoch to this state.

        Args:
            model: A compiled `Localizer` of the same configuration.

        Raises:
            ValueError: If it has other metrics.
        """
        # Scores create their variables when they are first computed.
        model.compute_metrics(
            None,
            {"azimuth": np.zeros(1, "float32")},
            {"doa": keras.ops.full((1, 180), 1 / 180)},
        )
        _assign(model.metrics_variables, self.metrics)


def read_random_state() -> list[np.ndarray]:
    """The states of PyTorch's generators, from which Keras' dropout draws under PyTorch.

    Other backends draw from the generators of the model alone.

    Returns:
        List of uint8 arrays, one a device; empty where PyTorch is not in use.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states += torch.cuda.get_rng_state_all()
    return [np.array(state.cpu().numpy()) for state in states]


def restore_random_state(states: list[np.ndarray]) -> None:
    """Brings PyTorch's generators to states.

    Args:
        states: What `read_random_state` returned, here or on a machine with other devices.
    """
    torch = sys.modules.get("torch")
    if torch is None or not states:
        return
    first, *others = (torch.from_numpy(np.array(state)) for state in states)
    torch.set_rng_state(first)
    for device, state in zip(range(torch.cuda.device_count()), others, strict=False):
        torch.cuda.set_rng_state(state, device)


def _variables(model: Any):
    return {
        "weights": _changing(model),
        "optimizer": list(model.optimizer.variables),
        "metrics": list(model.metrics_variables),
    }


def _changing(model: Any):
    """Variables of a network, random generators included, without those of frozen layers."""
    frozen = {id(weight) for weight in frozen_weights(model)}
    return [variable for variable in model.variables if id(variable) not in frozen]


def _to_numpy(variable: Any):
    array = np.asarray(keras.ops.convert_to_numpy(variable))
    # NumPy's files do not know bfloat16, which float32 holds exactly.
    return array.astype("float32") if array.dtype.kind == "V" else np.array(array)


def _assign(variables: Any, arrays: Any):
    shapes, given = ([tuple(v.shape) for v in part] for part in (variables, arrays))
    if shapes != given:
        raise ValueError(
            "The checkpoint is of another model: its arrays are "
            f"{len(given)} and the model's {len(shapes)}, or their shapes differ."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
