"""Keeps frozen layers frozen when a model is saved, loaded or cloned."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras

# Layers make their own parts again from a configuration, and new parts are trainable: Keras
# restores the flag of a frozen encoder, but trains its parts. This entry in configurations prevents
# that. Older files have none: where one of their layers is frozen, so are its parts.
KEY = "trainable_layers"


def trainable_layers(root: keras.layers.Layer) -> dict[str, bool]:
    """Maps paths below a built `root`, such as `"bridge/block"`, to whether they are trainable.

    Only layers with weights count, and only those that differ from the layer that holds them.
    """
    return {
        path: layer.trainable
        for path, layer, parent in _walk(root)
        if layer.trainable != parent.trainable
    }


def set_trainable_layers(root: keras.layers.Layer, state: dict[str, bool]) -> None:
    """Restores the state that `trainable_layers` returned.

    Layers that `state` does not name follow the layer that holds them.
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
    """Freezes the parts of a built layer that was constructed as frozen before it had any."""
    if not layer.trainable:
        layer.trainable = False


class KeepsFrozenLayers:
    """Saves which parts of an encoder made of layers are frozen.

    A mixin for `keras.layers.Layer`, before it among the bases: it extends the build configuration.
    """

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the build configuration, with which parts are frozen."""
        config: dict[str, Any] | None = super().get_build_config()  # type: ignore[misc]
        state = trainable_layers(self)
        return {**config, KEY: state} if config and state else config

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Builds the layer and freezes the parts that were frozen."""
        config = dict(config)
        state = config.pop(KEY, None)
        super().build_from_config(config)  # type: ignore[misc]
        if state is not None:
            set_trainable_layers(self, state)


class KeepsFrozenModel:
    """The same for a `keras_hub.models.Backbone`, which is built by its constructor."""

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration, with which layers are frozen."""
        return {**super().get_config(), KEY: trainable_layers(self)}  # type: ignore[misc]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Makes the model and freezes the layers that were frozen."""
        config = dict(config)
        state = config.pop(KEY, None)
        model = super().from_config(config)  # type: ignore[misc]
        if state is None:
            freeze_parts(model)
        else:
            set_trainable_layers(model, state)
        return model


def _walk(
    root: keras.layers.Layer, prefix: str = "", seen: set[int] | None = None
) -> Iterator[tuple[str, keras.layers.Layer, keras.layers.Layer]]:
    """Yields path, layer and the layer that holds it, top-down; each layer once.

    Keras numbers automatic names within a process: only the place among equal names counts here.
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
