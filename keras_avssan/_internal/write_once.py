"""Attributes that an object is made with, and that cannot be set to another value afterwards."""

import inspect
from typing import Any

# What Keras itself lets be set at any time.
_ALWAYS = {"self", "name", "dtype", "trainable", "autocast"}
_MISSING = object()


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

    def __set_name__(self, owner: str, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: str | None = None):
        if instance is None:
            return self
        try:
            return instance.__dict__[self.name]
        except KeyError:
            raise AttributeError(
                f"{type(instance).__name__} has no attribute {self.name!r}"
            ) from None

    def __set__(self, instance: Any, value: Any) -> None:
        if self.name in instance.__dict__ and not _same(instance.__dict__[self.name], value):
            raise AttributeError(fixed_setting(instance, self.name, value))
        instance.__dict__[self.name] = value


class FixedSettings:
    """Lets the constructor arguments of a layer be set to no other value once it is built.

    For classes of `keras.layers.Layer`, before it among the bases. Their subclasses are covered
    too; a subclass names in `settable` what is read in every call and may change. `name`, `dtype`
    and `trainable` may always.

    Attributes:
        settable: Tuple of names of constructor arguments that may be set.
        also_fixed: Tuple of names of attributes that follow from them, and may not.

    Raises:
        AttributeError: If another value is set once the layer is built.

    Example:
        >>> class Scale(FixedSettings, keras.layers.Layer):
        ...     def __init__(self, factor, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.factor = factor
    """

    settable: tuple[str, ...] = ()
    also_fixed: tuple[str, ...] = ()
    _fixed_settings: frozenset[str] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        named, settable = set(), set(_ALWAYS)
        for one in cls.__mro__:
            own = vars(one)
            if not issubclass(one, FixedSettings) or one is FixedSettings:
                continue
            named |= {*own.get("also_fixed", ()), *_arguments(own.get("__init__"))}
            settable |= set(own.get("settable", ()))
        cls._fixed_settings = frozenset(named - settable)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._fixed_settings and self.__dict__.get("built"):
            current = self.__dict__.get("settings", {}).get(name, _MISSING)
            if current is _MISSING:  # what was never kept may be a subclass's own
                current = getattr(self, name, _MISSING)
            if current is not _MISSING and not _same(current, value):
                raise AttributeError(fixed_setting(self, name, value))
        super().__setattr__(name, value)


def _arguments(constructor):
    """Names of the arguments that a constructor itself takes."""
    if constructor is None:
        return ()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(constructor).parameters.values()
    return [one.name for one in parameters if one.kind not in variable]


def _same(one, other):
    """Whether two values are equal; lists and tuples of the same are."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        one, other = list(one), list(other)
    try:
        return one is other or bool(one == other)
    except (TypeError, ValueError):  # arrays
        return False


def fixed_setting(instance: Any, name: str, value: Any) -> str:
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
        "its constructor; set afterwards, it would have no effect, or one that no file keeps."
        f"{advice}"
    )
