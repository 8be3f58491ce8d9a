"""Storage of functional models' weights by attribute names."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import keras

from keras_avssan._internal.checks import unknown_argument

if TYPE_CHECKING:
    ModelMixin: Any  # a `keras.Model`, which stands beside it among the bases
else:
    ModelMixin = object

# Attributes of a functional model that list its layers once more.
_GRAPH = frozenset({"_operations", "operations", "_operations_by_depth"})
_ARGUMENTS = frozenset({"name", "trainable"})
# Private attributes that hold layers of the model itself, not lists that Keras keeps of them.
_PARTS = frozenset({"_backbone", "_preprocessor"})


class StoredByAttribute(ModelMixin):
    """Stores a functional model's weights under the names of its attributes.

    Keras stores them by the graph's layers, so older files, or another graph, would not load.
    """

    # For classes of `keras.Model`, before it among the bases. A constructor makes its layers, and
    # ends with `super().__init__`: `base` holds arguments of KerasHub's class that are not the
    # user's, and the further ones are the user's `name` and `trainable`. Recordings stay in float32
    # under mixed precision, and `call` checks shapes, with messages that state the expected ones.

    _is_ordered = False

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        *,
        pairs: Iterable[tuple[keras.layers.Layer, keras.layers.Layer]] = (),
        base: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.check_arguments(kwargs)
        super().__init__(inputs=inputs, outputs=outputs, **(base or {}), **kwargs)
        self.autocast = False
        self.input_spec = None
        self.order_layers(pairs)

    def order_layers(
        self, pairs: Iterable[tuple[keras.layers.Layer, keras.layers.Layer]] = ()
    ) -> None:
        """Sorts the layers, and so the weights, in the order of the attributes.

        Those outside of the graph count too. `pairs` are layers of two attributes that take turns.
        """
        partners = {id(first): second for first, second in pairs}
        held: dict[int, keras.layers.Layer] = {}
        for name, value in self.__dict__.items():
            is_ours = name in _PARTS or not name.startswith("_")
            for layer in layers_in(value) if is_ours else ():
                held.setdefault(id(layer), layer)
                if id(layer) in partners:
                    held.setdefault(id(partners[id(layer)]), partners[id(layer)])
        for layer in held.values():
            self._tracker.track(layer)
        place = {key: index for index, key in enumerate(held)}
        self._layers.sort(key=lambda layer: place.get(id(layer), len(place)))
        self._is_ordered = True
        if keras.backend.backend() == "torch":
            self._track_variables()

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The layers in the order of the attributes, with the inputs last."""
        return list(self._layers) if self._is_ordered else super().layers

    @layers.setter
    def layers(self, value: Any) -> None:
        raise AttributeError(f"`layers` cannot be set. Received: layers={value!r}")

    @classmethod
    def check_arguments(cls, arguments: Mapping[str, Any]) -> None:
        """Raises a TypeError for unknown arguments of a backbone, which Keras would ignore."""
        unknown = sorted(set(arguments) - _ARGUMENTS)
        if unknown:
            raise unknown_argument(cls.__name__, unknown[0], repr(arguments[unknown[0]]))

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__.get(name)
        is_part = name == "_backbone" or not name.startswith("_") and bool(layers_in(held))
        fixed = getattr(self, "_fixed_settings", ())  # have a message of their own
        if self._is_ordered and is_part and value is not held and name not in fixed:
            raise AttributeError(
                f"`{name.lstrip('_')}` is a part of the model's graph, which keeps it whatever the "
                "attribute is. Make another model: pass the part to the constructor, or connect "
                "layers by `keras.Model(model.inputs, ...)`."
            )
        super().__setattr__(name, value)

    def _obj_type(self) -> str:
        return "Layer"

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _GRAPH]


def layers_in(value: Any) -> list[keras.layers.Layer]:
    """Lists the layers that an attribute holds, itself or in lists, tuples and dicts."""
    if isinstance(value, keras.layers.Layer):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [layer for part in value for layer in layers_in(part)]
    return []
