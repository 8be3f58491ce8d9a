"""Comparison of a checkpoint's entries with the expected ones."""

from collections.abc import Mapping, Sequence


def compare_shapes(
    found: Mapping[str, Sequence[int]], expected: Mapping[str, tuple[int, ...]]
) -> tuple[list[str], list[str], list[str]]:
    """Names of the entries that are missing, that are extra, and that have a wrong shape."""
    missing = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    wrong = [name for name in expected if name in found and tuple(found[name]) != expected[name]]
    return missing, extra, wrong


def listed(names: Sequence[str], most: int) -> str:
    """Joins names for a message; beyond `most` of them the rest is only counted."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
