"""Fourth stage of a build: the manifest, the data card and the list of dropped clips."""

import csv
import dataclasses
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from keras_avssan._internal.atomic_files import sha256_of_file, write_json, write_text
from keras_avssan._internal.tables.text_tables import make_table
from keras_avssan.data.vggsound_ssl.folder import MANIFEST_FILE
from keras_avssan.data.vggsound_ssl.stage2_select import SPLITS
from keras_avssan.data.vggsound_ssl.stage3_shard import read_index, shard_path
from keras_avssan.data.vggsound_ssl.staged_clip import DroppedClip

# Raised with every change that older readers cannot read.
FORMAT = "keras-avssan VGGSound-SSL 1"

_CARD_FILE = "README.md"
_DROPPED_FILE = "dropped.csv"

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
file in which a clip is three members, `.flac`, `.jpg` and `.json`; the `.json` beside it has the
place of each, in bytes.

VGGSound's annotations are under CC BY 4.0; the rights to sounds and pictures are their owners'.
"""


def write_manifest(
    folder: Path,
    layout: dict[str, Any],
    names: Sequence[str],
    dropped: Sequence[DroppedClip],
    versions: Iterable[dict[str, str]],
) -> dict[str, Any]:
    """Counts the clips and writes list of dropped ones, data card and, last, the manifest."""
    shards: list[dict[str, Any]] = []
    classes: dict[str, dict[str, int]] = {}
    samples = dict.fromkeys(SPLITS, 0)
    for name in names:
        index = read_index(folder, name)
        shards.append(shard_entry(folder, name))
        for clip in index["clips"]:
            counts = classes.setdefault(clip["class"], dict.fromkeys(SPLITS, 0))
            counts[clip["split"]] += 1
            samples[clip["split"]] += clip["num_samples"]
    rate = layout["sampling_rate"]
    manifest = {
        "format": FORMAT,
        "settings": layout,
        "versions": _merge_versions(versions),
        "clips": {split: sum(counts[split] for counts in classes.values()) for split in SPLITS},
        "seconds": {split: round(samples[split] / rate, 3) for split in SPLITS},
        "classes": dict(sorted(classes.items())),
        "dropped": dict(sorted(Counter(clip.reason for clip in dropped).items())),
        "shards": shards,
    }
    write_text(folder / _DROPPED_FILE, _dropped_rows(dropped))
    write_text(folder / _CARD_FILE, _data_card(manifest))
    write_json(folder / MANIFEST_FILE, manifest)
    return manifest


def shard_entry(folder: Path, name: str) -> dict[str, Any]:
    """Returns the entry of a shard in a manifest."""
    index = read_index(folder, name)
    return {
        "name": name,
        "split": index["split"],
        "clips": len(index["clips"]),
        "bytes": index["bytes"],
        "sha256": index["sha256"],
        "index_sha256": sha256_of_file(shard_path(folder, name).with_suffix(".json")),
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads the manifest of a complete dataset."""
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']!r}")
        return manifest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"`root` must hold a complete VGGSound-SSL: {error}. Received: root='{folder}'"
        ) from error


def _merge_versions(versions: Iterable[dict[str, str]]) -> dict[str, list[str]]:
    """Each package with its versions: several, if it changed during the build."""
    merged: dict[str, set[str]] = {}
    for packages in versions:
        for name, version in packages.items():
            merged.setdefault(name, set()).add(version)
    return {name: sorted(merged[name]) for name in sorted(merged)}


def _dropped_rows(dropped: Sequence[DroppedClip]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(DroppedClip)])
    writer.writerows(dataclasses.astuple(clip) for clip in dropped)
    return text.getvalue()


def _data_card(manifest: dict[str, Any]) -> str:
    """The description of a dataset for its users, in Markdown."""
    settings, classes = manifest["settings"], manifest["classes"]
    splits = [split for split in SPLITS if manifest["clips"][split]]
    by_class = [(name, *(counts[split] for split in splits)) for name, counts in classes.items()]
    versions = [(name, ", ".join(used)) for name, used in manifest["versions"].items()]
    return _CARD.format(
        rate=settings["sampling_rate"],
        picture=_picture(settings),
        counts=_table(("Split", "Clips", "Classes", "Hours"), _counts(manifest, splits)),
        dropped=_table(("Reason", "Rows"), manifest["dropped"].items()),
        dropped_file=_DROPPED_FILE,
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
