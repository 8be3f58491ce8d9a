"""Attributes that an object is made with, and that cannot be set to another value afterwards."""


class WriteOnce:
    """Attribute that is set on construction; to set another value later is an error.

    For what a layer has computed something from, so that another value would have no effect, or
    one that is lost when the layer is saved.

    Raises:
        AttributeError: If another value is set later.

    Example:
        >>> class Pair:
        ...     spacing = WriteOnce()
        ...     def __init__(self, spacing):
        ...         self.spacing = spacing
    """

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        try:
            return instance.__dict__[self.name]
        except KeyError:
            raise AttributeError(
                f"{type(instance).__name__} has no attribute {self.name!r}"
            ) from None

    def __set__(self, instance, value):
        if self.name in instance.__dict__ and instance.__dict__[self.name] != value:
            raise AttributeError(fixed_setting(instance, self.name, value))
        instance.__dict__[self.name] = value


def fixed_setting(instance, name, value):
    """Message of an error for what is set too late.

    Args:
        instance: The object that was made with another value.
        name: Name of the attribute.
        value: What it was to become.

    Returns:
        Str.
    """
    owner = type(instance).__name__
    advice = (
        " A trained model takes another spacing as an argument: "
        f"`localize(..., microphone_spacing={value!r})`."
        if name == "microphone_spacing"
        else ""
    )
    return (
        f"`{name}` is decided when {owner} is made, with `{name}={value!r}` among the arguments of "
        f"its constructor; setting it afterwards would have no effect.{advice}"
    )
