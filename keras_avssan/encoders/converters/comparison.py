"""What a checkpoint holds beside what is expected of it."""

from collections.abc import Sequence


def compare_shapes(found, expected):
    """Compares the entries of a checkpoint with those that are expected.

    Args:
        found: Dict from name to shape.
        expected: Dict from name to shape, a tuple.

    Returns:
        Tuple of three lists of names: missing, extra, and of a wrong shape.
    """
    missing = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    wrong = [name for name in expected if name in found and tuple(found[name]) != expected[name]]
    return missing, extra, wrong


def listed(names: Sequence[str], most):
    """Joins names for a message.

    Args:
        names: List of str.
        most: Number of names after which the rest is only counted.

    Returns:
        Str.
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
