"""Keeps models that are written as subclasses apart from functional ones."""


class SubclassedModel(type):
    """Metaclass of KerasHub models that have a `call` of their own.

    When a model class is first used with symbolic inputs and outputs, Keras puts `Functional` in
    the place of `Model` among the bases of all classes above it. So the first KerasHub model in a
    program (an image encoder, say) turns `keras_hub.models.Backbone` and `Task` into functional
    models, and with them every subclass, whose construction, layers and saving then fail. This
    metaclass leaves `Functional` out of the method resolution order.

    Example:
        >>> class Network(keras_hub.models.Backbone, metaclass=SubclassedModel):
        ...     def call(self, inputs):
        ...         return inputs
    """

    def mro(cls):
        """Returns the method resolution order without Keras's functional classes."""
        functional = ("Functional", "Function")
        return [base for base in super().mro() if base.__name__ not in functional]
