"""Attributes that can only be set when an object is made."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

# Arguments that Keras allows to be set at any time.
_ALWAYS = {"self", "name", "dtype", "trainable", "autocast"}
_MISSING = object()


class WriteOnce:
    """Attribute that is set on construction; setting another value later is an AttributeError.

    For values that a layer has computed something from, or that are lost when it is saved.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
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
    """Refuses other values for the constructor arguments of a built layer with an AttributeError.

    A mixin for `keras.layers.Layer`, before it among the bases; subclasses are covered too.
    """

    settable: tuple[str, ...] = ()  # arguments that every call reads, so that they may change
    also_fixed: tuple[str, ...] = ()  # further attributes that follow from arguments
    _fixed_settings: frozenset[str] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        named: set[str] = set()
        settable = set(_ALWAYS)
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
            if current is _MISSING:  # not kept in `settings`: perhaps a subclass's own
                current = getattr(self, name, _MISSING)
            if current is not _MISSING and not _same(current, value):
                raise AttributeError(fixed_setting(self, name, value))
        super().__setattr__(name, value)


def _arguments(constructor: Callable[..., Any] | None) -> Sequence[str]:
    """Names of the arguments in a constructor's own signature."""
    if constructor is None:
        return ()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(constructor).parameters.values()
    return [one.name for one in parameters if one.kind not in variable]


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal; a list and a tuple of the same are."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        one, other = list(one), list(other)
    try:
        return one is other or bool(one == other)
    except (TypeError, ValueError):  # arrays
        return False


def fixed_setting(instance: object, name: str, value: Any) -> str:
    """Message of an error for an attribute that is set too late."""
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
