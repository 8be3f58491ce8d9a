"""Second stage of a build: the choice of clips, and their splits and shards."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from keras_avssan.data.catalogs.checks import check_splits
from keras_avssan.data.vggsound_ssl.settings import BuildSettings
from keras_avssan.data.vggsound_ssl.staged_clip import DroppedClip, StagedClip

SPLITS = ("train", "val", "test")
# In each split a clip needs a picture of another instance as its prompt.
_NEEDED_IN_SPLIT = 2

_T = TypeVar("_T")
# Reason and detail of each dropped clip, by its key.
_Reasons: TypeAlias = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class ShardPlan:
    """Content of a shard.

    Args:
        name: `{split}-{number:05d}`.
        split: `"train"`, `"val"` or `"test"`.
        clips: The clips, in their order.
    """

    name: str
    split: str
    clips: tuple[StagedClip, ...]


@dataclass(frozen=True)
class Selection:
    """The clips of a dataset by shards, and those that were left out.

    Args:
        shards: The shards of all splits.
        dropped: The clips that were left out.
    """

    shards: tuple[ShardPlan, ...]
    dropped: tuple[DroppedClip, ...]


def select_clips(clips: Sequence[StagedClip], settings: BuildSettings) -> Selection:
    """Chooses classes and clips, and deals them to splits and shards.

    Every choice is a function of the seed and the clips, whatever the order of the work was.
    """
    reasons: _Reasons = {}
    by_class = _choose_classes(clips, settings, reasons)
    chosen = _choose_clips(by_class, settings, reasons)
    splits = _deal(chosen, settings)
    dropped = [_dropped(clip, *reasons[clip.key]) for clip in clips if clip.key in reasons]
    return Selection(tuple(_shards(chosen, splits, settings)), tuple(dropped))


def _choose_classes(
    clips: Sequence[StagedClip], settings: BuildSettings, reasons: _Reasons
) -> dict[str, list[StagedClip]]:
    """Clips by class, in random order, for the classes that are kept."""
    by_class: dict[str, list[StagedClip]] = defaultdict(list)
    for clip in clips:
        by_class[clip.class_name].append(clip)
    counts = {name: len({clip.youtube_id for clip in by_class[name]}) for name in by_class}
    large = [name for name in by_class if counts[name] >= settings.min_instances]
    if not large:
        raise ValueError(
            "`min_instances` must be at most the usable videos of the largest class, "
            f"{max(counts.values(), default=0)}. Received: min_instances={settings.min_instances}"
        )
    kept = sorted(large, key=lambda name: (-counts[name], name))[: settings.max_classes]
    for name in by_class.keys() - kept:
        reason = "class not chosen" if name in large else "small class"
        detail = f"the class has {counts[name]} videos that can be used"
        reasons.update({clip.key: (reason, detail) for clip in by_class[name]})
    return {name: _shuffled(by_class[name], settings.seed, name) for name in sorted(kept)}


def _choose_clips(
    by_class: dict[str, list[StagedClip]], settings: BuildSettings, reasons: _Reasons
) -> list[StagedClip]:
    """The clips up to both limits, spread as evenly as possible over the classes."""
    ranked: list[tuple[int, str, StagedClip]] = []
    for name, members in by_class.items():
        ranked += [(rank, name, clip) for rank, clip in enumerate(members)]
    # The first clips of all classes come first.
    ranked.sort(key=lambda item: item[:2])
    chosen = [
        item
        for item in ranked
        if settings.max_clips_per_class is None or item[0] < settings.max_clips_per_class
    ][: settings.max_clips]
    kept = {clip.key for *_, clip in chosen}
    for *_, clip in ranked:
        if clip.key not in kept:
            reasons[clip.key] = ("not chosen", "over the number of clips requested")
    return [clip for *_, clip in chosen]


def _deal(clips: Iterable[StagedClip], settings: BuildSettings) -> dict[str, str]:
    """Split of each video: no video is in two splits, even if it is of several classes."""
    shares = check_splits(settings.splits)
    splits: dict[str, str] = {}
    if settings.csv_splits:
        shares = check_splits((*settings.splits[:2], 0.0))
        splits = {clip.youtube_id: "test" for clip in clips if clip.csv_split == "test"}
    by_class: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        by_class[clip.class_name].append(clip.youtube_id)
    for name in sorted(by_class):
        _deal_class(list(dict.fromkeys(by_class[name])), shares, splits)
    return splits


def _deal_class(instances: list[str], shares: dict[str, float], splits: dict[str, str]) -> None:
    """Gives the videos of a class to splits, each to the one that is farthest below its share.

    Splits first receive as many as they need, in the order of their shares.
    """
    dealt = Counter(splits[instance] for instance in instances if instance in splits)
    free = [instance for instance in instances if instance not in splits]
    total = len(free) + sum(dealt[split] for split in shares)

    def need(split: str) -> tuple[bool, bool, float]:
        count = dealt[split]
        return count < _NEEDED_IN_SPLIT, count > 0, shares[split] * total - count

    for instance in free:
        split = max(shares, key=need)
        splits[instance] = split
        dealt[split] += 1


def _shards(
    clips: Iterable[StagedClip], splits: dict[str, str], settings: BuildSettings
) -> Iterator[ShardPlan]:
    for split in SPLITS:
        members = [clip for clip in clips if splits[clip.youtube_id] == split]
        # Classes are in random order within a shard, for readers of whole shards.
        members = _shuffled(sorted(members, key=lambda clip: clip.key), settings.seed, split)
        for number, start in enumerate(range(0, len(members), settings.clips_per_shard)):
            part = members[start : start + settings.clips_per_shard]
            yield ShardPlan(f"{split}-{number:05d}", split, tuple(part))


def _shuffled(items: Sequence[_T], seed: int, name: str) -> list[_T]:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return [items[k] for k in rng.permutation(len(items))]


def _dropped(clip: StagedClip, reason: str, detail: str) -> DroppedClip:
    return DroppedClip(
        clip.youtube_id, clip.start_second, clip.class_name, clip.csv_split, reason, detail
    )
