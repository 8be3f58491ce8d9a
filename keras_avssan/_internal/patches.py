"""Attributes of objects that are other for a time."""

from typing import Any


class Overrides:
    """Attributes that are set on objects for a time, over what their classes have."""

    def __init__(self) -> None:
        self._former: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute until `undo`."""
        self._former.append((owner, name, vars(owner).get(name, self)))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Brings back what was there before."""
        while self._former:
            owner, name, value = self._former.pop()
            if value is self:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
