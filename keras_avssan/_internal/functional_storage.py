"""Where the weights of the library's functional models stand in files."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    ModelMixin: Any  # a `keras.Model`, which stands beside it among the bases
else:
    ModelMixin = object

# Attributes of a functional model that list its layers once more.
_GRAPH = frozenset({"_operations", "operations", "_operations_by_depth"})
_ARGUMENTS = frozenset({"name", "trainable"})
# Private attributes that hold layers of the model itself, and no lists that Keras keeps of them.
_PARTS = frozenset({"_backbone", "_preprocessor"})


class StoredByAttribute(ModelMixin):
    """Stores a functional model's weights under the names of its attributes.

    Keras stores those of functional models by the names and the order of the graph's layers, so
    that a file would no longer load once a layer without weights joins the graph, and models of
    before, which were no graphs, would not load at all. For classes of `keras.Model`, before it
    among the bases. A constructor makes its layers, and ends with `super().__init__`.

    Recordings stay in float32 under mixed precision, and shapes are for `call` to check, with
    messages that say what is expected.

    Args:
        inputs: Symbolic inputs of the model.
        outputs: Its symbolic outputs.
        pairs: Layers of two attributes that take turns in the order of the weights.
        base: Dict of arguments of KerasHub's class that are not the user's, such as `dtype`.
        **kwargs: `name` and `trainable`, as the user gave them.

    Raises:
        TypeError: If there are other arguments, which Keras would pass over in silence.

    Example:
        >>> class Network(StoredByAttribute, keras_hub.models.Backbone):
        ...     def __init__(self, **kwargs):
        ...         self.hidden = keras.layers.Dense(8)
        ...         features = keras.Input((4,))
        ...         super().__init__(inputs=features, outputs=self.hidden(features), **kwargs)
    """

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

    def order_layers(self, pairs=()) -> None:
        """Brings the layers, and so the weights, to the order of the attributes.

        Layers that are attributes alone, and stand in no graph, count too.

        Args:
            pairs: Layers of two attributes that take turns, each with its partner.
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
    def layers(self):
        """The layers in the order of the attributes, with the inputs last."""
        return list(self._layers) if self._is_ordered else super().layers

    @layers.setter
    def layers(self, value: Any):
        raise AttributeError(f"`layers` cannot be set. Received: layers={value!r}")

    @staticmethod
    def check_arguments(arguments: Mapping[str, Any]):
        """Refuses what is no argument of a backbone, which Keras would pass over in silence.

        Args:
            arguments: Dict of further arguments.

        Raises:
            TypeError: If one is not known.
        """
        unknown = sorted(set(arguments) - _ARGUMENTS)
        if unknown:
            raise TypeError(f"There are no arguments of these names. Received: {unknown}")

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

    def __dir__(self):
        return [name for name in super().__dir__() if name not in _GRAPH]


def layers_in(value: Any):
    """The layers that an attribute holds.

    Args:
        value: A layer, a list, tuple or dict that holds some, or anything else.

    Returns:
        List of layers.
    """
    if isinstance(value, keras.layers.Layer):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [layer for part in value for layer in layers_in(part)]
    return []
