"""All that decides a training, and what differs between two of them."""

import dataclasses
import hashlib
import json
from typing import Any

import keras
import numpy as np

from keras_avssan._internal.types import Tensor

# Of a Keras configuration: what tells nothing, or is counted up within a process.
_IGNORED = ("name", "module", "registered_name", "build_config", "shared_object_id")


def describe_training(model: Any, plan, **settings: Any):
    """All that decides how a training goes, as a dict that JSON can hold.

    Args:
        model: A compiled `Localizer`.
        plan: `keras_avssan.data.ScenePlan` of the training.
        **settings: What else decides, such as the number of steps.

    Returns:
        Flat dict from a dotted name, such as `"plan.seed"`, to a value.
    """
    optimizer = model.optimizer.get_config()
    optimizer.pop("learning_rate", None)
    network = keras.saving.serialize_keras_object(model.backbone)
    description = {
        **settings,
        "plan": _describe_plan(plan),
        "network": {"class": type(model).__name__, **network["config"]},
        "dtype": model.dtype_policy.name,
        "optimizer": {"class": type(model.optimizer).__name__, **optimizer},
        "loss": keras.saving.serialize_keras_object(model.loss),
        "frozen_weights": digest(
            *(keras.ops.convert_to_numpy(weight) for weight in frozen_weights(model))
        ),
        "backend": keras.backend.backend(),
    }
    return _flatten(json.loads(json.dumps(description, default=repr)))


def frozen_weights(model: Any):
    """Weights that no training changes, those of frozen layers but for trainable layers in them.

    Args:
        model: A built Keras model.

    Returns:
        List of variables.
    """
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


def digest(*arrays: Any):
    """A digest of arrays: of their shapes and values.

    Args:
        *arrays: Arrays, or what becomes one.

    Returns:
        Str of 64 hexadecimal digits.
    """
    total = hashlib.sha256()
    for array in map(np.asarray, arrays):
        total.update(f"{array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def digest_embeddings(embeddings: Tensor):
    """A digest of the embeddings of pictures or class names.

    Args:
        embeddings: Dict from name to vector, an array, or `None`.

    Returns:
        Str of 64 hexadecimal digits, or `None`.
    """
    if embeddings is None:
        return None
    if not hasattr(embeddings, "items"):
        return digest(embeddings)
    names = sorted(embeddings)
    return digest("\n".join(names), *(embeddings[name] for name in names))


def _describe_plan(plan):
    items = (*plan.catalog.clips, *plan.catalog.pictures)
    bank = plan.bank
    fields = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    return {
        **fields,
        "catalog": digest("\n".join(sorted(map(repr, items)))),
        # The first room stands for all of them, which may be more than memory holds.
        "bank": digest(bank.azimuths, bank.t60, np.asarray(bank.rirs[0])),
    }


def _flatten(value: Any, prefix: str = ""):
    """Nested dicts as one, with dotted names, without what tells nothing."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, part in value.items():
        if name not in _IGNORED:
            shown = "" if name == "config" else name
            flat |= _flatten(part, ".".join(filter(None, (prefix, shown))))
    return flat
