"""The 521 class names of AudioSet that YAMNet scores, and the search for some of them."""

import difflib
import functools
import pathlib
from collections.abc import Iterable, Sequence

_FILE = pathlib.Path(__file__).with_name("class_names.txt")
_MOST_NEAR = 5  # names in a message


@functools.cache
def audioset_class_names() -> tuple[str, ...]:
    """Reads the names of the 521 classes in the order of the published network's scores.

    Returns:
        The names, a tuple of 521 strings.

    Example:
        >>> audioset_class_names()[0]
        'Speech'

    Reference:
        Gemmeke et al., Audio Set: An ontology and human-labeled dataset for audio events,
        ICASSP 2017.
    """
    lines = _FILE.read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def find_classes(classes: str | Sequence[str], class_names: Sequence[str]) -> list[int]:
    """Indices of classes; the ValueError for unknown ones lists names that are near."""
    wanted = list(classes) if isinstance(classes, Iterable) else []
    wanted = [classes] if isinstance(classes, str) else wanted
    if not wanted or not all(isinstance(name, str) for name in wanted):
        raise ValueError(
            "`classes` must be a name or a list of names, at least one; leave it out for all "
            f"classes. Received: classes={classes!r}"
        )
    unknown = {name: _near(name, class_names) for name in wanted if name not in class_names}
    if unknown:
        hints = [
            f"{name!r} is none of them" + (f"; near names: {near}" if near else "")
            for name, near in unknown.items()
        ]
        raise ValueError(
            f"`classes` must be among the {len(class_names)} names of `class_names`: "
            f"{'. '.join(hints)}. Received: classes={classes!r}"
        )
    return [class_names.index(name) for name in wanted]


def _near(name: str, class_names: Sequence[str]) -> list[str]:
    """Names that contain the wanted one in any case, then those of like spelling."""
    wanted = name.casefold()
    folded: dict[str, str] = {}
    for known in class_names:
        folded.setdefault(known.casefold(), known)
    within = [key for key in folded if wanted in key] if wanted else []
    like = difflib.get_close_matches(wanted, folded, _MOST_NEAR)
    return [folded[key] for key in dict.fromkeys([*within, *like])][:_MOST_NEAR]
