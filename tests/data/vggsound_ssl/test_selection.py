"""Which clips are chosen, and how they are dealt: pure functions of reports and settings."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from keras_avssan.data.vggsound_ssl.settings import BuildSettings
from keras_avssan.data.vggsound_ssl.stage2_select import select_clips
from keras_avssan.data.vggsound_ssl.staged_clip import StagedClip

pytestmark = pytest.mark.backend_agnostic


def clip(class_name, number, youtube_id=None, csv_split="train"):
    youtube_id = youtube_id or f"{class_name}{number}"
    return StagedClip(
        key=f"{youtube_id}_{number:06d}",
        youtube_id=youtube_id,
        start_second=number,
        class_name=class_name,
        csv_split=csv_split,
        num_samples=16000,
        frame_second=0.5,
        similarity=None,
        part=0,
        audio=(0, 0),
        image=(0, 0),
    )


def clips_of(**counts):
    return [clip(name, number) for name, count in counts.items() for number in range(count)]


def select(clips, **settings):
    return select_clips(clips, BuildSettings(**{"min_instances": 1, **settings}))


def chosen(selection):
    return [clip for shard in selection.shards for clip in shard.clips]


def by_class(selection):
    return Counter(clip.class_name for clip in chosen(selection))


def splits(selection):
    return {clip.key: shard.split for shard in selection.shards for clip in shard.clips}


def test_every_clip_is_chosen_or_dropped_with_a_reason():
    clips = clips_of(bird=12, cat=9, dog=20, eel=30)
    selection = select(clips, min_instances=10, max_classes=2, max_clips_per_class=15)
    assert by_class(selection) == {"dog": 15, "eel": 15}
    reasons = Counter((d.label, d.reason) for d in selection.dropped)
    assert reasons == {
        ("cat", "small class"): 9,
        ("bird", "class not chosen"): 12,
        ("dog", "not chosen"): 5,
        ("eel", "not chosen"): 15,
    }
    keys = [clip.key for clip in chosen(selection)]
    assert len(set(keys)) == len(keys)


def test_a_class_is_as_large_as_it_has_videos():
    same_video = [clip("bird", number, youtube_id="one") for number in range(12)]
    selection = select([*same_video, *clips_of(dog=10)], min_instances=10)
    assert by_class(selection) == {"dog": 10}
    with pytest.raises(ValueError, match="`min_instances`.*largest class, 10.*min_instances=11"):
        select([*same_video, *clips_of(dog=10)], min_instances=11)


def test_limits_are_spread_over_the_classes():
    selection = select(clips_of(bird=3, cat=50, dog=50), max_clips=31)
    counts = by_class(selection)
    assert counts["bird"] == 3 and sum(counts.values()) == 31
    assert abs(counts["cat"] - counts["dog"]) <= 1


def test_the_size_of_the_paper_is_a_setting():
    rng = np.random.default_rng(0)
    sizes = rng.integers(45, 60, 309)
    clips = [clip(f"c{k}", number) for k, size in enumerate(sizes) for number in range(size)]
    selection = select(clips, max_classes=296, max_clips=13_981)
    assert len(chosen(selection)) == 13_981
    assert len(by_class(selection)) == 296


def test_shares_of_the_splits():
    selection = select(clips_of(bird=100, cat=40), splits=(0.7, 0.2, 0.1))
    counts = defaultdict(Counter)
    for shard in selection.shards:
        counts[shard.split].update(clip.class_name for clip in shard.clips)
    assert counts["train"] == {"bird": 70, "cat": 28}
    assert counts["val"] == {"bird": 20, "cat": 8}
    assert counts["test"] == {"bird": 10, "cat": 4}


@pytest.mark.parametrize(
    "count, expected", [(1, (1, 0, 0)), (3, (2, 1, 0)), (4, (2, 2, 0)), (6, (2, 2, 2))]
)
def test_small_classes_fill_one_split_after_the_other(count, expected):
    counts = Counter(splits(select(clips_of(bird=count))).values())
    assert tuple(counts[split] for split in ("train", "val", "test")) == expected


def test_no_video_is_in_two_splits():
    shared = [f"video{k}" for k in range(20)]
    clips = [clip(name, k, video) for k, video in enumerate(shared) for name in ("bird", "cat")]
    clips = [
        StagedClip(**{**c.as_json(), "key": f"{c.key}-{c.class_name}"}) for c in clips
    ] + clips_of(dog=20)
    found = splits(select(clips))
    for video in shared:
        assert len({split for key, split in found.items() if key.startswith(f"{video}_")}) == 1
    assert set(found.values()) == {"train", "val", "test"}


def test_the_splits_of_the_table():
    clips = [clip("bird", k, csv_split="test" if k < 6 else "train") for k in range(26)]
    selection = select(clips, csv_splits=True, splits=(0.8, 0.2, 0.0))
    found = splits(selection)
    in_test = {key for key, split in found.items() if split == "test"}
    assert in_test == {c.key for c in clips if c.csv_split == "test"}
    assert Counter(found.values()) == {"train": 16, "val": 4, "test": 6}


def test_the_seed_decides_and_nothing_else():
    clips = clips_of(bird=30, cat=30)
    first = select(clips, max_clips=40, seed=1)
    assert select(clips, max_clips=40, seed=1) == first
    other = select(clips, max_clips=40, seed=2)
    assert splits(other) != splits(first)
    assert {c.key for c in chosen(other)} != {c.key for c in chosen(first)}


def test_shards_mix_the_classes_and_have_their_size():
    selection = select(clips_of(bird=50, cat=50), clips_per_shard=16, splits=(1, 0, 0))
    assert [len(shard.clips) for shard in selection.shards] == [16] * 6 + [4]
    assert [shard.name for shard in selection.shards][:2] == ["train-00000", "train-00001"]
    for shard in selection.shards[:6]:
        assert len({clip.class_name for clip in shard.clips}) == 2


@pytest.mark.parametrize(
    "settings, name",
    [
        ({"frames": 0}, "frames"),
        ({"min_instances": 0}, "min_instances"),
        ({"max_clips": 0}, "max_clips"),
        ({"clips_per_shard": 1.5}, "clips_per_shard"),
        ({"seed": -1}, "seed"),
        ({"duration": 0}, "duration"),
        ({"duration": float("nan")}, "duration"),
        ({"min_duration": 20.0}, "min_duration"),
        ({"silence_level": float("nan")}, "silence_level"),
        ({"template": "a photo"}, "template"),
        ({"splits": (1, 0)}, "splits"),
        ({"splits": (0, 0, 1), "csv_splits": True}, "splits"),
    ],
)
def test_settings_out_of_range_are_named(settings, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        BuildSettings(**settings)
