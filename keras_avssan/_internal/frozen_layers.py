"""Keeps what is frozen frozen when a model is saved, loaded or cloned.

Layers that make their own parts make them anew from a configuration, and new parts are trainable:
of an encoder that was frozen, Keras gives back the flag, and trains the parts all the same.
"""

import re
from collections.abc import Mapping
from typing import Any

import keras

from keras_avssan._internal.types import PathLike

# Name of the entry in configurations. Files of before have none: where a layer of theirs is frozen,
# so are its parts.
KEY = "trainable_layers"


def trainable_layers(root: keras.layers.Layer) -> dict[str, bool]:
    """Tells which layers are frozen, as far as they differ from the layer that holds them.

    Args:
        root: A built layer or model.

    Returns:
        Dict from a path of names below `root`, such as `"bridge/block/hidden"`, to whether the
        layer there is trainable. Layers without weights do not count.
    """
    return {
        path: layer.trainable
        for path, layer, parent in _walk(root)
        if layer.trainable != parent.trainable
    }


def set_trainable_layers(root: keras.layers.Layer, state: dict[str, bool]) -> None:
    """Brings a layer to the state that `trainable_layers` told.

    Args:
        root: A built layer or model; its own `trainable` is what layers follow that the state
            does not name.
        state: Dict from path to whether the layer there is trainable.
    """
    freeze_parts(root)
    for path, layer, parent in _walk(root):
        trainable = state.get(path, parent.trainable)
        # Not where nothing changes: the setter reaches everything below.
        if layer.trainable != trainable:
            layer.trainable = trainable
        else:
            freeze_parts(layer)


def freeze_parts(layer: keras.layers.Layer) -> None:
    """Freezes the parts of a layer that was constructed as frozen before it had any.

    Args:
        layer: A built layer or model.
    """
    if not layer.trainable:
        layer.trainable = False


class KeepsFrozenLayers:
    """Lets an encoder that is made of layers be saved with some of them frozen.

    For classes of `keras.layers.Layer`, before it among the bases: the state comes with what Keras
    builds a layer from.

    Example:
        >>> class Encoder(KeepsFrozenLayers, keras.layers.Layer):
        ...     ...
    """

    def get_build_config(self):
        """What the layer is built from, with what of it is frozen."""
        config = super().get_build_config()  # type: ignore[misc]
        state = trainable_layers(self)
        return {**config, KEY: state} if config and state else config

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Builds the layer as it was built, with what was frozen of it."""
        config = dict(config)
        state = config.pop(KEY, None)
        super().build_from_config(config)  # type: ignore[misc]
        if state is not None:
            set_trainable_layers(self, state)


class KeepsFrozenModel:
    """The same for a `keras_hub.models.Backbone`, which is built by its constructor."""

    def get_config(self) -> dict[str, Any]:
        """The configuration, with what is frozen."""
        return {**super().get_config(), KEY: trainable_layers(self)}  # type: ignore[misc]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Makes the model, with what was frozen of it."""
        config = dict(config)
        state = config.pop(KEY, None)
        model = super().from_config(config)  # type: ignore[misc]
        if state is None:
            freeze_parts(model)
        else:
            set_trainable_layers(model, state)
        return model


def _walk(root: PathLike, prefix: str = "", seen=None):
    """Yields path, layer and the layer that holds it, from above to below; each layer once.

    Keras counts up the names that it gives itself, so that the same model has others the next
    time: what counts here is the place among those of one name.
    """
    seen = {id(root)} if seen is None else seen
    counts: dict[str, int] = {}
    for layer in root._flatten_layers(include_self=False, recursive=False):
        name = re.sub(r"_\d+$", "", layer.name)
        place = counts.get(name, 0)
        counts[name] = place + 1
        if id(layer) in seen or not layer.weights:
            continue
        seen.add(id(layer))
        path = f"{prefix}{name}_{place}" if place else f"{prefix}{name}"
        yield path, layer, root
        yield from _walk(layer, f"{path}/", seen)
