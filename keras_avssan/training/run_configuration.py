"""All settings that decide a training run."""

import dataclasses
import itertools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_avssan._internal.atomic_files import sha256
from keras_avssan.data.scenes.scene_plan import ScenePlan

if TYPE_CHECKING:
    from keras_avssan.simulation import RIRBank

# Entries of Keras configurations that are irrelevant, or numbered within a process.
_IGNORED = ("name", "module", "registered_name", "build_config", "shared_object_id")


def describe_training(model: keras.Model, **settings: Any) -> dict[str, Any]:
    """Describes all that decides a training, as a flat dict of dotted names that JSON can hold.

    `settings` are those of the data and of the training, such as the number of steps.
    """
    optimizer = model.optimizer.get_config()
    optimizer.pop("learning_rate", None)
    network = keras.saving.serialize_keras_object(model.backbone)
    description = {
        **settings,
        "network": {"class": type(model).__name__, **network["config"]},
        "dtype": model.dtype_policy.name,
        "optimizer": {"class": type(model.optimizer).__name__, **optimizer},
        "loss": keras.saving.serialize_keras_object(model.loss),
        "frozen_weights": digest(
            *(keras.ops.convert_to_numpy(weight) for weight in frozen_weights(model))
        ),
        "backend": keras.backend.backend(),
    }
    return flat_description(description)


def flat_description(description: Mapping[str, Any]) -> dict[str, Any]:
    """A nested description as a flat dict of dotted names that JSON can hold."""
    return _flatten(json.loads(json.dumps(description, default=repr)))


def frozen_weights(model: keras.Model) -> list[keras.Variable]:
    """Weights that no training changes: those of frozen layers, except trainable layers in them."""
    layers = model._flatten_layers()
    changing = {
        id(weight)
        for layer in layers
        if layer.trainable
        for weight in layer._trainable_variables + layer._non_trainable_variables
    }
    frozen: dict[int, Any] = {}
    for layer in layers:
        if not layer.trainable:
            weights = (weight for weight in layer.weights if id(weight) not in changing)
            frozen |= {id(weight): weight for weight in weights}
    return list(frozen.values())


def digest(*arrays: ArrayLike) -> str:
    """SHA-256 of shapes, types and values of arrays, in 64 hexadecimal digits."""
    described = ((f"{array.dtype} {array.shape}", array) for array in map(np.asarray, arrays))
    return sha256(*itertools.chain.from_iterable(described))


def digest_embeddings(embeddings: Mapping[str, np.ndarray] | ArrayLike | None) -> str | None:
    """Digest of embeddings by name, or of an array; `None` for `None`."""
    if embeddings is None:
        return None
    if not isinstance(embeddings, Mapping):
        return digest(embeddings)
    names = sorted(embeddings)
    return digest("\n".join(names), *(embeddings[name] for name in names))


def plan_settings(plan: ScenePlan) -> dict[str, Any]:
    """Settings of a plan, with digests of its catalog and bank."""
    items = (*plan.catalog.clips, *plan.catalog.pictures)
    bank = plan.bank
    fields = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    return {
        **fields,
        "catalog": digest("\n".join(sorted(map(repr, items)))),
        # The first room stands for all of them, which may be more than memory holds.
        "bank": digest(bank.azimuths, bank.t60, np.asarray(bank.rirs[0]), *_mixture(bank)),
    }


def _mixture(bank: "RIRBank") -> tuple[np.ndarray, ...]:
    """Shares of a mixed bank, and the banks that its rooms are from; empty for others."""
    if getattr(bank, "shares", None) is None:
        return ()
    return np.asarray(bank.shares), np.asarray(bank.origins)


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one with dotted names, without irrelevant entries."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, part in value.items():
        if name not in _IGNORED:
            shown = "" if name == "config" else name
            flat |= _flatten(part, ".".join(filter(None, (prefix, shown))))
    return flat
