"""Temporary attribute patches, undone on exit."""

from typing import Any


class Overrides:
    """Sets attributes of objects, over those of their classes, until `undo`."""

    def __init__(self) -> None:
        self._former: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute until `undo`."""
        self._former.append((owner, name, vars(owner).get(name, self)))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Restores the attributes."""
        while self._former:
            owner, name, value = self._former.pop()
            if value is self:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
