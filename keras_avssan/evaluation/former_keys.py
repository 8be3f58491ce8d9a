"""Keys of evaluations that earlier versions wrote, by what they are called today."""

from collections.abc import Mapping
from typing import Any

_CURRENT = {
    "blind_choice": "random_source_baseline",
    "told_spacing_m": "model_spacing_m",
    "of_training": "in_training",
}


def with_current_keys(content: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the dict of an evaluation, or of its settings, with today's keys at every depth."""
    return {
        _CURRENT.get(name, name): with_current_keys(value) if isinstance(value, Mapping) else value
        for name, value in content.items()
    }
