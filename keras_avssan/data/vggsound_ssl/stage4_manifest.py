"""Fourth stage: the manifest and the list of dropped clips."""

import csv
import dataclasses
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from keras_avssan._internal.atomic_files import write_json, write_whole
from keras_avssan.data.vggsound_ssl.checksum import sha256
from keras_avssan.data.vggsound_ssl.data_card import CARD_FILE, DROPPED_FILE, data_card
from keras_avssan.data.vggsound_ssl.folder import MANIFEST_FILE
from keras_avssan.data.vggsound_ssl.stage2_select import SPLITS
from keras_avssan.data.vggsound_ssl.stage3_shard import read_index, shard_path
from keras_avssan.data.vggsound_ssl.staged_clip import DroppedClip

# To be raised with every change after which an older reader would err.
FORMAT = "keras-avssan VGGSound-SSL 1"


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
    _write_text(folder / DROPPED_FILE, _table(dropped))
    _write_text(folder / CARD_FILE, data_card(manifest))
    write_json(folder / MANIFEST_FILE, manifest)
    return manifest


def shard_entry(folder: Path, name: str) -> dict[str, Any]:
    """What a manifest says of a shard.

    Args:
        folder: Path of the folder of shards.
        name: Str. Name of the shard.

    Returns:
        Dict with its name, split, number of clips, size in bytes, and the SHA-256 of the shard and
        of its index.
    """
    index = read_index(folder, name)
    return {
        "name": name,
        "split": index["split"],
        "clips": len(index["clips"]),
        "bytes": index["bytes"],
        "sha256": index["sha256"],
        "index_sha256": sha256(shard_path(folder, name).with_suffix(".json")),
    }


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
