"""What a person should know of a built dataset."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from keras_avssan._internal.tables import make_table
from keras_avssan.data.vggsound_ssl.folder import MANIFEST_FILE
from keras_avssan.data.vggsound_ssl.stage2_select import SPLITS

CARD_FILE = "README.md"
DROPPED_FILE = "dropped.csv"

_CARD = """\
# VGGSound-SSL

Sounds of VGGSound (Chen et al., 2020), each with a picture, for selective sound source
localisation. One channel, {rate} Hz, FLAC. The picture of a clip is {picture}.

{counts}

A clip and the picture of its own video are never to be paired: the prompt shows another instance of
the class. No video is in two splits.

## Rows of the table that were left out

{dropped}

`{dropped_file}` lists them one by one.

## Settings

{settings}

## Versions

{versions}

## Clips by class

{classes}

## Files

`{manifest_file}` holds all of this for programs, with the SHA-256 of every shard. A shard is a tar
file in which a clip is three members, `.flac`, `.jpg` and `.json`; the `.json` beside it tells the
place of each, in bytes.

VGGSound's annotations are under CC BY 4.0; the rights to sounds and pictures are their owners'.
"""


def data_card(manifest: dict[str, Any]) -> str:
    """Describe a dataset in Markdown.

    Args:
        manifest: Dict, as `write_manifest` gives it.

    Returns:
        Str.
    """
    settings, classes = manifest["settings"], manifest["classes"]
    splits = [split for split in SPLITS if manifest["clips"][split]]
    by_class = [(name, *(counts[split] for split in splits)) for name, counts in classes.items()]
    versions = [(name, ", ".join(used)) for name, used in manifest["versions"].items()]
    return _CARD.format(
        rate=settings["sampling_rate"],
        picture=_picture(settings),
        counts=_table(("Split", "Clips", "Classes", "Hours"), _counts(manifest, splits)),
        dropped=_table(("Reason", "Rows"), manifest["dropped"].items()),
        dropped_file=DROPPED_FILE,
        settings=_table(("Setting", "Value"), [(k, json.dumps(v)) for k, v in settings.items()]),
        versions=_table(("Package", "Version"), versions),
        classes=_table(("Class", *splits), by_class),
        manifest_file=MANIFEST_FILE,
    )


def _picture(settings: dict[str, Any]) -> str:
    if not settings["clip"]:
        return "the frame in its middle"
    text = settings["template"].replace("{}", "…")
    return f"that of {settings['frames']} frames which CLIP finds most similar to “{text}”"


def _counts(manifest: dict[str, Any], splits: Sequence[str]) -> list[tuple[Any, ...]]:
    """Clips, classes and hours of each split, and of all."""
    classes, clips, seconds = (manifest[name] for name in ("classes", "clips", "seconds"))
    rows: list[tuple[Any, ...]] = []
    for split in splits:
        there = sum(counts[split] > 0 for counts in classes.values())
        rows.append((split, clips[split], there, f"{seconds[split] / 3600:.2f}"))
    hours = f"{sum(seconds.values()) / 3600:.2f}"
    return [*rows, ("all", sum(clips.values()), len(classes), hours)]


def _table(header: tuple[str, ...], rows: Iterable[Sequence[Any]]) -> str:
    return make_table(header, rows).markdown()
