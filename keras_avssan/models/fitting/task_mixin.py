"""The base of what is mixed into a task, as a type checker sees it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    TaskMixin: Any  # `keras_hub.models.Task`, which stands beside it among the bases
else:
    TaskMixin = object
