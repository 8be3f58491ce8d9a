"""The scenes of training, of choosing and of testing are apart."""

from dataclasses import replace

import numpy as np
import pytest

from keras_avssan.benchmark import BenchmarkSettings
from keras_avssan.benchmark.held_out import HELD_OUT, HeldOut
from keras_avssan.benchmark.rooms import build_banks, divide_bank, placeholder_banks
from keras_avssan.benchmark.scenes import BenchmarkScenes, num_different_scenes
from keras_avssan.data import ScenePlan, SyntheticClasses
from keras_avssan.data.catalogs.catalog import Catalog, Clip, Picture
from keras_avssan.simulation import RIRBank

pytestmark = pytest.mark.backend_agnostic


def sources(plan, count=60):
    scenes = [plan[i] for i in range(count)]
    return (
        {clip.id for scene in scenes for clip in (scene.target, scene.interferer)},
        {scene.picture.id for scene in scenes},
        {scene.room for scene in scenes},
    )


def test_with_three_splits_nothing_is_shared(settings, catalog, banks):
    scenes = BenchmarkScenes(settings, catalog, banks)
    assert (scenes.validation.split, scenes.test.split) == ("val", "test")
    assert scenes.trial.catalog is scenes.train.catalog
    sets = [sources(plan) for plan in (scenes.train, scenes.validation, scenes.test)]
    for i in range(3):
        for j in range(i):
            for one, other in zip(sets[i], sets[j], strict=True):
                assert one and other and not one & other


def test_without_a_third_split_a_part_of_the_training_is_kept_from_the_trials(settings, banks):
    catalog = SyntheticClasses(
        ["bell", "dog", "rain"], instances_per_class=16, splits=(0.75, 0.25, 0), duration=0.5
    )
    scenes = BenchmarkScenes(settings, catalog, banks)
    assert (scenes.validation.split, scenes.test.split) == (HELD_OUT, "val")
    trial, chosen, tested = (sources(p) for p in (scenes.trial, scenes.validation, scenes.test))
    for one, other in ((trial, chosen), (trial, tested), (chosen, tested)):
        assert not one[0] & other[0] and not one[1] & other[1]
    # The final training has what the trials missed.
    whole = sources(scenes.train, 300)
    assert chosen[0] <= whole[0] and chosen[1] <= whole[1] and not whole[0] & tested[0]
    assert len(scenes.notes["validation"]) > 10


class Videos(Catalog):
    """Clips and pictures that share their instances; class b has two of them only."""

    def __init__(self):
        names = {"a": 12, "b": 2, "c": 3}
        ids = [(name, f"{name}{i}") for name, count in names.items() for i in range(count)]
        super().__init__(
            [Clip(name, f"{i}.wav", i, "train", 1600) for name, i in ids],
            [Picture(name, f"{i}.jpg", i, "train") for name, i in ids],
        )

    def read_clip(self, clip):
        assert clip.split == "train"
        return np.full(1600, float(clip.instance[1:]) + 1, "float32")

    def read_picture(self, picture, size):
        return np.full((*size, 3), 0.01 * float(picture.instance[1:]), "float32")


def test_held_out_instances():
    source = Videos()
    held = HeldOut(source, "train", seed=1)
    parts = {
        kind: {split: [i.instance for i in items if i.split == split] for split in held.splits}
        for kind, items in (("clips", held.clips), ("pictures", held.pictures))
    }
    clips, pictures = (set(parts[kind][HELD_OUT]) for kind in ("clips", "pictures"))
    assert clips == pictures and not clips & set(parts["clips"]["train"])
    assert len({i for i in clips if i[0] == "a"}) == 3
    assert not any(i[0] == "b" for i in clips)
    assert len(parts["clips"]["train"]) + len(clips) == 17
    clip = next(c for c in held.clips if c.split == HELD_OUT)
    assert held.load_audio(clip)[0] == float(clip.instance[1:]) + 1
    picture = next(p for p in held.pictures if p.split == HELD_OUT)
    assert held.load_image(picture, 4).shape == (4, 4, 3)
    same, other = HeldOut(source, "train", seed=1), HeldOut(source, "train", seed=2)
    assert same.clips == held.clips and other.clips != held.clips


def test_unseen_classes_are_tested_alone(settings, catalog, banks):
    scenes = BenchmarkScenes(replace(settings, unseen_classes=2), catalog, banks)
    assert len(scenes.unseen) == 2 and scenes.test.classes == scenes.unseen
    seen = set(catalog.classes) - set(scenes.unseen)
    for plan in (scenes.train, scenes.trial, scenes.validation):
        assert set(plan.classes) == seen
        assert {c.class_name for c in plan.catalog.clips} == seen
    again = BenchmarkScenes(replace(settings, unseen_classes=2), catalog, banks)
    assert again.unseen == scenes.unseen


def test_different_scenes_are_counted(catalog, banks):
    bank, rooms = banks["test"]
    plan = ScenePlan(catalog, bank, split="test", duration=0.1, rooms=rooms)
    # 3 clips a class, 4 classes: 12 * 9 ordered pairs; one room with 2 * 1 places.
    assert num_different_scenes(plan) == 12 * 9 * 1 * 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"scenes": 100_000}, "`scenes` must be at most 216.* Received: scenes=100000"),
        ({"unseen_classes": 5}, "`unseen_classes` must be at most"),
        ({"unseen_classes": 3}, "Received: unseen_classes=3, which leaves 1"),
        ({"test_split": "train"}, "`test_split` must not be .* Received: test_split='train'"),
        ({"test_split": "nowhere"}, "nowhere"),
        ({"train_split": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_work_is_refused(settings, catalog, banks, changes, named):
    with pytest.raises(ValueError, match=named):
        BenchmarkScenes(replace(settings, **changes), catalog, banks)


def test_too_few_recordings_to_choose_on(settings, banks):
    catalog = SyntheticClasses(
        ["bell", "dog"], instances_per_class=4, splits=(0.5, 0.5, 0), duration=0.5
    )
    with pytest.raises(ValueError, match="must have a class with three recordings"):
        BenchmarkScenes(settings, catalog, banks)


def test_rooms_are_three_series_and_kept(settings, tmp_path, monkeypatch):
    built = []

    def build(count, seed, *, first_index, ranges, **kwargs):
        built.append((count, seed, first_index, ranges.spacing))
        return placeholder_banks(settings, 16000)["test"][0]

    monkeypatch.setattr(RIRBank, "build", build)
    settings = replace(settings, rooms=7, test_rooms=5, spacing=0.1, seed=3)
    banks = build_banks(settings, tmp_path / "rooms", 16000)
    assert built == [(7, 3, 0, 0.1), (2, 3, 500_000, 0.1), (5, 3, 1_000_000, 0.1)]
    assert set(banks) == {"train", "validation", "test"}
    build_banks(settings, tmp_path / "rooms", 16000)
    assert len(built) == 3


def test_a_bank_is_divided(bank):
    ranges = {role: rooms for role, (_, rooms) in divide_bank(bank).items()}
    assert ranges == {"train": (0, 8), "validation": (8, 9), "test": (9, 10)}
    with pytest.raises(ValueError, match="at least 10 rooms"):
        divide_bank(placeholder_banks(BenchmarkSettings(rooms=9), 16000)["train"][0])
