"""Fourth stage: the manifest, the list of dropped clips, and the data card."""

import csv
import dataclasses
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from keras_avssan.data.vggsound_ssl.files import sha256, write_json, write_whole
from keras_avssan.data.vggsound_ssl.folder import MANIFEST_FILE
from keras_avssan.data.vggsound_ssl.selection import SPLITS
from keras_avssan.data.vggsound_ssl.shards import read_index, shard_path
from keras_avssan.data.vggsound_ssl.staged_clip import DroppedClip

# To be raised with every change after which an older reader would err.
FORMAT = "keras-avssan VGGSound-SSL 1"
CARD_FILE = "README.md"
DROPPED_FILE = "dropped.csv"


def write_manifest(
    folder: Path,
    layout: dict[str, Any],
    names: Sequence[str],
    dropped: Sequence[DroppedClip],
    versions: Iterable[dict[str, str]],
) -> dict[str, Any]:
    """Count what was built, and write all that describes it; the manifest comes last.

    Args:
        folder: Path of the dataset.
        layout: Dict of all settings.
        names: Sequence of str: the names of the shards.
        dropped: Sequence of `DroppedClip`.
        versions: Iterable of dicts: the packages that the parts were made with.

    Returns:
        Dict: the manifest.
    """
    shards, classes = [], {}
    samples = dict.fromkeys(SPLITS, 0)
    for name in names:
        index = read_index(folder, name)
        shards.append(
            {
                "name": name,
                "split": index["split"],
                "clips": len(index["clips"]),
                "bytes": index["bytes"],
                "sha256": index["sha256"],
                "index_sha256": sha256(shard_path(folder, name).with_suffix(".json")),
            }
        )
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
    _write_text(folder / DROPPED_FILE, _table(dropped))
    _write_text(folder / CARD_FILE, data_card(manifest))
    write_json(folder / MANIFEST_FILE, manifest)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a whole dataset.

    Args:
        folder: Path of the dataset.

    Returns:
        Dict: the manifest.

    Raises:
        ValueError: The folder holds no whole dataset.
    """
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']!r}")
        return manifest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"'{folder}' holds no whole VGGSound-SSL: {error}.") from error


def data_card(manifest: dict[str, Any]) -> str:
    """What a person should know of a dataset, in Markdown.

    Args:
        manifest: Dict, as `write_manifest` gave it.

    Returns:
        Str.
    """
    settings, classes = manifest["settings"], manifest["classes"]
    used = [split for split in SPLITS if manifest["clips"][split]]
    rows = [
        f"| {split} | {manifest['clips'][split]} | {_classes_in(classes, split)} "
        f"| {manifest['seconds'][split] / 3600:.2f} |"
        for split in used
    ]
    total = sum(manifest["clips"].values())
    hours = sum(manifest["seconds"].values()) / 3600
    rows.append(f"| all | {total} | {len(classes)} | {hours:.2f} |")
    pictures = (
        f"the one of {settings['frames']} evenly spaced frames that CLIP finds most similar to "
        f"\"{settings['template'].format('<class>')}\""
        if settings["clip"]
        else "the frame in the middle"
    )
    lines = [
        "# VGGSound-SSL",
        "",
        "Sounds of VGGSound (Chen et al., 2020), each with a picture, for selective sound source",
        f"localisation. One channel, {settings['sampling_rate']} Hz, FLAC; the picture of a clip",
        f"is {pictures}.",
        "",
        "| Split | Clips | Classes | Hours |",
        "|---|---|---|---|",
        *rows,
        "",
        "A clip and the picture of its own video are never to be paired: the prompt shows another",
        "instance of the class. No video is in two splits.",
        "",
        "## Rows of the table that were left out",
        "",
        *_rows(("Reason", "Rows"), manifest["dropped"].items()),
        "",
        f"`{DROPPED_FILE}` lists them one by one.",
        "",
        "## Settings",
        "",
        *_rows(("Setting", "Value"), ((name, json.dumps(v)) for name, v in settings.items())),
        "",
        "## Versions",
        "",
        *_rows(("Package", "Version"), ((k, ", ".join(v)) for k, v in manifest["versions"].items())),
        "",
        "## Clips by class",
        "",
        *_rows(("Class", *used), ((name, *(counts[s] for s in used)) for name, counts in classes.items())),
        "",
        "## Files",
        "",
        f"`{MANIFEST_FILE}` holds all of this for programs, with the SHA-256 of every shard. A",
        "shard is a tar file in which a clip is three members, `.flac`, `.jpg` and `.json`; the",
        "`.json` beside it tells the place of each, in bytes.",
        "",
        "VGGSound's annotations are under CC BY 4.0; the rights to sounds and pictures are their",
        "owners'.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _classes_in(classes: dict[str, dict[str, int]], split: str) -> int:
    return sum(counts[split] > 0 for counts in classes.values())


def _rows(header: tuple[str, ...], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A table in Markdown."""
    lines = [header, ("---",) * len(header), *rows]
    return [f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines]


def _merge_versions(versions: Iterable[dict[str, str]]) -> dict[str, list[str]]:
    """Each package with the versions that were used: several, if it changed on the way."""
    merged: dict[str, set[str]] = {}
    for packages in versions:
        for name, version in packages.items():
            merged.setdefault(name, set()).add(version)
    return {name: sorted(merged[name]) for name in sorted(merged)}


def _table(dropped: Sequence[DroppedClip]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(DroppedClip)])
    writer.writerows(dataclasses.astuple(clip) for clip in dropped)
    return text.getvalue()


def _write_text(path: Path, text: str) -> None:
    write_whole(path, lambda file: file.write(text.encode()))
