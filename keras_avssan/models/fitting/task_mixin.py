"""The base of mixins of tasks, for type checkers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    TaskMixin: Any  # `keras_hub.models.Task`, which classes that use the mixins also inherit
else:
    TaskMixin = object
